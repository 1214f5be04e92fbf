"""Reading a file once for its digest and once for the wire, telling how far it is."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from nereid.steps import BytesMoved

SUFFIXES = {
    ".onnx": "onnx",
    ".pt": "pytorch",
    ".pt2": "pytorch",
    ".pth": "pytorch",
    ".plan": "tensorrt",
    ".engine": "tensorrt",
    ".py": "python",
    ".graphdef": "tensorflow",
    ".xml": "openvino",
    ".dali": "dali",
}
TRANSFORMS = ("transform.yaml", "transform.yml", "transform.json")


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def framework_of(path: Path) -> str | None:
    """The framework that a file's name or suffix stands for, or None when it stands for none."""
    if path.name.lower().endswith(TRANSFORMS):
        return "transform"
    return SUFFIXES.get(path.suffix.lower())


class UploadFile(io.BufferedReader):
    """A file that reports how much of it was read.

    httpx streams a multipart file by ``read`` in small chunks, so the file never lies in memory
    as a whole, whatever its size.
    """

    def __init__(self, path: Path, on_bytes: BytesMoved | None = None) -> None:
        # The wrapper owns the raw file: closing it closes the file.
        super().__init__(io.FileIO(path, "rb"))
        self._total = path.stat().st_size
        self._on_bytes = on_bytes

    def read(self, size: int | None = -1, /) -> bytes:
        chunk = super().read(size)
        if self._on_bytes is not None:
            self._on_bytes(self.tell(), self._total)
        return chunk
