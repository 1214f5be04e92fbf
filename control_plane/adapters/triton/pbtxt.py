"""Configuration values printed as Triton's text format, through its own protobuf message."""

from __future__ import annotations

from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2

from control_plane.domain.planning.model_config import Config


def config_text(name: str, values: Config) -> str:
    """The text of `config.pbtxt` for a model of that name.

    Raises:
        google.protobuf.json_format.ParseError: a value that ModelConfig does not have.
    """
    message = json_format.ParseDict({"name": name, **values}, model_config_pb2.ModelConfig())
    return text_format.MessageToString(message)
