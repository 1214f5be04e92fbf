"""Where the steps of a pipeline stand when it is drawn: in layers, each after what it takes from.

Units are those of the drawing. A layer is as far along as its longest way from an input; within
one, steps stand in the order of those they take from, so that few edges cross.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from control_plane.domain.pipelines.members import WiredStep, Wiring

WIDTH, HEIGHT = 190, 54
GAP_ACROSS, GAP_ALONG = 26, 58
MARGIN = 12
LABEL = 14
"""The height of a line of text."""
LABEL_ROOM = 120
"""For labels of the last column: they stand to the right of what they are about."""


@dataclass(frozen=True)
class Node:
    """A box; `kind` is step, input or output."""

    name: str
    kind: str
    x: int
    y: int
    step: WiredStep | None = None

    @property
    def middle(self) -> int:
        return self.x + WIDTH // 2


@dataclass(frozen=True)
class Edge:
    """A tensor on its way down from one box to the next; `label` says its type and shape.

    `place` counts the tensors of its source: labels stand below each other. Where several take one
    it is said once, and the others' label is empty.
    """

    tensor: str
    label: str
    source: Node
    target: Node
    place: int = 0

    @property
    def path(self) -> str:
        """An SVG path from the lower edge of one box to the upper edge of the other."""
        start, end = self.source.y + HEIGHT, self.target.y
        half = (start + end) // 2
        return (
            f"M{self.source.middle},{start} C{self.source.middle},{half} "
            f"{self.target.middle},{half} {self.target.middle},{end}"
        )

    @property
    def label_at(self) -> tuple[int, int]:
        """Below the box that it comes from."""
        return self.source.middle + 8, self.source.y + HEIGHT + LABEL * (self.place + 1) + 3


@dataclass(frozen=True)
class Drawing:
    """The boxes and what leads from one to the other, in a frame of that size."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    width: int
    height: int


def drawing(wiring: Wiring, steps: Sequence[WiredStep]) -> Drawing:
    """A pipeline's graph from what callers send, at the top, to what they get."""
    layers = _layers(wiring, steps)
    widest = max(len(layer) for layer in layers)
    width = 2 * MARGIN + widest * WIDTH + (widest - 1) * GAP_ACROSS
    nodes: list[Node] = []
    for depth, layer in enumerate(layers):
        own = len(layer) * WIDTH + (len(layer) - 1) * GAP_ACROSS
        left = (width - own) // 2
        for i, (kind, name, step) in enumerate(layer):
            x = left + i * (WIDTH + GAP_ACROSS)
            nodes.append(Node(name, kind, x, MARGIN + depth * (HEIGHT + GAP_ALONG), step))
    height = 2 * MARGIN + len(layers) * HEIGHT + (len(layers) - 1) * GAP_ALONG
    return Drawing(tuple(nodes), tuple(_edges(wiring, nodes)), width + LABEL_ROOM, height)


_Place = tuple[str, str, WiredStep | None]


def _layers(wiring: Wiring, steps: Sequence[WiredStep]) -> list[list[_Place]]:
    depth = dict.fromkeys((tensor.name for tensor in wiring.signature.inputs), 0)
    rows: dict[int, list[_Place]] = {
        0: [("input", tensor.name, None) for tensor in wiring.signature.inputs]
    }
    order = {tensor.name: float(i) for i, tensor in enumerate(wiring.signature.inputs)}
    for step in steps:
        taken = list(step.inputs.values())
        own = 1 + max(depth[tensor] for tensor in taken)
        rows.setdefault(own, []).append(("step", step.name, step))
        place = sum(order[tensor] for tensor in taken) / len(taken)
        order[f"step {step.name}"] = place
        for i, tensor in enumerate(step.outputs.values()):
            depth[tensor] = own
            order[tensor] = place + i / 100
    for row in rows.values():
        row.sort(key=lambda one: order.get(f"step {one[1]}", order.get(one[1], 0.0)))
    last = [("output", tensor.name, None) for tensor in wiring.signature.outputs]
    return [*(rows[key] for key in sorted(rows)), list(last)]


def _edges(wiring: Wiring, nodes: Sequence[Node]) -> list[Edge]:
    giver = {node.name: node for node in nodes if node.kind == "input"}
    for node in nodes:
        if node.step:
            giver |= dict.fromkeys(node.step.outputs.values(), node)
    found: list[Edge] = []
    said: dict[str, list[str]] = {}
    for node in nodes:
        taken = list(node.step.inputs.values()) if node.step else []
        taken += [node.name] if node.kind == "output" else []
        for name in dict.fromkeys(taken):
            source = giver[name]
            labels = said.setdefault(f"{source.kind} {source.name}", [])
            label = "" if name in labels else f"{name} {tensor_words(wiring, name)}".strip()
            labels += [name] if label else []
            found.append(Edge(name, label, source, node, labels.index(name)))
    return found


def tensor_words(wiring: Wiring, name: str) -> str:
    """A tensor's type and shape; nothing of one that stays within an inner pipeline."""
    tensor = wiring.tensors.get(name)
    if tensor is None:
        return ""
    return f"{tensor.datatype}[{', '.join('?' if d < 0 else str(d) for d in tensor.shape)}]"
