"""What callers see of a model: its tensors, less what the sequence batcher fills and keeps."""

from __future__ import annotations

from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.signature import Signature


def callers_signature(signature: Signature, profile: ServingProfile | None) -> Signature:
    """The model's signature without control inputs and without the inputs and outputs of states."""
    batching = profile.sequence_batching if profile else None
    if batching is None:
        return signature
    filled = {given.name for given in batching.control_input}
    filled |= {state.input_name for state in batching.state}
    kept = {state.output_name for state in batching.state}
    return Signature(
        inputs=tuple(t for t in signature.inputs if t.name not in filled),
        outputs=tuple(t for t in signature.outputs if t.name not in kept),
    )
