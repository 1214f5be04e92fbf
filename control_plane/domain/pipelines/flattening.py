"""Pipelines within pipelines, written out as one: a step that runs one becomes its steps.

Triton can nest ensembles, but each level costs another pass through its scheduler, and hides from
the statistics of the outer one which step was slow (docs/decisions).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from control_plane.domain.pipelines.members import Key, WiredStep, Wiring
from control_plane.domain.pipelines.patterns import PipelineKind
from control_plane.domain.violations import InvalidInputError, Violation

MAX_FLAT_STEPS = 256

INSIDE = "/"
"""Between a step's name and that of a step within it; no name holds one."""


def flattened(wiring: Wiring, inner: Mapping[Key, Wiring]) -> tuple[WiredStep, ...]:
    """Steps that run versions, cascades or averages, each after those it takes from.

    A step of an inner pipeline is named `<outer>/<inner>`, and so are tensors that stay inside.
    What only served an output that nobody takes is left out.

    Args:
        inner: by (name, number), the pipelines that steps run, at every depth.

    Raises:
        InvalidInputError: there are too many steps, or an input is needed by nothing any more.
    """
    steps = tuple(_needed(list(_written_out(wiring, inner)), wiring))
    if len(steps) > MAX_FLAT_STEPS:
        detail = f"{len(steps)} steps with those of the pipelines in it; at most {MAX_FLAT_STEPS}"
        raise InvalidInputError([Violation("/steps", "too_many", detail)])
    taken = {tensor for step in steps for tensor in step.inputs.values()}
    if idle := [t.name for t in wiring.signature.inputs if t.name not in taken]:
        detail = (
            f"input {idle[0]!r} is needed only for what a step's pipeline gives and nothing takes: "
            "use that, or leave the input out"
        )
        raise InvalidInputError([Violation("/inputs", "unused_input", detail)])
    return steps


def _written_out(wiring: Wiring, inner: Mapping[Key, Wiring]) -> Iterator[WiredStep]:
    for step in wiring.steps:
        within = inner[step.runs.key] if step.runs.pipeline else None
        # What runs its steps by itself is a model of its own, as a version is.
        if within is None or within.kind != PipelineKind.ENSEMBLE:
            yield step
            continue
        for one in _written_out(within, inner):
            yield WiredStep(
                name=f"{step.name}{INSIDE}{one.name}",
                runs=one.runs,
                inputs={own: _outside(step, t, wiring) for own, t in one.inputs.items()},
                outputs={own: _outside(step, t, wiring) for own, t in one.outputs.items()},
            )


def _outside(step: WiredStep, tensor: str, wiring: Wiring) -> str:
    """The outer pipeline's name of an inner tensor."""
    if (handed_on := {**step.inputs, **step.outputs}.get(tensor)) is not None:
        return handed_on
    name = f"{step.name}{INSIDE}{tensor}"
    while name in wiring.tensors:  # tensors, other than steps, may be named anything
        name += INSIDE
    return name


def _needed(steps: Iterable[WiredStep], wiring: Wiring) -> list[WiredStep]:
    """Without tensors, and then steps, that nothing takes."""
    wanted = {tensor.name for tensor in wiring.signature.outputs}
    kept: list[WiredStep] = []
    for step in reversed(list(steps)):
        outputs = {own: tensor for own, tensor in step.outputs.items() if tensor in wanted}
        if outputs:
            wanted |= set(step.inputs.values())
            kept.append(replace(step, outputs=outputs))
    return kept[::-1]
