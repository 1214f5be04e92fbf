"""Writing what Envoy reads: each file in one step, and only when it says something else."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from tritonclient.grpc import model_config_pb2, service_pb2


def descriptors() -> bytes:
    """Triton's gRPC messages, compiled: a `FileDescriptorSet`."""
    found = FileDescriptorSet()
    for module in (model_config_pb2, service_pb2):
        module.DESCRIPTOR.CopyToProto(found.file.add())
    return found.SerializeToString(deterministic=True)


def write_files(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Brings the folder to these contents, in their order; returns the names that changed.

    They are its owner's alone: tokens may be in them. Envoy sees each rename, no half a file.

    Raises:
        OSError: the disk is full, or the folder is not ours; what was there stays.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    changed = []
    for name, content in files.items():
        path = folder / name
        if _content(path) != content:
            _replace(path, content)
            changed.append(name)
    return changed


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _replace(path: Path, content: bytes) -> None:
    # mkstemp makes the file 0600 from the start, whatever the umask is.
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
