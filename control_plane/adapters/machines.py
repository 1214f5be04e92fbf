"""Server flags and hardware profiles, read from `triton_configs/server` and `…/hardware`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from control_plane.domain.names import is_public_name
from control_plane.domain.planning.model_config import ACCELERATORS
from control_plane.domain.serving.hardware import HardwareProfile
from control_plane.domain.serving.section import Section
from control_plane.domain.serving.server_flags import ServerFlags

CONFIGS = Path(__file__).resolve().parents[2] / "triton_configs"

DEFAULT_SERVER = "default"

_Kind = TypeVar("_Kind", bound=Section)


class MachineFileError(ValueError):
    """There is no such file, or it holds what cannot be; the message names it and the place."""


def server_names() -> tuple[str, ...]:
    """The server configurations there are, sorted."""
    return _names(CONFIGS / "server")


def hardware_names() -> tuple[str, ...]:
    """The hardware profiles there are, sorted."""
    return _names(CONFIGS / "hardware")


@cache
def load_server(name: str) -> ServerFlags:
    """The server configuration of that name.

    Raises:
        MachineFileError: there is none, or it cannot be read.
    """
    return _load(ServerFlags, CONFIGS / "server", name)


@cache
def load_hardware(name: str) -> HardwareProfile:
    """The hardware profile of that name.

    Raises:
        MachineFileError: there is none, or it cannot be read.
    """
    if name in ACCELERATORS:
        raise MachineFileError(f"{name!r} is an accelerator: a hardware profile has another name")
    return _load(HardwareProfile, CONFIGS / "hardware", name)


def _names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(p.stem for p in folder.glob("*.yaml") if is_public_name(p.stem)))


def _load(kind: type[_Kind], folder: Path, name: str) -> _Kind:
    if name not in _names(folder):
        there = ", ".join(_names(folder))
        raise MachineFileError(f"there is no {name!r} in triton_configs/{folder.name}: {there}")
    where = f"triton_configs/{folder.name}/{name}.yaml"
    try:
        values: Any = yaml.safe_load((folder / f"{name}.yaml").read_text())
        return kind.model_validate({"name": name, **(values or {})})
    except ValidationError as error:
        first = error.errors()[0]
        place = "/" + "/".join(str(part) for part in first["loc"])
        raise MachineFileError(f"{where}: {place}: {first['msg']}") from error
    except (OSError, yaml.YAMLError, TypeError) as error:
        raise MachineFileError(f"{where}: {error}") from error
