"""`stack.json`: how other programs find the running stack and what they need to speak to it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from control_plane.adapters.private_files import write_private
from stack.services import OF_EACH_SERVER
from stack.settings import Secrets, StackSettings
from stack.triton import shm_headers


def describe(
    settings: StackSettings, keys: Secrets, *, token: str, pids: Mapping[str, int]
) -> dict[str, Any]:
    """The content, whose keys are a contract with programs outside this repository.

    Its headers open shared memory only: the key of the model repository stays with Nereid.
    `triton` is the first of `servers`; `processes` are their names among `pids`; `edge` is null
    where no proxy stands in front of them.
    """
    return {
        "api": settings.api_origin,
        "console": f"{settings.api_origin}/",
        "triton": {
            "http": settings.triton_http,
            "grpc": settings.triton_grpc,
            "metrics": settings.triton_metrics,
            "headers": shm_headers(keys.shm_key),
        },
        "servers": [
            {
                "name": server.name,
                "http": server.http,
                "grpc": server.grpc,
                "metrics": server.metrics,
                "gate": server.gate,
                "repository": str(server.model_repository),
                "processes": {kind: server.process(kind) for kind in OF_EACH_SERVER},
            }
            for server in settings.servers
            if settings.embeds_triton
        ],
        "edge": None
        if settings.edge is None
        else {"http": settings.edge.http, "grpc": settings.edge.grpc},
        "token": token,
        "pids": dict(pids),
    }


def write(path: Path, content: Mapping[str, Any]) -> None:
    write_private(path, json.dumps(content, indent=2) + "\n")


def read(path: Path) -> dict[str, Any] | None:
    """What one of a stack's files of JSON says; None where the stack has not written it."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return content
