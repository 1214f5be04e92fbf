"""Pipelines that are no graph: a cascade and a weighted average, whose steps all take the same.

Which a pipeline is, and what its document has to say then; whether the members agree is known once
they are (`domain.pipelines.joining`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from control_plane.domain.violations import Violation

if TYPE_CHECKING:
    from control_plane.domain.pipelines.document import Pipeline, Step

CASCADE_STEP = "cascade_step"
"""What a cascade gives beside its members' outputs: the place of the step that answered the row."""


class PipelineKind(StrEnum):
    """How the steps are run.

    ensemble          the graph as it is written: what Triton calls an ensemble
    cascade           one after the other, each for the rows that those before were not sure of
    weighted_average  all at once, and the weighted mean of what they give
    """

    ENSEMBLE = "ensemble"
    CASCADE = "cascade"
    WEIGHTED_AVERAGE = "weighted_average"


class Score(StrEnum):
    """How sure a step is of a row, from 0 to 1, by the numbers that its output has for it.

    probability     the largest, where they are probabilities
    softmax         the largest probability, where they are logits
    margin          the largest probability less the second
    softmax_margin  the same of logits
    binary          max(p, 1 - p) of one probability
    """

    PROBABILITY = "probability"
    SOFTMAX = "softmax"
    MARGIN = "margin"
    SOFTMAX_MARGIN = "softmax_margin"
    BINARY = "binary"


class Scale(StrEnum):
    """What becomes of outputs before their mean: nothing, or probabilities of each row's logits."""

    AS_IS = "as_is"
    SOFTMAX = "softmax"


@dataclass(frozen=True)
class Confidence:
    """By which output, and how, a cascade knows that a step is sure."""

    output: str
    score: Score = Score.SOFTMAX

    def to_document(self) -> dict[str, str]:
        return {"output": self.output, "score": self.score.value}


def pattern_violations(pipeline: Pipeline) -> Iterator[Violation]:
    """What the document says that its kind has no use for, and what its kind needs."""
    kind = pipeline.kind
    for name, value, belongs in (
        ("confidence", pipeline.confidence, PipelineKind.CASCADE),
        ("scale", pipeline.scale, PipelineKind.WEIGHTED_AVERAGE),
        ("config", pipeline.config, PipelineKind.ENSEMBLE),
    ):
        if value is not None and kind != belongs:
            article = "an" if belongs is PipelineKind.ENSEMBLE else "a"
            detail = f"only {article} {belongs} has a {name}"
            yield Violation(f"/{name}", "unknown", detail)
    for i, step in enumerate(pipeline.steps):
        yield from _step_violations(kind, step, i, last=i == len(pipeline.steps) - 1)
    if kind == PipelineKind.ENSEMBLE:
        return
    if len(pipeline.steps) == 1:
        yield Violation("/steps", "required", f"a {kind} has at least two steps")
    if pipeline.inputs is not None:
        detail = f"every step of a {kind} takes what callers send: leave inputs out"
        yield Violation("/inputs", "unknown", detail)
    if kind == PipelineKind.CASCADE and pipeline.confidence is None:
        detail = 'say by which output a step is sure: {"output": "logits", "score": "softmax"}'
        yield Violation("/confidence", "required", detail)
    weights = [step.weight for step in pipeline.steps]
    if kind == PipelineKind.WEIGHTED_AVERAGE and weights and not any(w != 0 for w in weights):
        yield Violation("/steps/0/weight", "invalid", "all weights are 0: nothing would count")


def _step_violations(kind: PipelineKind, step: Step, i: int, *, last: bool) -> Iterator[Violation]:
    where = f"/steps/{i}"
    if kind != PipelineKind.ENSEMBLE:
        for name, said in (("inputs", step.inputs), ("outputs", step.outputs)):
            if said:
                detail = f"the steps of a {kind} all take and give the same names: leave it out"
                yield Violation(f"{where}/{name}", "unknown", detail)
    if step.weight is not None and kind != PipelineKind.WEIGHTED_AVERAGE:
        yield Violation(f"{where}/weight", "unknown", "only steps of a weighted_average have one")
    if kind != PipelineKind.CASCADE:
        if step.at_least is not None:
            yield Violation(f"{where}/at_least", "unknown", "only steps of a cascade have one")
    elif last and step.at_least is not None:
        detail = "the last step answers whatever reaches it: leave it out"
        yield Violation(f"{where}/at_least", "unknown", detail)
    elif not last and step.at_least is None:
        detail = "say from which confidence on (0 to 1) this step is believed, such as 0.9"
        yield Violation(f"{where}/at_least", "required", detail)
