"""The sequence batcher: requests that belong together go to the same instance, in their order."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import MinLen
from pydantic import Field, StringConstraints

from control_plane.domain.serving.section import (
    Dim,
    Flag,
    Fraction,
    Microseconds,
    Positive,
    Section,
    Word,
)

DataType = Literal[
    "TYPE_BOOL",
    "TYPE_UINT8",
    "TYPE_UINT16",
    "TYPE_UINT32",
    "TYPE_UINT64",
    "TYPE_INT8",
    "TYPE_INT16",
    "TYPE_INT32",
    "TYPE_INT64",
    "TYPE_FP16",
    "TYPE_FP32",
    "TYPE_FP64",
    "TYPE_STRING",
    "TYPE_BF16",
]


INITIAL_STATE = "initial_state"
"""The folder of a model, and of a version's archive, that the files of first states lie in."""

FileName = Annotated[
    str, StringConstraints(max_length=100, pattern=r"^[A-Za-z0-9_][A-Za-z0-9._+-]*$")
]


class StrategyDirect(Section):
    """Each sequence has a slot of the batch to itself until it ends."""

    max_queue_delay_microseconds: Microseconds = Field(
        0, description="How long a batch waits for requests of its other sequences."
    )
    minimum_slot_utilization: Fraction = Field(
        0.0, description="The share of slots that must have a request before the delay is over."
    )


class StrategyOldest(Section):
    """The oldest requests of all sequences are batched dynamically; states come as inputs."""

    max_candidate_sequences: Positive = Field(
        128, description="How many sequences one instance works on at a time; others wait."
    )
    preferred_batch_size: tuple[Positive, ...] = Field(
        (), description="As for dynamic batching: sizes that are sent on as soon as reached."
    )
    max_queue_delay_microseconds: Microseconds = Field(
        0, description="How long the oldest request waits for others."
    )
    preserve_ordering: Flag = Field(
        False, description="Answers leave in the order in which their requests came."
    )


class Control(Section):
    """What the batcher tells the model of a request."""

    kind: Literal[
        "CONTROL_SEQUENCE_START",
        "CONTROL_SEQUENCE_READY",
        "CONTROL_SEQUENCE_END",
        "CONTROL_SEQUENCE_CORRID",
    ] = Field(description="Its sequence starts, is there, ends; or the sequence's id.")
    int32_false_true: tuple[int, ...] = Field((), description="Two values: for no and for yes.")
    fp32_false_true: tuple[float, ...] = Field((), description="Two values: for no and for yes.")
    bool_false_true: tuple[bool, ...] = Field((), description="Two values: for no and for yes.")
    data_type: DataType | None = Field(None, description="Of the sequence's id.")


class ControlInput(Section):
    """An input that the batcher fills; callers neither see nor send it."""

    name: Word = Field(description="Of the model's input.")
    control: Annotated[tuple[Control, ...], MinLen(1)]


class InitialState(Section):
    """What a sequence's state is at its start."""

    name: Word = Field(description="A word of your own.")
    data_type: DataType = Field(description="That of the state.")
    dims: tuple[Dim, ...] = Field(description="Without the batch, and without free dimensions.")
    zero_data: Literal[True] | None = Field(
        None, description="Zeros, or empty texts: what it is without a file."
    )
    data_file: FileName | None = Field(
        None,
        description="The numbers one after the other, in the file of that name in the folder "
        "`initial_state` of the version's archive.",
    )

    def values(self, **chosen: Any) -> dict[str, Any]:
        found = super().values(exclude_defaults=False, exclude={"zero_data", "data_file"}, **chosen)
        return found | ({"data_file": self.data_file} if self.data_file else {"zero_data": True})


class State(Section):
    """A tensor that the batcher keeps from request to request of a sequence."""

    input_name: Word = Field(description="The model reads it here; callers do not see it.")
    output_name: Word = Field(description="The model writes it here; callers do not see it.")
    data_type: DataType = Field(description="`TYPE_FP32` and so on.")
    dims: tuple[Dim, ...] = Field(description="Without the batch; a free dimension is -1.")
    initial_state: tuple[InitialState, ...] = Field(
        (), description="Left out: zeros, and a free dimension is 1."
    )
    use_same_buffer_for_input_output: Flag = Field(
        False, description="The model writes the state where it read it (native backends)."
    )
    use_growable_memory: Flag = Field(
        False, description="A state that grows does so in place (GPU, one buffer)."
    )

    def values(self, **chosen: Any) -> dict[str, Any]:
        found = super().values(exclude={"initial_state"}, **chosen)
        return found | {"initial_state": [one.values() for one in self._initial()]}

    def _initial(self) -> tuple[InitialState, ...]:
        """Never left out: Triton begins a sequence with whatever its memory holds then."""
        fixed = tuple(abs(size) for size in self.dims)
        zeros = InitialState(name="zeros", data_type=self.data_type, dims=fixed)
        return self.initial_state or (zeros,)


class SequenceBatching(Section):
    """How requests of one sequence reach one instance."""

    max_sequence_idle_microseconds: Microseconds = Field(
        1_000_000, description="A sequence that sends nothing for so long is over."
    )
    direct: StrategyDirect | None = None
    oldest: StrategyOldest | None = None
    control_input: tuple[ControlInput, ...] = ()
    state: tuple[State, ...] = ()
    iterative_sequence: Flag = Field(
        False,
        description="A request may be run again and again until the model says that it is done.",
    )

    def values(self, **chosen: Any) -> dict[str, Any]:
        found: dict[str, Any] = {
            "max_sequence_idle_microseconds": str(self.max_sequence_idle_microseconds)
        }
        if self.oldest:
            found["oldest"] = {
                "max_candidate_sequences": self.oldest.max_candidate_sequences,
                **self.oldest.values(),
            }
        else:
            found["direct"] = (self.direct or StrategyDirect()).values()
        if self.state:
            found["state"] = [one.values() for one in self.state]
        return found | super().values(include={"control_input", "iterative_sequence"}, **chosen)
