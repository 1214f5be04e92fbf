"""Where the process is, and what its model is called: the model's own file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from settings import SettingError

DEFAULT_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Address:
    """`host:port` of a gRPC service of the v2 protocol, and the model there."""

    address: str
    model: str
    timeout_s: float = DEFAULT_TIMEOUT_S


def read_address(path: Path) -> Address:
    """Reads `{"address": "127.0.0.1:8001", "model": "double", "timeout_s": 30}`.

    Raises:
        SettingError: it holds something else.
    """
    try:
        said = json.loads(path.read_text())
        found = Address(
            str(said["address"]),
            str(said["model"]),
            float(said.get("timeout_s", DEFAULT_TIMEOUT_S)),
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SettingError(f"{path.name} names no process: {error!r}") from None
    if found.timeout_s <= 0:
        raise SettingError(f"{path.name}: timeout_s is above 0, not {found.timeout_s:g}")
    return found
