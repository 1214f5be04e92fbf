"""Versions as plain Triton model directories."""

from __future__ import annotations

from control_plane.domain.adoption.exporting import Exported, exported
from control_plane.domain.violations import ConflictError
from control_plane.registry.models import ModelVersion
from control_plane.registry.selectors import get_version, ready_versions, version_specs


def export_version(model: str, number: int | str) -> tuple[ModelVersion, Exported]:
    """A version, and what is written for it.

    Raises:
        NotFoundError: there is no such version.
        ConflictError: it is not ready, or its serving profile cannot be read.
    """
    version = get_version(model, number)
    key = (version.model.name, version.number)
    spec = version_specs(ready_versions([key])).get(key)
    if spec is None:
        raise ConflictError(f"{model}:{version.number} is {version.state}: it is not ready")
    return version, exported(spec)
