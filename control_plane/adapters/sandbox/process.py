"""Starting a reader and hearing what it says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from control_plane.adapters.sandbox.limits import Limits
from control_plane.ports.inspection import (
    InspectionFailedError,
    InvalidModelError,
    SandboxUnavailableError,
)

CHECKOUT = Path(__file__).resolve().parents[3]

_READERS = "control_plane.adapters.readers"

# Only these reach the process: it has no business with our secrets.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV", "LD_LIBRARY_PATH")

_MAX_SAID = 16 << 20
"""Bytes of an answer: a signature is some hundreds, a difference a sentence."""


@dataclass(frozen=True)
class Said:
    """A reader's answer, and what it could not be limited in."""

    result: Mapping[str, Any]
    unlimited: tuple[str, ...]


def run_reader(task: str, arguments: Mapping[str, Any], limits: Limits, wall_s: float) -> Said:
    """Runs one task of `control_plane.adapters.readers` in a fresh, limited process.

    Raises:
        InvalidModelError: the reader refuses the file, in its own words.
        InspectionFailedError: it came to no end in time, or broke.
        SandboxUnavailableError: a limit that has to hold cannot be set on this machine.
    """
    scratch = limits.writable[0] if limits.writable else Path(tempfile.gettempdir())
    environment = {k: v for k, v in os.environ.items() if k in _ENVIRONMENT}
    # Caches of libraries go where it may write, and its threads are not our cores.
    environment |= {"HOME": str(scratch), "TMPDIR": str(scratch), "OMP_NUM_THREADS": "2"}
    environment |= {"OPENBLAS_NUM_THREADS": "2", "PYTHONDONTWRITEBYTECODE": "1"}
    request = {"task": task, "limits": limits.to_document(), "arguments": dict(arguments)}
    # Files, not pipes: what it writes counts against its own limit, never against our memory.
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as words:
        try:
            process = subprocess.run(
                [sys.executable, "-m", _READERS],
                cwd=CHECKOUT,
                env=environment,
                input=json.dumps(request).encode(),
                stdout=answer,
                stderr=words,
                timeout=wall_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise InspectionFailedError(f"reading the file took over {wall_s:.0f} s") from error
        answer.seek(0)
        words.seek(0, os.SEEK_END)
        words.seek(max(0, words.tell() - 4096))
        return _understood(process.returncode, answer.read(_MAX_SAID), words.read())


def _understood(code: int, answer: bytes, words: bytes) -> Said:
    if code != 0:
        raise InspectionFailedError(f"the file broke its reader: {_last_words(code, words)}")
    try:
        document = json.loads(answer)
        if "unavailable" in document:
            raise SandboxUnavailableError(str(document["unavailable"]))
        if "refused" in document:
            raise InvalidModelError(str(document["refused"]))
        return Said(document["result"], tuple(document["unlimited"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, InvalidModelError):
            raise
        raise InspectionFailedError("its reader said nothing that can be understood") from error


def _last_words(code: int, words: bytes) -> str:
    if code == -signal.SIGXCPU:
        return "it took too much processor time"
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    lines = words.decode(errors="replace").strip().splitlines()
    return (lines[-1:] or ["no message"])[0][:500]
