"""What callers see of a model: its tensors, less what the sequence batcher fills and keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from control_plane.domain.serving.details import NO_DETAILS, Details
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.signature import Signature, Tensor


def callers_signature(
    signature: Signature, profile: ServingProfile | None, details: Details = NO_DETAILS
) -> Signature:
    """The model's signature without control inputs, without the inputs and outputs of states and
    what the batcher fills; tensors that are reshaped are as callers send and get them."""
    filled, kept = set(details.filled), set()
    batching = profile.sequence_batching if profile else None
    if batching is not None:
        filled |= {given.name for given in batching.control_input}
        filled |= {state.input_name for state in batching.state}
        kept = {state.output_name for state in batching.state}
    # Rows stay in front: only what a row is like is another thing to callers.
    batched = signature.batched and (profile is None or profile.max_batch_size > 0)
    rows = (-1,) if batched else ()
    return Signature(
        inputs=_seen(signature.inputs, filled, details.dims_of("input"), rows),
        outputs=_seen(signature.outputs, kept, details.dims_of("output"), rows),
    )


def _seen(
    tensors: Sequence[Tensor],
    hidden: set[str],
    reshaped: Mapping[str, tuple[int, ...]],
    rows: tuple[int, ...],
) -> tuple[Tensor, ...]:
    return tuple(
        replace(t, shape=(*rows, *reshaped[t.name])) if t.name in reshaped else t
        for t in tensors
        if t.name not in hidden
    )
