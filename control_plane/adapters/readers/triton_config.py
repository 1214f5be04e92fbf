"""Reading the config.pbtxt that an archive may bring along."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from control_plane.adapters.readers.refusal import RefusedError
from control_plane.domain.registry.frameworks import UPLOADED_CONFIG as FILE
from control_plane.domain.registry.uploaded_config import (
    ConfigRefusedError,
    code_of,
    details_of,
    parameters_of,
    signature_of,
)

MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Configured:
    """What it says: the signature document, or None, what it names that can carry code, the
    backend's parameters, and what else goes with the version.
    """

    signature: dict[str, Any] | None = None
    code: tuple[str, ...] = ()
    parameters: dict[str, str] = field(default_factory=dict)
    model_config: dict[str, Any] = field(default_factory=dict)


def read(files: dict[str, str], framework: str) -> Configured:
    """The archive's config.pbtxt, checked; nothing where there is none.

    Raises:
        RefusedError: it cannot be read, or sets what an upload may not set.
    """
    if FILE not in files:
        return Configured()
    path = Path(files[FILE])
    if path.stat().st_size > MAX_BYTES:
        raise RefusedError(f"{FILE} has more than {MAX_BYTES} bytes")
    from google.protobuf import json_format, text_format
    from tritonclient.grpc import model_config_pb2

    try:
        message = text_format.Parse(path.read_bytes(), model_config_pb2.ModelConfig())
        values = json_format.MessageToDict(message, preserving_proto_field_name=True)
    except (text_format.ParseError, ValueError, RecursionError) as error:
        raise RefusedError(f"{FILE} cannot be read: {str(error)[:500]}") from error
    try:
        code = code_of(values, framework, set(files))
        details = details_of(values, framework)
        return Configured(signature_of(values), code, parameters_of(values), details)
    except ConfigRefusedError as error:
        raise RefusedError(f"{FILE}: {error}") from error
