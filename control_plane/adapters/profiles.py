"""Serving profiles, read from `triton_configs/profiles/*.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from control_plane.domain.serving.profile import ServingProfile

PROFILES = Path(__file__).resolve().parents[2] / "triton_configs" / "profiles"

DEFAULT_PROFILE = "realtime"


@cache
def profile_names() -> tuple[str, ...]:
    """The profiles there are, sorted."""
    return tuple(sorted(path.stem for path in PROFILES.glob("*.toml")))


@cache
def load_profile(name: str) -> ServingProfile:
    """The profile of that name.

    Raises:
        KeyError: there is none.
        ValueError: its file cannot be read, or holds a key or a value that is not known.
    """
    if name not in profile_names():
        raise KeyError(name)
    try:
        values = tomllib.loads((PROFILES / f"{name}.toml").read_text())
        return ServingProfile.from_values(name, values)
    except (OSError, TypeError, AttributeError) as error:
        raise ValueError(f"profile {name}: {error}") from error
