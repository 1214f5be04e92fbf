"""Writing what Envoy reads: each file in one step, and only when it says something else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from tritonclient.grpc import model_config_pb2, service_pb2

from control_plane.adapters.private_files import write_private


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
            write_private(path, content)
            changed.append(name)
    return changed


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
