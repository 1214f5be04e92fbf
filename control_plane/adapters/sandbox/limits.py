"""Everything that this process gives up before it looks at an untrusted file."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from control_plane.adapters.sandbox.landlock import confine_files
from control_plane.adapters.sandbox.seccomp import refuse_system_calls

_CLONE_NEWNET, _CLONE_NEWUSER, _CLONE_NEWIPC = 0x40000000, 0x10000000, 0x08000000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CAPABILITY_VERSION = 0x20080522

_OPEN_FILES = 512
_PROCESSES = 4096
"""Where the kernel cannot refuse new processes: how many this user may have in all."""

# What a Python program and its libraries read. Not our own home: keys and data lie there.
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc", "/proc", "/sys", "/dev", "/opt/conda")


class NoSandboxError(RuntimeError):
    """A limit that has to hold cannot be set here: nothing untrusted is read."""


@dataclass(frozen=True)
class Limits:
    """What one reader may use: bytes, seconds, and two folders.

    `readable` and `writable` are what it gets beside Python itself.
    """

    memory_bytes: int
    cpu_s: int
    file_bytes: int
    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()

    def to_document(self) -> dict[str, Any]:
        return {
            "memory_bytes": self.memory_bytes,
            "cpu_s": self.cpu_s,
            "file_bytes": self.file_bytes,
            "readable": [str(path) for path in self.readable],
            "writable": [str(path) for path in self.writable],
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Limits:
        return cls(
            memory_bytes=document["memory_bytes"],
            cpu_s=document["cpu_s"],
            file_bytes=document["file_bytes"],
            readable=tuple(Path(path) for path in document["readable"]),
            writable=tuple(Path(path) for path in document["writable"]),
        )


def enter(limits: Limits) -> list[str]:
    """Limits this process for good; it has one thread yet, and has read nothing untrusted.

    Returns:
        What could not be limited, in words that fit "without …"; empty where all is.

    Raises:
        NoSandboxError: memory, time, file sizes or the network cannot be limited here.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _set_resources(limits)
    own_network = _leave_network(libc)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    missing = []
    if not confine_files((*_python(), *limits.readable), limits.writable):
        missing.append("a limit on which files it may read (this kernel has no Landlock)")
    _drop_capabilities(libc)
    filtered = refuse_system_calls()
    if not (own_network or filtered):
        raise NoSandboxError(
            "this machine can cut a process off from the network neither by namespaces nor by "
            "seccomp: allow one of them where the workers and the API run"
        )
    if not filtered:
        missing.append("a bar to other processes (this kernel has no seccomp filters)")
        resource.setrlimit(resource.RLIMIT_NPROC, (_PROCESSES, _PROCESSES))
    return missing


def _set_resources(limits: Limits) -> None:
    try:
        for kind, value in (
            (resource.RLIMIT_AS, limits.memory_bytes),
            (resource.RLIMIT_FSIZE, limits.file_bytes),
            (resource.RLIMIT_NOFILE, _OPEN_FILES),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(kind, (value, value))
        # The second is the kernel's last word; before it a signal that says why.
        resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + 5))
    except (OSError, ValueError) as error:
        raise NoSandboxError(f"a limit cannot be set here: {error}") from error
    # A file that grows too large is an error to the writer, in words, not its end.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def _leave_network(libc: ctypes.CDLL) -> bool:
    """A network of its own, with nothing in it; False where namespaces are not allowed."""
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWIPC) != 0:
        return False
    # The same names as outside: libraries ask who they are.
    with contextlib.suppress(OSError):
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return True


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Root, too, then writes only what the files' modes let it."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    libc.capset(header, bytes(24))


def _python() -> list[Path]:
    checkout = Path(__file__).resolve().parents[3]
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    ours = [checkout / "control_plane" / part for part in ("adapters", "domain", "ports")]
    ours += [checkout / "control_plane" / "__init__.py", checkout / "backends"]
    return [*map(Path, (*_SYSTEM, *prefixes)), *ours]
