"""Pipelines for tests: members by hand, and any that fit together, drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from control_plane.domain.pipelines.document import read_pipeline
from control_plane.domain.pipelines.members import Key, Member, Wiring
from control_plane.domain.pipelines.wiring import wire
from control_plane.domain.signature import Signature, Tensor

DATATYPES = ("FP32", "INT64", "UINT8", "BOOL", "BYTES", "FP16")
ROWS = 2


def tensor(words: str) -> Tensor:
    """`x FP32 -1 8` as a tensor."""
    name, datatype, *shape = words.split()
    return Tensor(name, datatype, tuple(int(size) for size in shape))


def member(
    inputs: str, outputs: str, max_batch_size: int = 8, *, decoupled: bool = False
) -> Member:
    """A member from its tensors, `;` between them."""
    sides = [tuple(tensor(one) for one in side.split(";")) for side in (inputs, outputs)]
    return Member(Signature(*sides), max_batch_size, decoupled)


@dataclass(frozen=True)
class Drawn:
    """A document whose tensors fit together, with its members."""

    document: dict[str, Any]
    members: Mapping[Key, Member]

    def wired(self) -> Wiring:
        return wire(read_pipeline("drawn", self.document), self.members)


@dataclass(frozen=True)
class _Kept:
    name: str
    datatype: str
    sizes: tuple[int, ...]


@st.composite
def fitting(draw: st.DrawFn) -> Drawn:
    """Any pipeline that fits together, its steps in any order."""
    kept: list[_Kept] = []
    steps, members, count = [], {}, draw(st.integers(1, 5))
    batches = [draw(st.sampled_from((0, 4, 8))) for _ in range(count)]
    for i in range(count):
        step: dict[str, Any] = {"name": f"s{i}", "model": f"m{i}", "version": 1}
        sides = []
        for side, most in (("inputs", 3), ("outputs", 2)):
            ports = []
            for k in range(draw(st.integers(1, most))):
                again = kept and side == "inputs" and draw(st.booleans())
                one = draw(st.sampled_from(kept)) if again else _new(draw, f"t{i}{side[0]}{k}")
                own = one.name if draw(st.booleans()) else f"{side[0]}{k}"
                if own in {port.name for port in ports}:
                    continue
                if own != one.name:
                    step.setdefault(side, {})[own] = one.name
                ports.append(Tensor(own, one.datatype, _seen(draw, one, batches[i])))
                kept += [] if again or side == "outputs" else [one]
            sides.append(tuple(ports))
        # What a step gives can be taken by those after it alone.
        named = step.get("outputs", {})
        kept += [
            _Kept(named.get(port.name, port.name), port.datatype, _true(port, batches[i]))
            for port in sides[1]
        ]
        steps.append(step)
        members[f"m{i}", 1] = Member(Signature(*sides), batches[i])
    return Drawn({"steps": draw(st.permutations(steps))}, members)


def _new(draw: st.DrawFn, name: str) -> _Kept:
    sizes = draw(st.lists(st.sampled_from((1, 3, 8)), min_size=1, max_size=3))
    return _Kept(name, draw(st.sampled_from(DATATYPES)), tuple(sizes))


def _seen(draw: st.DrawFn, one: _Kept, max_batch_size: int) -> tuple[int, ...]:
    """As a member may see it: any size may be free, the batch in front always where there is."""
    rows = -1 if max_batch_size else draw(st.sampled_from((-1, ROWS)))
    return (rows, *(draw(st.sampled_from((-1, size))) for size in one.sizes))


def _true(port: Tensor, max_batch_size: int) -> tuple[int, ...]:
    """What is left of a size that was given up stays 1: whoever takes it says the same or -1."""
    return tuple(1 if size == -1 else size for size in port.shape[1:])
