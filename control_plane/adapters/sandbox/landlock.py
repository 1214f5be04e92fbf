"""Landlock: which folders this process may read and write from now on (Linux 5.13 and later)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same numbers on every machine
_VERSION_FLAG = 1
_RULE_PATH = 1

_EXECUTE, _WRITE, _READ, _LIST = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_BASIC = (1 << 13) - 1  # what the first version handles
_REFER, _TRUNCATE, _IOCTL = 1 << 13, 1 << 14, 1 << 15
_FILE_ONLY = _EXECUTE | _WRITE | _READ | _TRUNCATE


def confine_files(readable: Iterable[Path], writable: Iterable[Path]) -> bool:
    """Leaves this process these folders alone, for good; False where the kernel cannot.

    What is open already stays open. Folders that are not there are passed over. Two processes
    with different rules cannot look into each other either, whoever owns them.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE, None, 0, _VERSION_FLAG)
    if version < 1:
        return False
    handled = _BASIC
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL)):
        handled |= right if version >= since else 0
    attributes = struct.pack("=Q", handled)
    ruleset = libc.syscall(_CREATE, attributes, len(attributes), 0)
    if ruleset < 0:
        return False
    try:
        for path in readable:
            _allow(libc, ruleset, path, _EXECUTE | _READ | _LIST)
        for path in writable:
            _allow(libc, ruleset, path, handled & ~_EXECUTE)
        return libc.syscall(_RESTRICT, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not path.is_dir():
                rights &= _FILE_ONLY
            rule = struct.pack("=Qi", rights, descriptor)
            if libc.syscall(_ADD_RULE, ruleset, _RULE_PATH, rule, 0) != 0:
                raise OSError(ctypes.get_errno(), f"no Landlock rule for {path}")
        finally:
            os.close(descriptor)
