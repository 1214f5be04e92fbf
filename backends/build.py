"""Builds the native router: `python -m backends.build` (or `python backends/build.py`).

The system's C++ compiler is used if there is one, else the one in the package `ziglang`, so a
machine without a compiler can serve too. A stamp over sources, flags and compiler makes a second
run do nothing.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / "traffic"
BUILD = SOURCES / "build"

FLAGS = ("-std=c++17", "-O2", "-fPIC", "-Wall", "-Wextra", "-fvisibility=hidden")
# The library must load wherever the server does, whatever C++ runtime is (not) installed there.
SYSTEM_FLAGS = ("-static-libstdc++", "-static-libgcc")
# The oldest glibc that the library made by zig asks for.
ZIG_FLAGS = ("-target", f"{platform.machine()}-linux-gnu.2.28")
COMPILERS = ("c++", "g++", "clang++")


class BuildError(RuntimeError):
    """The library could not be built; the message says what to do about it."""


@dataclass(frozen=True)
class Target:
    """One library and the sources it is made of."""

    library: str
    sources: tuple[str, ...]


# What is free of Triton: part of both libraries.
PURE_SOURCES = (
    "allowance.cc",
    "arm_state.cc",
    "attributes.cc",
    "breaker.cc",
    "compare.cc",
    "confidence.cc",
    "config_words.cc",
    "decide.cc",
    "key_hash.cc",
    "key_set.cc",
    "latency.cc",
    "parse_arms.cc",
    "parse_protection.cc",
    "parse_request_rules.cc",
    "parse_words.cc",
    "picker.cc",
    "policy.cc",
    "recorder.cc",
    "request_log.cc",
    "rescue_budget.cc",
    "rules.cc",
    "sequence_pins.cc",
    "slow_start.cc",
    "tensor_view.cc",
)

TRAFFIC = Target(
    "libtriton_traffic.so",
    (
        "attempt.cc",
        "backend.cc",
        "call.cc",
        "check.cc",
        "child_trace.cc",
        "copy_request.cc",
        "copy_response.cc",
        "device_copy.cc",
        "forward.cc",
        "input_copies.cc",
        "metrics.cc",
        "observe.cc",
        "record_request.cc",
        "records.cc",
        "reply.cc",
        "request_view.cc",
        "response_output.cc",
        "server_thread.cc",
        "shadow.cc",
        "succession.cc",
        "watch.cc",
        *PURE_SOURCES,
    ),
)
# C entry points to them, which tests load into Python.
ROUTING = Target(
    "libnereid_routing.so",
    (
        "describe.cc",
        "entry.cc",
        "entry_log.cc",
        "entry_parts.cc",
        "entry_recorder.cc",
        "entry_stress.cc",
        *PURE_SOURCES,
    ),
)


@dataclass(frozen=True)
class Compiler:
    """How to call a compiler, the flags that only it needs, and its version for the stamp."""

    command: tuple[str, ...]
    flags: tuple[str, ...]
    version: str


def find_compiler() -> Compiler:
    """`NEREID_CXX=zig` forces zig, `CXX` names a compiler; else the first on the PATH, else zig."""
    if os.environ.get("NEREID_CXX") == "zig":
        return _zig()
    named = os.environ.get("NEREID_CXX") or os.environ.get("CXX")
    if named:
        command = named.split()
        if shutil.which(command[0]) is None:
            raise BuildError(
                f"the C++ compiler {command[0]!r} (from NEREID_CXX or CXX) is not there"
            )
        return Compiler(tuple(command), SYSTEM_FLAGS, _version(command))
    for name in COMPILERS:
        found = shutil.which(name)
        if found:
            return Compiler((found,), SYSTEM_FLAGS, _version([found]))
    return _zig()


def _zig() -> Compiler:
    if importlib.util.find_spec("ziglang") is None:
        raise BuildError("no C++ compiler: install g++ or clang++, or `pip install ziglang`")
    zig = [sys.executable, "-m", "ziglang"]
    version = subprocess.run([*zig, "version"], capture_output=True, text=True, check=False)
    return Compiler((*zig, "c++"), ZIG_FLAGS, f"zig {version.stdout.strip()}")


def _version(command: list[str]) -> str:
    result = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    lines = result.stdout.splitlines()
    if result.returncode != 0 or not lines:
        raise BuildError(f"{' '.join(command)} does not work: {result.stderr.strip()}")
    return lines[0]


def _stamp(target: Target, compiler: Compiler) -> str:
    digest = hashlib.sha256()
    described = [target.library, target.sources, FLAGS, compiler.flags, compiler.version]
    digest.update(json.dumps(described).encode())
    sources = [SOURCES / source for source in target.sources]
    for source in sorted([*sources, *SOURCES.glob("*.h")]):
        digest.update(f"{source.name}\0".encode() + source.read_bytes())
    return digest.hexdigest()


@contextmanager
def _locked() -> Iterator[None]:
    """Two builds at once (tests in parallel, a server being started) take turns."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(target: Target = TRAFFIC, *, force: bool = False, verbose: bool = True) -> Path:
    """Make `target` unless it is there already, made of the same things; the library's path."""
    compiler = find_compiler()
    library = BUILD / target.library
    stamp_file = library.with_suffix(".stamp")
    stamp = _stamp(target, compiler)
    with _locked():
        built = stamp_file.read_text() if library.exists() and stamp_file.exists() else ""
        if built == stamp and not force:
            _say(verbose, f"{target.library} is up to date")
            return library
        _say(verbose, f"building {target.library} with {compiler.version}")
        if compiler.flags == ZIG_FLAGS:
            _say(verbose, "zig compiles its C++ library first: about a minute, once")
        started = time.monotonic()
        _compile(target, compiler, library)
        stamp_file.write_text(stamp)
        _say(verbose, f"built {target.library} in {time.monotonic() - started:.1f} s")
    return library


