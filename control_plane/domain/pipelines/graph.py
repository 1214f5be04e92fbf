"""Which step hands which tensor to which: names alone, no types."""

from __future__ import annotations

import graphlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from control_plane.domain.pipelines.document import Pipeline, Step
from control_plane.domain.pipelines.members import Key, Member
from control_plane.domain.stored_json import pointer_part
from control_plane.domain.violations import Violation


@dataclass(frozen=True)
class Port:
    """One tensor of one step: the step's place in the document, and the step's own name for it."""

    step: int
    own: str
    gives: bool = False


@dataclass
class Graph:
    """The pipeline's tensors by name: who gives each, who takes it."""

    inputs: list[dict[str, str]] = field(default_factory=list)
    outputs: list[dict[str, str]] = field(default_factory=list)
    given: dict[str, Port] = field(default_factory=dict)
    taken: dict[str, list[Port]] = field(default_factory=dict)
    enters: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()
    order: tuple[int, ...] = ()


def graph_of(pipeline: Pipeline, members: Mapping[Key, Member], found: list[Violation]) -> Graph:
    """The graph of steps whose members are known; what is wrong with it goes to `found`."""
    graph = Graph()
    for i, step in enumerate(pipeline.steps):
        signature = members[step.runs.key].signature
        inputs = [tensor.name for tensor in signature.inputs]
        outputs = [tensor.name for tensor in signature.outputs]
        found += _unknown(step, f"/steps/{i}/inputs", step.inputs, inputs, "input")
        found += _unknown(step, f"/steps/{i}/outputs", step.outputs, outputs, "output")
        graph.inputs.append({own: step.inputs.get(own, own) for own in inputs})
        graph.outputs.append({own: step.outputs.get(own, own) for own in outputs})
    _leave_out(graph, pipeline, members)
    for i, taken in enumerate(graph.inputs):
        for own, tensor in taken.items():
            graph.taken.setdefault(tensor, []).append(Port(i, own))
    found += _given(graph, pipeline)
    found += _entering(graph, pipeline)
    found += _leaving(graph, pipeline)
    found += _unused(graph, pipeline)
    if not found:
        found += _ordered(graph, pipeline.steps)
    if not found and not graph.enters:
        found.append(Violation("/inputs", "required", "a pipeline takes at least one tensor"))
    return graph


def _leave_out(graph: Graph, pipeline: Pipeline, members: Mapping[Key, Member]) -> None:
    """Optional inputs that nobody mapped and that there is nothing for."""
    there = {tensor for given in graph.outputs for tensor in given.values()}
    there |= set(pipeline.inputs or ())
    for step, taken in zip(pipeline.steps, graph.inputs, strict=True):
        for own in members[step.runs.key].optional - step.inputs.keys() - there:
            del taken[own]


def _unknown(
    step: Step, where: str, said: Mapping[str, str], there: Sequence[str], kind: str
) -> Iterator[Violation]:
    for own in said:
        if own not in there:
            detail = f"{step.runs} has no {kind} {own!r}; it has: {', '.join(there)}"
            yield Violation(f"{where}/{pointer_part(own)}", "unknown_tensor", detail)


def _given(graph: Graph, pipeline: Pipeline) -> Iterator[Violation]:
    """Notes who gives each tensor; one that two steps give is nobody's."""
    steps = pipeline.steps
    for i, given in enumerate(graph.outputs):
        for own, tensor in list(given.items()):
            port = Port(i, own, gives=True)
            first = graph.given.setdefault(tensor, port)
            if first == port:
                continue
            asked_for = pipeline.outputs is None or tensor in pipeline.outputs
            if own not in steps[i].outputs and tensor not in graph.taken and not asked_for:
                del given[own]
                continue
            detail = (
                f"tensor {tensor!r} is given by step {steps[first.step].name} and by step "
                f"{steps[i].name}: give the output {own!r} of {steps[i].name} another name in its "
                f'outputs: {{"{own}": "…"}}'
            )
            pointer = f"/steps/{i}/outputs/{pointer_part(own)}"
            yield Violation(pointer, "duplicate_producer", detail)


