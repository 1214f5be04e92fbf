"""What a step runs, as far as its tensors go, and a pipeline whose tensors fit together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from control_plane.domain.findings import Finding
from control_plane.domain.pipelines.document import Runs
from control_plane.domain.pipelines.patterns import PipelineKind
from control_plane.domain.signature import Signature, Tensor

Shape = tuple[int, ...]
Key = tuple[str, int]


@dataclass(frozen=True)
class Member:
    """A version or a pipeline as a step meets it: what callers see, and how it batches.

    `max_batch_size` 0 takes no batches: its shapes are then whole as they are. A `whole` one
    cannot be handed a batch as part of its shapes either, even where these look like it.
    `optional` inputs may be left out. One with `sequences` wants to know whose request each is.
    """

    signature: Signature
    max_batch_size: int
    decoupled: bool = False
    whole: bool = False
    optional: frozenset[str] = frozenset()
    sequences: bool = False

    def seen(self, tensor: Tensor) -> Shape:
        """The whole shape as Triton compares it: there are no tensors without dimensions."""
        rank = 1 + bool(self.max_batch_size)
        return tensor.shape if len(tensor.shape) >= rank else (*tensor.shape, 1)


@dataclass(frozen=True)
class WiredStep:
    """A step with every tensor that is handed to it and taken from it: own name -> pipeline's."""

    name: str
    runs: Runs
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


@dataclass(frozen=True)
class Wiring:
    """A pipeline that can be served: each step after those it takes from.

    `tensors` has every tensor that is handed on, with its whole shape; `signature` what callers
    meet. `max_batch_size` 0 takes no batches.
    """

    steps: tuple[WiredStep, ...]
    tensors: Mapping[str, Tensor]
    signature: Signature
    max_batch_size: int
    decoupled: bool
    findings: tuple[Finding, ...] = ()
    kind: PipelineKind = PipelineKind.ENSEMBLE

    @property
    def as_member(self) -> Member:
        """The pipeline as a step of another."""
        whole = not self.max_batch_size
        return Member(self.signature, self.max_batch_size, self.decoupled, whole)


def agreed_shape(one: Shape, other: Shape) -> Shape | None:
    """The shape that both stand for, as Triton compares them: -1 meets any size, nothing else.

    >>> agreed_shape((-1, 8), (-1, -1)), agreed_shape((-1, 8), (-1, 1)), agreed_shape((8,), (1, 8))
    ((-1, 8), None, None)
    """
    if len(one) != len(other):
        return None
    if any(a != b and -1 not in (a, b) for a, b in zip(one, other, strict=True)):
        return None
    return tuple(max(a, b) for a, b in zip(one, other, strict=True))
