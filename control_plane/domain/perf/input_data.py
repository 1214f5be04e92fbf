"""What perf_analyzer sends: golden examples in its form, and shapes where a size varies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from control_plane.domain.perf.arguments import FROM_FILE
from control_plane.domain.perf.request import Input, PerfRequest
from control_plane.domain.registry.golden import GoldenExample, GoldenTensor
from control_plane.domain.signature import Tensor
from control_plane.domain.violations import InvalidInputError, Violation


def golden_input(examples: Sequence[GoldenExample], *, batched: bool) -> str:
    """perf_analyzer's `--input-data` document of the examples.

    It puts batches together itself, of rows: an example of three rows is three entries of one.
    """
    entries: list[dict[str, Any]] = []
    for example in examples:
        if not batched:
            entries.append({t.name: _entry(t.values, t.shape) for t in example.inputs})
            continue
        for row in range(min((t.shape[0] for t in example.inputs), default=0)):
            entries.append({t.name: _row(t, row) for t in example.inputs})
    return json.dumps({"data": entries}, separators=(",", ":"))


def decided(
    request: PerfRequest, inputs: Sequence[Tensor], *, golden: bool, batched: bool
) -> PerfRequest:
    """The request with what is sent decided on, checked against what the target takes.

    Args:
        golden: whether there are examples to send.
        batched: whether the first dimension of a shape is the batch's, which perf_analyzer fills.

    Raises:
        InvalidInputError: examples are asked for and there are none, or a size is not known.
    """
    found: list[Violation] = []
    kind = request.input or (Input.GOLDEN if golden and not request.shapes else Input.RANDOM)
    if kind is Input.GOLDEN and not golden:
        detail = (
            f"{request.target} has no golden examples: push it with some, or take random or zero"
        )
        found.append(Violation("/input", "not_found", detail))
    known = {tensor.name: tensor for tensor in inputs}
    for name, given in request.shapes.items():
        if name not in known:
            detail = f"{name!r} is no input; there are {', '.join(sorted(known))}"
            found.append(Violation("/shapes", "not_found", detail))
        elif not _fits(_own_shape(known[name], batched), given):
            detail = f"{list(given)} does not fit {known[name]}; the batch's size is left out"
            found.append(Violation("/shapes", "invalid", detail))
    for tensor in inputs if kind not in FROM_FILE else ():
        if -1 in _own_shape(tensor, batched) and tensor.name not in request.shapes:
            detail = f"{tensor} has a size that varies: give its shape, without the batch's"
            found.append(Violation("/shapes", "required", detail))
    if found:
        raise InvalidInputError(found)
    return replace(request, input=kind)


def _own_shape(tensor: Tensor, batched: bool) -> tuple[int, ...]:
    return tensor.shape[1:] if batched else tensor.shape


def _fits(own: tuple[int, ...], given: tuple[int, ...]) -> bool:
    return len(own) == len(given) and all(
        size in (-1, chosen) for size, chosen in zip(own, given, strict=True)
    )


def _row(tensor: GoldenTensor, row: int) -> dict[str, Any]:
    size = len(tensor.values) // tensor.shape[0]
    # Triton has no tensors without dimensions: a scalar per row is sent as [1].
    return _entry(tensor.values[row * size : (row + 1) * size], tensor.shape[1:] or (1,))


def _entry(values: Sequence[Any], shape: Sequence[int]) -> dict[str, Any]:
    return {"content": list(values), "shape": list(shape)}