def _entering(graph: Graph, pipeline: Pipeline) -> Iterator[Violation]:
    """What callers send: what is said, or what steps take and none gives."""
    free = tuple(tensor for tensor in graph.taken if tensor not in graph.given)
    graph.enters = free if pipeline.inputs is None else pipeline.inputs
    for tensor in free:
        if tensor in graph.enters:
            continue
        for port in graph.taken[tensor]:
            detail = (
                f"step {pipeline.steps[port.step].name} takes tensor {tensor!r}, which no step "
                f"gives and which is no input of the pipeline ({', '.join(graph.enters)}). Map its "
                f"input {port.own!r} to one of those that there are: "
                f"{', '.join([*graph.enters, *graph.given])}"
            )
            pointer = f"/steps/{port.step}/inputs/{pointer_part(port.own)}"
            yield Violation(pointer, "unknown_tensor", detail)
    for k, tensor in enumerate(graph.enters):
        if tensor in graph.given:
            giver = pipeline.steps[graph.given[tensor].step].name
            detail = f"input {tensor!r} is given by step {giver}, too: name one of them otherwise"
            yield Violation(f"/inputs/{k}", "duplicate_producer", detail)
        elif tensor not in graph.taken:
            yield Violation(f"/inputs/{k}", "unused_input", f"no step takes input {tensor!r}")


def _leaving(graph: Graph, pipeline: Pipeline) -> Iterator[Violation]:
    """What callers get: what is said, or what steps give and none takes."""
    last = tuple(tensor for tensor in graph.given if tensor not in graph.taken)
    graph.leaves = last if pipeline.outputs is None else pipeline.outputs
    for k, tensor in enumerate(pipeline.outputs or ()):
        if tensor not in graph.given:
            entered = tensor in graph.enters
            which = "is an input, handed on as it is" if entered else "is given by no step"
            detail = f"output {tensor!r} {which}; steps give: {', '.join(graph.given)}"
            yield Violation(f"/outputs/{k}", "unknown_tensor", detail)
    if pipeline.outputs == ():
        yield Violation("/outputs", "required", "a pipeline gives at least one tensor")


def _unused(graph: Graph, pipeline: Pipeline) -> Iterator[Violation]:
    """Outputs that nobody takes: dropped where they go without saying, else wrong."""
    for i, step in enumerate(pipeline.steps):
        before = dict(graph.outputs[i])
        used = {
            own: tensor
            for own, tensor in before.items()
            if tensor in graph.taken or tensor in graph.leaves
        }
        graph.outputs[i] = used
        if before and not used:
            given = ", ".join(before.values())
            detail = (
                f"step {step.name} is a dead end: nothing takes what it gives ({given}), and it is "
                "no output of the pipeline. Leave the step out, or use what it gives"
            )
            yield Violation(f"/steps/{i}", "dead_end", detail)
            continue
        for own, tensor in before.items():
            if own in step.outputs and own not in used:
                detail = (
                    f"tensor {tensor!r} of step {step.name} is used by nothing: list it in the "
                    f"outputs of the pipeline, or leave {own!r} out here"
                )
                pointer = f"/steps/{i}/outputs/{pointer_part(own)}"
                yield Violation(pointer, "unused_output", detail)


def _ordered(graph: Graph, steps: Sequence[Step]) -> Iterator[Violation]:
    """Each step after those it takes from, in the document's order where either may be first."""
    sorter: graphlib.TopologicalSorter[int] = graphlib.TopologicalSorter()
    for i, taken in enumerate(graph.inputs):
        sorter.add(i, *(graph.given[t].step for t in taken.values() if t in graph.given))
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        # A node that is followed by what depends on it: the way that tensors go.
        cycle = error.args[1]
        names = " -> ".join(steps[i].name for i in cycle)
        first, second = cycle[0], cycle[1]
        tensors = [t for t in graph.inputs[second].values() if _gives(graph, first, t)]
        detail = (
            f"steps wait for each other: {names}; step {steps[first].name} hands "
            f"{', '.join(map(repr, tensors))} to step {steps[second].name}. Name the tensor that "
            "comes back otherwise"
        )
        yield Violation(f"/steps/{min(cycle)}", "cycle", detail)
        return
    order: list[int] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order += ready
        sorter.done(*ready)
    graph.order = tuple(order)


def _gives(graph: Graph, step: int, tensor: str) -> bool:
    return tensor in graph.given and graph.given[tensor].step == step
