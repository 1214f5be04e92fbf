"""Whether the tensors of a pipeline fit together, and what callers of it meet.

The rules are those by which Triton takes an ensemble, told before anything is written, and one
more: sizes that pass Triton's look at pairs and can never be right together are refused as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from control_plane.domain.findings import Finding
from control_plane.domain.pipelines.document import Pipeline
from control_plane.domain.pipelines.graph import Graph, Port, graph_of
from control_plane.domain.pipelines.joining import join
from control_plane.domain.pipelines.members import (
    Key,
    Member,
    Shape,
    WiredStep,
    Wiring,
    agreed_shape,
)
from control_plane.domain.pipelines.patterns import PipelineKind
from control_plane.domain.signature import Signature, Tensor
from control_plane.domain.stored_json import pointer_part
from control_plane.domain.violations import InvalidInputError, Violation


def wire(pipeline: Pipeline, members: Mapping[Key, Member]) -> Wiring:
    """The pipeline with every tensor's name, type and whole shape.

    Args:
        members: by (name, number), those that the steps run and that can be served.

    Raises:
        InvalidInputError: a member is missing, or tensors do not fit together; a violation for
            each place, with the tensor and the step named.
    """
    found = list(_absent(pipeline, members))
    if found:
        raise InvalidInputError(found)
    if pipeline.kind != PipelineKind.ENSEMBLE:
        return join(pipeline, members)
    graph = graph_of(pipeline, members, found)
    if found:
        raise InvalidInputError(found)
    return _Fitting(pipeline, members, graph).wiring()


def _absent(pipeline: Pipeline, members: Mapping[Key, Member]) -> Iterator[Violation]:
    for i, step in enumerate(pipeline.steps):
        runs = step.runs
        if runs.key not in members:
            kind = "revision" if runs.pipeline else "version"
            ready = "" if runs.pipeline else " that is ready to serve"
            detail = f"{runs.name} has no {kind} {runs.number}{ready}"
            yield Violation(f"/steps/{i}/{runs.field}", "not_found", detail)


class _Fitting:
    """Holds a pipeline's tensors against each other."""

    def __init__(self, pipeline: Pipeline, members: Mapping[Key, Member], graph: Graph) -> None:
        self._pipeline = pipeline
        self._graph = graph
        self._members = [members[step.runs.key] for step in pipeline.steps]
        self._found: list[Violation] = []
        self._max_batch_size = self._batches()

    def wiring(self) -> Wiring:
        tensors = {name: self._agreed(name) for name in [*self._graph.enters, *self._graph.given]}
        decoupled = self._decoupled()
        self._found += self._unsaid(decoupled)
        if self._found:
            raise InvalidInputError(self._found)
        used = set(self._graph.taken) | set(self._graph.leaves)
        return Wiring(
            steps=tuple(self._step(i) for i in self._graph.order),
            tensors={name: tensor for name, tensor in tensors.items() if name in used},
            signature=Signature(
                inputs=tuple(self._for_callers(tensors[name]) for name in self._graph.enters),
                outputs=tuple(self._for_callers(tensors[name]) for name in self._graph.leaves),
            ),
            max_batch_size=self._max_batch_size,
            decoupled=decoupled,
            findings=tuple(self._findings()),
        )

    def _step(self, i: int) -> WiredStep:
        step = self._pipeline.steps[i]
        return WiredStep(step.name, step.runs, self._graph.inputs[i], self._graph.outputs[i])

    def _batches(self) -> int:
        """The smallest batch that is too much for no member; 0 where one knows no batches.

        A member that takes none can still stand in a pipeline that does: where the first
        dimension of all its tensors is free, Triton hands it the batch as part of the shape.
        """
        sizes = [member.max_batch_size for member in self._members if member.max_batch_size]
        others = [member for member in self._members if not member.max_batch_size]
        free = all(one.signature.batched and not one.whole for one in others)
        return min(sizes, default=0) if free else 0

    def _agreed(self, name: str) -> Tensor:
        """The tensor as its giver and all its takers see it."""
        ports = self._ports(name)
        first, shape = ports[0], self._seen(ports[0])
        datatype = self._tensor(first).datatype
        for port in ports[1:]:
            tensor = self._tensor(port)
            pointer = f"/steps/{port.step}/inputs/{pointer_part(port.own)}"
            if tensor.datatype != datatype:
                detail = (
                    f"tensor {name!r} is {datatype} as {self._words(first)}, and {tensor.datatype} "
                    f"as {self._words(port)}"
                )
                self._found.append(Violation(pointer, "datatype", detail))
            elif (agreed := agreed_shape(shape, self._seen(port))) is None:
                detail = (
                    f"tensor {name!r} is {_sizes(shape)} as {self._words(first)}, and "
                    f"{_sizes(self._seen(port))} as {self._words(port)}{self._batch_words(ports)}"
                )
                self._found.append(Violation(pointer, "shape", detail))
            else:
                shape = agreed
        return Tensor(name, datatype, shape)

    def _ports(self, name: str) -> list[Port]:
        given = [self._graph.given[name]] if name in self._graph.given else []
        return [*given, *self._graph.taken.get(name, ())]

    def _tensor(self, port: Port) -> Tensor:
        signature = self._members[port.step].signature
        side = signature.outputs if port.gives else signature.inputs
        return next(tensor for tensor in side if tensor.name == port.own)

    def _seen(self, port: Port) -> Shape:
        return self._members[port.step].seen(self._tensor(port))

    def _words(self, port: Port) -> str:
        name = self._pipeline.steps[port.step].name
        return f"step {name} {'gives' if port.gives else 'takes'} it ({port.own})"

    def _batch_words(self, ports: Iterable[Port]) -> str:
        """That shapes differ because of batches is seen at once by who knows it, and else never."""
        if len({bool(self._members[port.step].max_batch_size) for port in ports}) < 2:
            return ""
        return ", where a first -1 is the batch: some of its steps take batches, others do not"

    def _for_callers(self, tensor: Tensor) -> Tensor:
        """A scalar as the members have it, where Triton's [1] stands for it."""
        shapes = {self._tensor(port).shape for port in self._ports(tensor.name)}
        scalar: Shape = (-1,) if self._max_batch_size else ()
        shape = scalar if shapes == {scalar} else tensor.shape
        return Tensor(tensor.name, tensor.datatype, shape)

    def _unsaid(self, decoupled: bool) -> Iterator[Violation]:
        """What the pipeline says of itself, and what its tensors do not bear out."""
        words = self._pipeline.config
        if words is None:
            return
        for i, one in enumerate(words.output):
            if one.name not in self._graph.leaves:
                listed = ", ".join(self._graph.leaves)
                detail = f"callers get no tensor {one.name!r}; they get {listed}"
                yield Violation(f"/config/output/{i}/name", "unknown_tensor", detail)
        if decoupled and words.response_cache and words.response_cache.enable:
            detail = "a request may have any number of answers: Triton keeps none of them"
            yield Violation("/config/response_cache/enable", "exclusive", detail)

    def _decoupled(self) -> bool:
        """Whether a request may have any number of responses.

        Triton lets a step take only what comes from the same answers: what a decoupled member
        gave meets nothing that came another way.
        """
        labels: dict[str, int] = dict.fromkeys(self._graph.enters, 0)
        highest = 0
        for i in self._graph.order:
            step, taken = self._pipeline.steps[i], self._graph.inputs[i].values()
            came = {labels[tensor] for tensor in taken}
            if len(came) > 1:
                detail = self._mixed(step.name, taken)
                self._found.append(Violation(f"/steps/{i}", "decoupled", detail))
            label = min(came, default=0)
            if self._members[i].decoupled:
                highest += 1
                label = highest
            labels |= dict.fromkeys(self._graph.outputs[i].values(), label)
        if len({labels[tensor] for tensor in self._graph.leaves}) > 1:
            detail = self._mixed("", self._graph.leaves)
            self._found.append(Violation("/outputs", "decoupled", detail))
        return highest > 0

    def _mixed(self, step: str, tensors: Iterable[str]) -> str:
        who = f"step {step} takes" if step else "the pipeline gives"
        return (
            f"{who} {', '.join(map(repr, tensors))}, which do not come from the same decoupled "
            "member: of several responses nobody knows which belongs to which"
        )

    def _findings(self) -> Iterator[Finding]:
        steps = self._pipeline.steps
        sizes = {i: member.max_batch_size for i, member in enumerate(self._members)}
        for i, size in sizes.items():
            where = f"/steps/{i}"
            if not size and not self._max_batch_size and any(sizes.values()):
                detail = f"step {steps[i].name} takes no batches, so the pipeline takes none"
                fix = "give its version a serving profile that batches, where its model can"
                yield Finding("warning", "batchless_member", detail, where, fix)
            elif size and size == self._max_batch_size < max(sizes.values()):
                detail = f"batches hold at most {size} rows, as step {steps[i].name} takes no more"
                yield Finding("info", "smallest_batch", detail, where)
        for i, member in enumerate(self._members):
            used = self._graph.outputs[i]
            unused = [t.name for t in member.signature.outputs if t.name not in used]
            if unused:
                detail = f"step {steps[i].name} gives {', '.join(unused)}, which nothing takes"
                yield Finding("info", "unused_output", detail, f"/steps/{i}")


def _sizes(shape: Shape) -> str:
    return f"[{', '.join(map(str, shape))}]"
