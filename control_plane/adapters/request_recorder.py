"""`ports.recorder.RequestRecorder` by two folders (backends/traffic/recorder.h): one that this node
writes and the router reads, and one the other way."""

from __future__ import annotations

import contextlib
import os
import re
import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from control_plane.domain.perf.recording import MAGIC
from control_plane.ports.recorder import Recorded, RecordingAsk

_KEY = re.compile(r"[0-9a-f]{32}")
_SIZE = struct.Struct("=Q")
_MAX_REASON = 500


class FileRequestRecorder:
    """Asks and reads the recorder of the router beside this process.

    Args:
        asked: the folder of what is asked for; made where it is not there.
        recorded: the router's.
    """

    def __init__(self, asked: Path, recorded: Path) -> None:
        self._asked = asked
        self._recorded = recorded

    def ask(self, key: str, ask: RecordingAsk) -> None:
        self._asked.mkdir(parents=True, exist_ok=True)
        text = (
            "nereid record 1\n"
            f"endpoint {ask.endpoint}\nrequests {ask.requests}\nbytes {ask.bytes}\n"
            f"parts {ask.parts}\nuntil {ask.until_ms}\n"
        )
        asked = self._asked / f"{_checked(key)}.ask"
        with contextlib.suppress(FileNotFoundError):
            if asked.read_text() == text:
                return
        # A file of its own: another thread of the lane may ask at the same moment.
        descriptor, name = tempfile.mkstemp(prefix=f".{key}.", suffix=".new", dir=self._asked)
        fresh = Path(name)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
            fresh.chmod(0o644)  # the router may be another user's
            fresh.replace(asked)
        finally:
            fresh.unlink(missing_ok=True)

    def look(self, key: str) -> Recorded:
        for suffix in ("done", "part"):
            try:
                with self._at(key, suffix).open("rb") as file:
                    requests, size = _counted(file)
            except FileNotFoundError:
                continue
            return Recorded(begun=True, done=suffix == "done", requests=requests, bytes=size)
        try:
            said = self._at(key, "failed").read_text(errors="replace")[:_MAX_REASON]
        except FileNotFoundError:
            return Recorded()
        return Recorded(begun=True, failed=said or "the router does not say why")

    def content(self, key: str) -> bytes:
        return self._at(key, "done").read_bytes()

    def asked(self) -> Sequence[str]:
        try:
            names = [path.stem for path in self._asked.iterdir() if path.suffix == ".ask"]
        except FileNotFoundError:  # nothing was asked for yet
            return []
        return sorted(name for name in names if _KEY.fullmatch(name))

    def forget(self, key: str) -> None:
        (self._asked / f"{_checked(key)}.ask").unlink(missing_ok=True)

    def _at(self, key: str, suffix: str) -> Path:
        return self._recorded / f"{_checked(key)}.{suffix}"


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no key of a recording")
    return key


def _counted(file: BinaryIO) -> tuple[int, int]:
    """Whole requests, and bytes, that are in it so far."""
    size = os.fstat(file.fileno()).st_size
    count, at = 0, len(MAGIC)
    while at + _SIZE.size <= size:
        file.seek(at)
        [length] = _SIZE.unpack(file.read(_SIZE.size))
        at += _SIZE.size + length
        count += at <= size
    return count, size
