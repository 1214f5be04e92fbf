"""Where the steps of a cascade and of a weighted average stand when they are drawn.

Those of a cascade stand like stairs, each lower than the one whose unsure rows it gets; those of an
average beside each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from control_plane.domain.pipelines.document import Pipeline
from control_plane.domain.pipelines.layout import (
    GAP_ACROSS,
    GAP_ALONG,
    HEIGHT,
    LABEL_ROOM,
    MARGIN,
    WIDTH,
    Drawing,
    Edge,
    Node,
    tensor_words,
)
from control_plane.domain.pipelines.members import Wiring
from control_plane.domain.pipelines.patterns import PipelineKind

_STAIR = WIDTH * 3 // 4


def pattern_drawing(pipeline: Pipeline, wiring: Wiring) -> Drawing:
    """The steps from what callers send, at the top, to what they get."""
    cascade = pipeline.kind == PipelineKind.CASCADE
    across, along = (_STAIR, HEIGHT + GAP_ALONG) if cascade else (WIDTH + GAP_ACROSS, 0)
    count = len(wiring.steps)
    stairs = WIDTH + (count - 1) * across
    signature = wiring.signature
    names = [[tensor.name for tensor in side] for side in (signature.inputs, signature.outputs)]
    widest = max(stairs, *(_row(len(side)) for side in names))
    width = 2 * MARGIN + widest
    top = MARGIN + HEIGHT + GAP_ALONG
    left = (width - stairs) // 2
    steps = [
        Node(step.name, "step", left + i * across, top + i * along, step)
        for i, step in enumerate(wiring.steps)
    ]
    bottom = steps[-1].y + HEIGHT + GAP_ALONG
    inputs = list(_boxes("input", names[0], width, MARGIN))
    outputs = list(_boxes("output", names[1], width, bottom))
    edges = _cascade_edges if cascade else _average_edges
    return Drawing(
        (*inputs, *steps, *outputs),
        tuple(edges(pipeline, wiring, inputs, steps, outputs)),
        width + LABEL_ROOM,
        bottom + HEIGHT + MARGIN,
    )


def _row(count: int) -> int:
    return count * WIDTH + (count - 1) * GAP_ACROSS


def _boxes(kind: str, names: Sequence[str], width: int, y: int) -> Iterator[Node]:
    left = (width - _row(len(names))) // 2
    for i, name in enumerate(names):
        yield Node(name, kind, left + i * (WIDTH + GAP_ACROSS), y)


def _cascade_edges(
    pipeline: Pipeline,
    wiring: Wiring,
    inputs: Sequence[Node],
    steps: Sequence[Node],
    outputs: Sequence[Node],
) -> Iterator[Edge]:
    for one in inputs:
        yield Edge(one.name, f"{one.name} {tensor_words(wiring, one.name)}", one, steps[0])
    for said, node, below in zip(pipeline.steps, steps, steps[1:], strict=False):
        yield Edge("", f"rows less sure than {said.at_least:g}", node, below)
    yield from _giving(wiring, steps, outputs)


def _average_edges(
    pipeline: Pipeline,
    wiring: Wiring,
    inputs: Sequence[Node],
    steps: Sequence[Node],
    outputs: Sequence[Node],
) -> Iterator[Edge]:
    for one in inputs:
        for i, node in enumerate(steps):
            label = "" if i else f"{one.name} {tensor_words(wiring, one.name)}"
            yield Edge(one.name, label, one, node)
    weights = [1.0 if step.weight is None else step.weight for step in pipeline.steps]
    shares = [f"{weight / sum(weights):.3g} of the mean" for weight in weights]
    yield from _giving(wiring, steps, outputs, shares)


def _giving(
    wiring: Wiring, steps: Sequence[Node], outputs: Sequence[Node], shares: Sequence[str] = ()
) -> Iterator[Edge]:
    """From every step to what callers get; what that is stands at the last one, or its share.

    All steps give all of it: from the others there is a line to the first alone.
    """
    for i, node in enumerate(steps):
        last = node is steps[-1]
        for k, one in enumerate(outputs if last else outputs[:1]):
            label = ""
            if shares:
                label = "" if k else shares[i]
            elif last:
                label = f"{one.name} {tensor_words(wiring, one.name)}"
            yield Edge(one.name, label, node, one, k)
