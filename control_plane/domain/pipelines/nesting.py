"""How deep pipelines stand in each other, and how many steps that makes: both have an end.

A few documents can mean more steps than there is memory for: 64 steps that run one pipeline of 64
are 4,096, and one more level a quarter of a million. They are counted before they are written out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from control_plane.domain.pipelines.document import Pipeline
from control_plane.domain.pipelines.members import Key
from control_plane.domain.violations import InvalidInputError, Violation

MAX_LEVELS = 16
"""A pipeline of versions alone is one level."""

MAX_STEPS_WITHIN = 1024
"""Steps that run versions, at every level: also those that are left out as nothing takes them."""


class _Size(NamedTuple):
    steps: int
    levels: int


def check_nesting(pipeline: Pipeline, inner: Mapping[Key, Pipeline]) -> None:
    """Refuses a pipeline that is too deep, or too large with all that stands in it.

    Args:
        inner: by (name, number), the pipelines that its steps run, at every level; one that is
            missing counts as a step.

    Raises:
        InvalidInputError: it is one of these.
    """
    size = _size(pipeline, inner, {}, 1)
    if size.steps > MAX_STEPS_WITHIN:
        detail = (
            f"{size.steps} steps with all those of the pipelines in it; at most {MAX_STEPS_WITHIN}"
        )
        raise InvalidInputError([Violation("/steps", "too_many", detail)])


def _size(
    pipeline: Pipeline, inner: Mapping[Key, Pipeline], known: dict[Key, _Size], level: int
) -> _Size:
    steps, levels = 0, 1
    for i, step in enumerate(pipeline.steps):
        within = inner.get(step.runs.key) if step.runs.pipeline else None
        if within is None:
            steps += 1
            continue
        size = known.get(step.runs.key)
        # What is too deep is not gone into: the depth is an end for this function, too.
        if level + (size.levels if size else 1) > MAX_LEVELS:
            detail = f"pipelines within pipelines, more than {MAX_LEVELS} levels deep"
            raise InvalidInputError([Violation(f"/steps/{i}", "too_deep", detail)])
        size = size or _size(within, inner, known, level + 1)
        known[step.runs.key] = size
        steps += size.steps
        levels = max(levels, size.levels + 1)
    return _Size(steps, levels)
