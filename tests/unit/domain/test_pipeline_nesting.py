"""Pipelines within pipelines have an end, found by counting and not by writing them out."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.domain.pipelines.document import Pipeline, read_pipeline
from control_plane.domain.pipelines.members import Key
from control_plane.domain.pipelines.nesting import MAX_LEVELS, check_nesting
from control_plane.domain.planning.pipelines import Parts, PipelineSpec, checked
from control_plane.domain.violations import InvalidInputError
from tests.support.plans import version


def steps(name: str, number: int, field: str = "pipeline") -> list[dict[str, Any]]:
    other = "revision" if field == "pipeline" else "version"
    return [{"name": f"s{i}", field: name, other: 1} for i in range(number)]


def tower(levels: int, width: int, **more: Any) -> tuple[Pipeline, dict[Key, Pipeline]]:
    """Each level runs the one below it `width` times; the lowest one runs a version."""
    inner: dict[Key, Pipeline] = {}
    found = read_pipeline("level-1", {"steps": steps("m", width, "model"), **more})
    for level in range(2, levels + 1):
        inner[f"level-{level - 1}", 1] = found
        document = {"steps": steps(f"level-{level - 1}", width), **more}
        found = read_pipeline(f"level-{level}", document)
    return found, inner


AVERAGE = {"kind": "weighted_average"}


@pytest.mark.parametrize("more", [{}, AVERAGE])
def test_a_tower_of_many_steps_is_refused_without_being_written_out(more: Any) -> None:
    with pytest.raises(InvalidInputError, match="steps with all those of the pipelines in it"):
        check_nesting(*tower(10, 64, **more))


def test_a_tower_of_one_step_is_refused_where_it_is_too_deep() -> None:
    check_nesting(*tower(MAX_LEVELS, 1))
    with pytest.raises(InvalidInputError, match="levels deep"):
        check_nesting(*tower(MAX_LEVELS + 1, 1))
    with pytest.raises(InvalidInputError, match="levels deep"):
        check_nesting(*tower(5000, 1))


def test_a_pipeline_is_counted_before_its_tensors_are_looked_at() -> None:
    """Averages of averages are a step each where they are written out, and so have no end there."""
    pipeline, inner = tower(10, 64, **AVERAGE)
    specs = {key: PipelineSpec(key[0], 1, one) for key, one in inner.items()}
    with pytest.raises(InvalidInputError, match="steps with all those of the pipelines in it"):
        checked(pipeline, Parts({("m", 1): version(1, model="m")}, specs))
