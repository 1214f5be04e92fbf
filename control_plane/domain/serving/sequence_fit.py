"""Whether a model has what the sequence batcher of its profile fills, keeps and begins with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.serving.sequences import (
    INITIAL_STATE,
    InitialState,
    SequenceBatching,
    State,
)
from control_plane.domain.signature import Signature, Tensor

_BYTES = {"BOOL": 1, "BF16": 2, "FP16": 2, "FP32": 4, "FP64": 8} | {
    f"{kind}{bits}": bits // 8 for kind in ("INT", "UINT") for bits in (8, 16, 32, 64)
}


def initial_files(profile: ServingProfile) -> list[str]:
    """The files that first states are read from, by their place in a version's archive."""
    batching = profile.sequence_batching
    return sorted({_place(first) for _, first in _firsts(batching)}) if batching else []


def unfit(signature: Signature, profile: ServingProfile, sizes: Mapping[str, int]) -> list[str]:
    """What keeps the sequence batcher from serving a model, in words; empty if nothing does.

    Args:
        sizes: of the version's files, in bytes, by their place in its archive.
    """
    batching = profile.sequence_batching
    if batching is None:
        return []
    batched = signature.batched and profile.max_batch_size > 0
    inputs = {tensor.name: tensor for tensor in signature.inputs}
    outputs = {tensor.name: tensor for tensor in signature.outputs}
    found = [
        _absent("input", given.name) for given in batching.control_input if given.name not in inputs
    ]
    for state in batching.state:
        for side, name, tensors in (
            ("input", state.input_name, inputs),
            ("output", state.output_name, outputs),
        ):
            tensor = tensors.get(name)
            found.append(_differs(side, tensor, state, batched) if tensor else _absent(side, name))
    found += [_file(first, sizes) for _, first in _firsts(batching)]
    return [problem for problem in found if problem]


def _absent(side: str, name: str) -> str:
    return f"the model has no {side} {name!r}"


def _differs(side: str, tensor: Tensor, state: State, batched: bool) -> str:
    kind = state.data_type.removeprefix("TYPE_").replace("STRING", "BYTES")
    # A tensor without dimensions of its own is a vector of one to Triton.
    shape = tensor.shape[1 if batched else 0 :] or (1,)
    fits = len(shape) == len(state.dims) and all(
        -1 in (ours, theirs) or ours == theirs
        for ours, theirs in zip(shape, state.dims, strict=True)
    )
    if kind == tensor.datatype and fits:
        return ""
    return (
        f"its {side} {tensor}{' (rows first)' if batched else ''} cannot hold the state "
        f"{kind}{list(state.dims)}"
    )


def _file(first: InitialState, sizes: Mapping[str, int]) -> str:
    place = _place(first)
    if place not in sizes:
        return f"its archive has no file {place}"
    needed = math.prod(first.dims) * _BYTES[first.data_type.removeprefix("TYPE_")]
    if sizes[place] == needed:
        return ""
    return f"its file {place} has {sizes[place]} bytes, and the state begins with {needed}"


def _firsts(batching: SequenceBatching) -> Iterator[tuple[State, InitialState]]:
    for state in batching.state:
        for first in state.initial_state:
            if first.data_file:
                yield state, first


def _place(first: InitialState) -> str:
    return f"{INITIAL_STATE}/{first.data_file}"
