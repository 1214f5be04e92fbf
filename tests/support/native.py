"""Builds the native test programs of tests/native, with or without a sanitizer, and runs them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from backends.build import SOURCES, TRAFFIC, find_compiler

CHECKOUT = Path(__file__).resolve().parents[2]
NATIVE = CHECKOUT / "tests" / "native"
BUILD = CHECKOUT / "build" / "native"

HARNESS = (
    "router_harness.cc",
    "broken_rules.cc",
    "faults.cc",
    "scenarios.cc",
    "fake_arms.cc",
    "fake_backend.cc",
    "fake_cuda.cc",
    "fake_metrics.cc",
    "fake_model.cc",
    "fake_server.cc",
    "fake_statistics.cc",
)

# What the executable has is found by dlsym: its CUDA runtime.
LINKED = ("-pthread", "-ldl", "-rdynamic")


class NativeBuildError(RuntimeError):
    """A program did not compile; the message is the compiler's."""


@dataclass(frozen=True)
class Flavour:
    """How a program is compiled: its flags, and the environment that it then runs in."""

    name: str
    flags: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict, hash=False)


# Every report ends the process: a test that only prints would pass.
ADDRESS = Flavour(
    "address",
    (
        "-O1",
        "-g",
        "-fno-omit-frame-pointer",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
    ),
    {
        "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    },
)
THREAD = Flavour(
    "thread",
    ("-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=thread"),
    {"TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1"},
)
FUZZ = Flavour(
    "fuzz",
    (
        "-O1",
        "-g",
        "-fno-omit-frame-pointer",
        "-fsanitize=fuzzer,address,undefined",
        "-fno-sanitize-recover=all",
    ),
)
PLAIN = Flavour("plain", ("-O2", "-g"))

# The fake server does not need a router's load to wait for the one before.
SETTLED = ("-DNEREID_SETTLE_NS=0",)


def router_sources() -> list[Path]:
    """All that the router is made of."""
    return [SOURCES / name for name in TRAFFIC.sources]


def harness(flavour: Flavour) -> Path:
    """The router linked with the fake server instead of Triton."""
    sources = [NATIVE / name for name in HARNESS]
    return program("router_harness", [*sources, *router_sources()], flavour)


def program(name: str, sources: Sequence[Path], flavour: Flavour, *, compiler: str = "") -> Path:
    """Compiles what changed since the last time, two sources at a time, and links.

    Raises:
        NativeBuildError: with what the compiler said.
    """
    folder = BUILD / flavour.name
    folder.mkdir(parents=True, exist_ok=True)
    command = [compiler] if compiler else list(find_compiler().command)
    headers = hashlib.sha256()
    for header in sorted([*NATIVE.glob("*.h"), *SOURCES.glob("*.h")]):
        headers.update(header.read_bytes())
    described = f"{command} {SETTLED} {flavour.flags} {headers.hexdigest()}"
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
            objects = list(
                pool.map(lambda s: _object(s, folder, command, flavour, described), sources)
            )
        binary = folder / name
        # A running program keeps its file: a fresh one takes the name.
        fresh = folder / f"{name}.new"
        _run([*command, *flavour.flags, *map(str, objects), *LINKED, "-o", str(fresh)])
        fresh.replace(binary)
    return binary


def _object(
    source: Path, folder: Path, command: list[str], flavour: Flavour, described: str
) -> Path:
    text = source.read_bytes()
    stamp = hashlib.sha256(f"{source} {described}".encode() + text).hexdigest()[:20]
    built = folder / f"{source.stem}-{stamp}.o"
    if not built.exists():
        for old in folder.glob(f"{source.stem}-{'?' * 20}.o"):
            old.unlink()
        fresh = built.with_suffix(".new")
        flags = ["-std=c++17", "-Wall", "-Wextra", *SETTLED, *flavour.flags]
        _run([*command, *flags, "-c", str(source), "-o", str(fresh)])
        fresh.replace(built)
    return built


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NativeBuildError(f"{' '.join(command)}\n{done.stderr[-6000:]}")


def run(
    binary: Path, *arguments: str, flavour: Flavour = PLAIN, timeout_s: float = 240
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end under its flavour's rules; output is text, both streams in one."""
    return subprocess.run(
        [str(binary), *arguments],
        env={**os.environ, **flavour.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
