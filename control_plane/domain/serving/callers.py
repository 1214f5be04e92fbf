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


def absent_tensors(signature: Signature, profile: ServingProfile) -> list[str]:
    """What the profile's sequence batcher fills or keeps and the model does not have, in words."""
    batching = profile.sequence_batching
    if batching is None:
        return []
    inputs = {tensor.name for tensor in signature.inputs}
    outputs = {tensor.name for tensor in signature.outputs}
    wanted = [("input", given.name, inputs) for given in batching.control_input]
    for state in batching.state:
        wanted += [("input", state.input_name, inputs), ("output", state.output_name, outputs)]
    return [f"no {kind} {name!r}" for kind, name, there in wanted if name not in there]