def _compile(target: Target, compiler: Compiler, library: Path) -> None:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(lambda source: _object(SOURCES / source, compiler), target.sources))
    # A server may have the old file mapped: it must be replaced, never written into.
    fresh = library.with_suffix(".new")
    command = [*compiler.command, *compiler.flags, *FLAGS, "-shared", *objects, "-o", str(fresh)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0 and "cannot find -lstdc++" in result.stderr:
        # Some distributions ship the static C++ runtime apart: the shared one will do here.
        command = [word for word in command if word not in SYSTEM_FLAGS]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        fresh.unlink(missing_ok=True)
        raise _failure(target.library, command, result)
    fresh.replace(library)


def _object(source: Path, compiler: Compiler) -> str:
    """The compiled source, made unless it is there of the same source, headers and flags."""
    digest = hashlib.sha256(json.dumps([FLAGS, compiler.flags, compiler.version]).encode())
    for part in [source, *sorted(SOURCES.glob("*.h"))]:
        digest.update(f"{part.name}\0".encode() + part.read_bytes())
    folder = BUILD / "objects"
    folder.mkdir(exist_ok=True)
    made = folder / f"{source.stem}.{digest.hexdigest()[:16]}.o"
    if made.exists():
        return str(made)
    fresh = made.with_suffix(".new")
    flags = [flag for flag in compiler.flags if flag not in SYSTEM_FLAGS]
    command = [*compiler.command, *flags, *FLAGS, "-c", str(source), "-o", str(fresh)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise _failure(source.name, command, result)
    for old in folder.glob(f"{source.stem}.*.o"):
        old.unlink()
    fresh.replace(made)
    return str(made)


def _failure(
    made: str, command: Sequence[str], result: subprocess.CompletedProcess[str]
) -> BuildError:
    return BuildError(f"{made} did not compile.\n  {' '.join(command)}\n{result.stderr.rstrip()}")


def _say(verbose: bool, line: str) -> None:
    if verbose:
        print(f"  {line}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the native router.")
    parser.add_argument("--force", action="store_true", help="build even if nothing changed")
    parser.add_argument("--routing", action="store_true", help="build the test library too")
    arguments = parser.parse_args()
    try:
        build(TRAFFIC, force=arguments.force)
        if arguments.routing:
            build(ROUTING, force=arguments.force)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
