"""The dynamic batcher: how single requests become batches, and how long they may wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge
from pydantic import Field

from control_plane.domain.serving.section import (
    Flag,
    Microseconds,
    Natural32,
    Natural64,
    Positive,
    Section,
)

# The keys of a document's tables are texts.
PriorityLevel = Annotated[int, Ge(1)]


class QueuePolicy(Section):
    """What becomes of a request that has to wait."""

    timeout_action: Literal["REJECT", "DELAY"] = Field(
        "REJECT",
        description="REJECT answers a request with an error when its time in the queue is over; "
        "DELAY lets it wait on behind all that are in time.",
    )
    default_timeout_microseconds: Microseconds = Field(
        0,
        description="How long a request may wait in the queue; 0: for ever. Above 0 Triton's "
        "dynamic batcher slows down over time (server #8870): prefer the caller's timeout.",
    )
    allow_timeout_override: Flag = Field(
        False, description="A request may bring a shorter timeout of its own."
    )
    max_queue_size: Natural32 = Field(
        0, description="Requests beyond so many waiting ones are refused at once; 0: no limit."
    )


class DynamicBatching(Section):
    """How requests are put together to batches."""

    preferred_batch_size: tuple[Positive, ...] = Field(
        (),
        description="Sizes that are sent to the model as soon as they are reached. Only where "
        "the model is much faster at some sizes, as TensorRT plans are; else leave it out.",
    )
    max_queue_delay_microseconds: Microseconds = Field(
        0,
        description="How long the first request of a batch waits for others. 0: a batch is what "
        "already waits when an instance is free.",
    )
    preserve_ordering: Flag = Field(
        False, description="Answers leave in the order in which their requests came."
    )
    priority_levels: Natural64 = Field(
        0, description="How many priorities requests may have, 1 being the highest; 0: none."
    )
    default_priority_level: Natural64 = Field(
        0, description="The priority of a request that says none; 1 to priority_levels."
    )
    default_queue_policy: QueuePolicy | None = Field(
        None, description="The queue of all priorities that have none of their own."
    )
    priority_queue_policy: Mapping[PriorityLevel, QueuePolicy] = Field(
        default_factory=dict, description="Queues by priority."
    )

    def values(self, **chosen: Any) -> dict[str, Any]:
        # These two are always written: what is written is what physical names are digests of.
        return {
            "preferred_batch_size": list(self.preferred_batch_size),
            "max_queue_delay_microseconds": str(self.max_queue_delay_microseconds),
            **super().values(**chosen),
        }


def queues(batching: DynamicBatching) -> Iterator[tuple[str, QueuePolicy]]:
    """Every queue's policy with its place in the document; one that is not said is Triton's own."""
    where = "/dynamic_batching"
    yield f"{where}/default_queue_policy", batching.default_queue_policy or QueuePolicy()
    for level, policy in batching.priority_queue_policy.items():
        yield f"{where}/priority_queue_policy/{level}", policy
