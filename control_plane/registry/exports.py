"""Versions as plain Triton model directories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from control_plane.domain.adoption.exporting import Exported, exported
from control_plane.domain.serving.overriding import overridden
from control_plane.domain.violations import ConflictError
from control_plane.registry.models import ModelVersion
from control_plane.registry.selectors import get_version, ready_versions, version_specs


def export_version(
    model: str, number: int | str, overrides: Mapping[str, Any] | None = None
) -> tuple[ModelVersion, Exported]:
    """A version, and what is written for it.

    Args:
        overrides: laid over its serving profile.

    Raises:
        NotFoundError: there is no such version.
        ConflictError: it is not ready, or its serving profile cannot be read.
        InvalidInputError: the overrides do not fit its profile (any more).
    """
    version = get_version(model, number)
    key = (version.model.name, version.number)
    spec = version_specs(ready_versions([key])).get(key)
    if spec is None:
        raise ConflictError(f"{model}:{version.number} is {version.state}: it is not ready")
    if overrides and spec.profile:
        spec = replace(spec, profile=overridden(spec.profile, overrides, "/overrides"))
    return version, exported(spec)
