"""The states of sequences, where the framework has none: kept by a sequence's id, in the instance.

The sequence batcher binds each sequence to one instance and puts one request of it into a batch, so
what an instance keeps is all there is. Triton fills the inputs of states with their first value,
zeros or what a file says, in every request; from the second one on, the kept states go in place of
it. The configuration is that of NVIDIA's native backend, where Triton itself keeps the states.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from request_batch import RequestError

SequenceId = int | str
Tensors = dict[str, Any]
Answer = Tensors | RequestError | None

_START, _END = 1, 2
"""Triton's flags of a request."""

_SPARE_S = 10.0


@dataclass(frozen=True)
class Turn:
    """Which sequence a request belongs to, and whether it is its first or last."""

    sequence: SequenceId
    start: bool
    end: bool


def turn_of(request: Any) -> Turn:
    """The turn of a request of the Python backend's; the id 0 and the empty one are none."""
    flags = request.flags()
    return Turn(request.correlation_id(), bool(flags & _START), bool(flags & _END))


@dataclass(frozen=True)
class SequenceTensors:
    """What the sequence batcher fills and keeps, by its names in the model.

    `states` is (input, output) of each; `controls` are inputs; `types` has the type of every input
    by Triton's name, or none for numbers of any type.
    """

    controls: tuple[str, ...]
    states: tuple[tuple[str, str], ...]
    types: Mapping[str, str]

    @property
    def inputs(self) -> tuple[str, ...]:
        return (*self.controls, *(name for name, _ in self.states))

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(name for _, name in self.states)


def sequence_tensors(config: Mapping[str, Any]) -> SequenceTensors:
    """Those of a configuration; none where it has no sequence batcher."""
    batching = config.get("sequence_batching") or {}
    controls, states = batching.get("control_input", ()), batching.get("state", ())
    return SequenceTensors(
        tuple(entry["name"] for entry in controls),
        tuple((state["input_name"], state["output_name"]) for state in states),
        {state["input_name"]: state["data_type"] for state in states}
        | {
            entry["name"]: "TYPE_BOOL" if one.get("bool_false_true") else ""
            for entry in controls
            for one in entry["control"]
        },
    )


def states_of(
    config: Mapping[str, Any], copy: Callable[[Any], Any] = np.array
) -> SequenceStates | None:
    """Where the states of a configuration's sequences are kept; None where there are none."""
    tensors = sequence_tensors(config)
    if not tensors.states:
        return None
    batching = config["sequence_batching"]
    slots = int((batching.get("oldest") or {}).get("max_candidate_sequences", 0))
    return SequenceStates(
        tensors.states,
        slots=slots or max(1, int(config.get("max_batch_size", 0))),
        idle_s=int(batching.get("max_sequence_idle_microseconds", 0)) / 1e6,
        copy=copy,
    )


@dataclass
class _Kept:
    values: Tensors
    used_at: float


class SequenceStates:
    """The states of the sequences that one instance works on.

    A state goes with the request that ends its sequence. Of one that is left unfinished the batcher
    says nothing: it gives its place to another. So there are never more than twice as many as it
    has places, and none that was idle for more than twice the time it allows and some seconds: its
    clock counts from when requests came, which may wait long before they are seen here.
    """

    def __init__(
        self,
        pairs: tuple[tuple[str, str], ...],
        *,
        slots: int,
        idle_s: float,
        copy: Callable[[Any], Any] = np.array,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            pairs: (input, output) of each state.
            slots: how many sequences the batcher lets an instance work on.
            idle_s: after so many seconds without a request the batcher takes one for over.
            copy: of a tensor. Those of a request are in memory that goes with it, those of a
                batch in that of all, and a program may write into its inputs.
        """
        self.outputs = tuple(name for _, name in pairs)
        self._pairs = pairs
        self._copy = copy
        self._most = 2 * slots
        self._patience_s = 2 * idle_s + _SPARE_S
        self._clock = clock
        self._kept: OrderedDict[SequenceId, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def enter(self, turn: Turn, inputs: Tensors) -> Tensors:
        """The inputs of a request with its sequence's states.

        Those of a first request are kept before it is run: if it fails, the next one finds them.

        Raises:
            RequestError: nothing is known of the sequence: its first request never came here, or
                the instance was started anew since.
        """
        now = self._clock()
        self._forget_idle(now)
        if not turn.sequence:  # a warm-up: it belongs to no sequence
            return inputs
        if turn.start:
            self._keep(turn, {name: self._copy(inputs[name]) for name, _ in self._pairs}, now)
            return inputs
        kept = self._kept.get(turn.sequence)
        if kept is None:
            raise RequestError(
                f"the state of sequence {turn.sequence} is not here (any more): start it again"
            )
        self._keep(turn, kept.values, now)
        return inputs | {name: self._copy(value) for name, value in kept.values.items()}

    def leave(self, turn: Turn, outputs: Answer) -> Answer:
        """The outputs for the caller; the states among them are what the next request finds.

        A request that failed leaves its sequence's states as they were.
        """
        if turn.end:
            self._kept.pop(turn.sequence, None)
        if outputs is None or isinstance(outputs, RequestError):
            return outputs
        if turn.sequence in self._kept:
            self._kept[turn.sequence].values = {
                given: self._copy(outputs[name]) for given, name in self._pairs
            }
        return {name: value for name, value in outputs.items() if name not in self.outputs}

    def _keep(self, turn: Turn, values: Tensors, now: float) -> None:
        self._kept[turn.sequence] = _Kept(values, now)
        self._kept.move_to_end(turn.sequence)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def _forget_idle(self, now: float) -> None:
        while self._kept:
            oldest = next(iter(self._kept.values()))
            if now - oldest.used_at <= self._patience_s:
                return
            self._kept.popitem(last=False)
