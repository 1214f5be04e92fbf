"""Whether the members of a cascade or a weighted average agree, and what callers of it meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from control_plane.domain.findings import Finding
from control_plane.domain.pipelines.document import Pipeline
from control_plane.domain.pipelines.members import Key, Member, WiredStep, Wiring, agreed_shape
from control_plane.domain.pipelines.patterns import CASCADE_STEP, PipelineKind, Score
from control_plane.domain.signature import Signature, Tensor
from control_plane.domain.violations import InvalidInputError, Violation

FLOATS = ("FP16", "FP32", "FP64")


def join(pipeline: Pipeline, members: Mapping[Key, Member]) -> Wiring:
    """The pattern with its tensors: every member takes and gives what the first one does.

    Args:
        members: by (name, number), those of all the steps.

    Raises:
        InvalidInputError: they do not agree; a violation for each place, with step and tensor.
    """
    found = [
        violation
        for i, step in enumerate(pipeline.steps)
        for violation in _unfit(pipeline, i, members[step.runs.key])
    ]
    if found:
        raise InvalidInputError(found)
    inputs = _agreed(pipeline, members, _asked_for(pipeline, members), "inputs", found)
    outputs = _agreed(pipeline, members, _given(pipeline, members, found), "outputs", found)
    found += _confidence(pipeline, members) if not found else ()
    if found:
        raise InvalidInputError(found)
    if pipeline.kind == PipelineKind.CASCADE:
        outputs.append(Tensor(CASCADE_STEP, "INT32", (-1, 1)))
    sizes = [members[step.runs.key].max_batch_size for step in pipeline.steps]
    wanted = {tensor.name for tensor in outputs} - {CASCADE_STEP}
    return Wiring(
        steps=tuple(
            WiredStep(
                step.name, step.runs, {t.name: t.name for t in inputs}, {n: n for n in wanted}
            )
            for step in pipeline.steps
        ),
        tensors={tensor.name: tensor for tensor in (*inputs, *outputs)},
        signature=Signature(tuple(inputs), tuple(outputs)),
        max_batch_size=min(sizes),
        decoupled=False,
        findings=tuple(_findings(pipeline, sizes)),
        kind=pipeline.kind,
    )


def _unfit(pipeline: Pipeline, i: int, member: Member) -> Iterator[Violation]:
    """What keeps a member out of any pattern, or of this kind."""
    step, where = pipeline.steps[i], f"/steps/{i}"
    if member.decoupled:
        detail = f"step {step.name} gives any number of responses, and one for each row is needed"
        yield Violation(where, "decoupled", detail)
    if member.sequences:
        detail = (
            f"step {step.name} keeps sequences, and rows of many callers are asked about at once"
        )
        yield Violation(where, "sequences", detail)
    if not member.max_batch_size:
        detail = (
            f"step {step.name} takes no batches, and a {pipeline.kind} asks its steps about whole "
            "batches: give its version a serving profile that batches, where its model can"
        )
        yield Violation(where, "batchless_member", detail)
    for tensor in (*member.signature.inputs, *member.signature.outputs):
        if tensor.datatype == "BF16":
            detail = f"tensor {tensor.name!r} of step {step.name} is BF16, which NumPy cannot hold"
            yield Violation(where, "datatype", detail)
        if tensor.name == CASCADE_STEP and pipeline.kind == PipelineKind.CASCADE:
            detail = (
                f"step {step.name} has a tensor {CASCADE_STEP!r}, which the cascade itself gives"
            )
            yield Violation(where, "duplicate_producer", detail)


def _asked_for(pipeline: Pipeline, members: Mapping[Key, Member]) -> list[str]:
    """What callers send: what the first step takes, without what none of them needs."""
    all_of = [members[step.runs.key] for step in pipeline.steps]
    spare = frozenset.intersection(*(member.optional for member in all_of))
    return [tensor.name for tensor in all_of[0].signature.inputs if tensor.name not in spare]


def _given(
    pipeline: Pipeline, members: Mapping[Key, Member], found: list[Violation]
) -> Sequence[str]:
    """What callers get: what is said, or what every step gives."""
    sides = [[t.name for t in members[s.runs.key].signature.outputs] for s in pipeline.steps]
    if pipeline.outputs is not None:
        if not pipeline.outputs:
            found.append(Violation("/outputs", "required", "a pipeline gives at least one tensor"))
        return pipeline.outputs
    common = [name for name in sides[0] if all(name in side for side in sides)]
    if not common:
        given = "; ".join(
            f"{step.name} gives {', '.join(side)}"
            for step, side in zip(pipeline.steps, sides, strict=True)
        )
        detail = f"no output is given by every step: {given}"
        found.append(Violation("/steps", "unknown_tensor", detail))
    return common


def _agreed(
    pipeline: Pipeline,
    members: Mapping[Key, Member],
    names: Sequence[str],
    side: str,
    found: list[Violation],
) -> list[Tensor]:
    """These tensors as all members see them."""
    agreed = []
    for name in names:
        seen = [_tensor(members[step.runs.key], side, name) for step in pipeline.steps]
        lacking = [i for i, tensor in enumerate(seen) if tensor is None]
        for i in lacking:
            member = members[pipeline.steps[i].runs.key]
            there = ", ".join(t.name for t in getattr(member.signature, side))
            detail = f"step {pipeline.steps[i].name} has no {side[:-1]} {name!r}; it has: {there}"
            found.append(Violation(f"/steps/{i}", "unknown_tensor", detail))
        if not lacking and (tensor := _one(pipeline, members, name, side, found)):
            agreed.append(tensor)
    if side == "inputs":
        found += _more(pipeline, members, names)
    return agreed


def _one(
    pipeline: Pipeline,
    members: Mapping[Key, Member],
    name: str,
    side: str,
    found: list[Violation],
) -> Tensor | None:
    """One tensor that every member has; None, and why, where they differ."""
    first = members[pipeline.steps[0].runs.key]
    tensor = _tensor(first, side, name)
    if tensor is None:
        return None
    meant = side == "outputs" and pipeline.kind == PipelineKind.WEIGHTED_AVERAGE
    if meant and tensor.datatype not in FLOATS:
        detail = (
            f"output {name!r} is {tensor.datatype}, of which there is no mean: list those that are "
            f"one of {', '.join(FLOATS)} in outputs"
        )
        found.append(Violation("/outputs", "datatype", detail))
        return None
    whole = first.seen(tensor)
    shape = tensor.shape
    for i, step in enumerate(pipeline.steps[1:], 1):
        member = members[step.runs.key]
        other = _tensor(member, side, name)
        if other is None:
            return None
        both = f"{pipeline.steps[0].name} and"
        if other.datatype != tensor.datatype:
            detail = f"{both} {step.name} differ in {name!r}: {tensor.datatype}, {other.datatype}"
            found.append(Violation(f"/steps/{i}", "datatype", detail))
            return None
        agreed = agreed_shape(whole, member.seen(other))
        if agreed is None:
            detail = (
                f"{both} {step.name} differ in the shape of {name!r}: {list(whole)}, "
                f"{list(member.seen(other))}"
            )
            found.append(Violation(f"/steps/{i}", "shape", detail))
            return None
        shape = shape if other.shape == shape else agreed
        whole = agreed
    return Tensor(name, tensor.datatype, shape)


def _more(
    pipeline: Pipeline, members: Mapping[Key, Member], names: Sequence[str]
) -> Iterator[Violation]:
    """Inputs that a later step needs and the first one does not have."""
    for i, step in enumerate(pipeline.steps[1:], 1):
        member = members[step.runs.key]
        needed = [t.name for t in member.signature.inputs if t.name not in member.optional]
        for name in needed:
            if name not in names:
                detail = (
                    f"step {step.name} takes {name!r}, and {pipeline.steps[0].name} does not: all "
                    "steps take the same. Give both the same inputs by pipelines of their own"
                )
                yield Violation(f"/steps/{i}", "unknown_tensor", detail)


def _confidence(pipeline: Pipeline, members: Mapping[Key, Member]) -> Iterator[Violation]:
    said = pipeline.confidence
    if said is None:
        return
    for step in pipeline.steps:
        member = members[step.runs.key]
        tensor = _tensor(member, "outputs", said.output)
        pointer = "/confidence/output"
        if tensor is None:
            there = ", ".join(t.name for t in member.signature.outputs)
            detail = f"step {step.name} has no output {said.output!r}; it has: {there}"
            yield Violation(pointer, "unknown_tensor", detail)
        elif tensor.datatype not in FLOATS:
            detail = (
                f"output {said.output!r} of step {step.name} is {tensor.datatype}: confidence is "
                f"found from one of {', '.join(FLOATS)}"
            )
            yield Violation(pointer, "datatype", detail)
        elif said.score == Score.BINARY and any(size > 1 for size in tensor.shape[1:]):
            detail = (
                f"output {said.output!r} of step {step.name} has {list(tensor.shape[1:])} numbers "
                "for a row, and binary is of one probability: softmax is for logits, probability "
                "for probabilities"
            )
            yield Violation("/confidence/score", "shape", detail)


def _tensor(member: Member, side: str, name: str) -> Tensor | None:
    tensors: Sequence[Tensor] = getattr(member.signature, side)
    return next((tensor for tensor in tensors if tensor.name == name), None)


def _findings(pipeline: Pipeline, sizes: Sequence[int]) -> Iterator[Finding]:
    for i, (step, size) in enumerate(zip(pipeline.steps, sizes, strict=True)):
        if size == min(sizes) < max(sizes):
            detail = f"batches hold at most {size} rows, as step {step.name} takes no more"
            yield Finding("info", "smallest_batch", detail, f"/steps/{i}")
