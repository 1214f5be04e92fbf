"""Configuration values to and from Triton's text format, through its own protobuf message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2

from control_plane.domain.planning.model_config import Config

MAX_TEXT = 1 << 20
"""Characters of a configuration that somebody sends."""


class UnreadableConfigError(ValueError):
    """The text is no model configuration; the message says where."""


def config_text(name: str, values: Config) -> str:
    """The text of `config.pbtxt` for a model of that name.

    Raises:
        google.protobuf.json_format.ParseError: a value that ModelConfig does not have.
    """
    placed = {"name": name, **values, **_from_the_root(name, values)}
    message = json_format.ParseDict(placed, model_config_pb2.ModelConfig())
    return text_format.MessageToString(message)


def _from_the_root(name: str, values: Config) -> Mapping[str, Any]:
    """Where libraries of operators lie, from the repository's root.

    Backends hand these paths to the system's loader, which looks from where Triton was started.
    """
    libraries = values.get("model_operations", {}).get("op_library_filename", ())
    if not libraries:
        return {}
    return {"model_operations": {"op_library_filename": [f"{name}/{one}" for one in libraries]}}


def plain_values(values: Config) -> dict[str, Any]:
    """The values as protobuf's JSON has them, without what is left at its default.

    Raises:
        google.protobuf.json_format.ParseError: a value that ModelConfig does not have.
    """
    message = json_format.ParseDict(dict(values), model_config_pb2.ModelConfig())
    found: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return found


def config_values(text: str) -> dict[str, Any]:
    """What a `config.pbtxt` says, as protobuf's JSON has it: defaults left out, 64-bit integers
    as texts.

    Raises:
        UnreadableConfigError: it is none, or has a word that this Nereid does not know.
    """
    if len(text) > MAX_TEXT:
        raise UnreadableConfigError(f"it has more than {MAX_TEXT} characters")
    try:
        message = text_format.Parse(text, model_config_pb2.ModelConfig())
        found: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    except (text_format.ParseError, ValueError, RecursionError) as error:
        raise UnreadableConfigError(str(error)[:500]) from error
    return found
