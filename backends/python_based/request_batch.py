"""Running a dynamic batch: one call of the framework for all requests that fit together.

Tensors are whatever the framework works with, numpy's arrays or its own: `Arrays` says how they are
put together and taken apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Tensors = dict[str, Any]
# (output names, inputs) -> outputs in that order
Run = Callable[[Sequence[str], Mapping[str, Any]], Sequence[Any]]


class RequestError(ValueError):
    """One request cannot be answered; its neighbours in the batch can."""


class InputError(RequestError):
    """The caller's own mistake: no other model of this signature would answer it either."""


class Asked(NamedTuple):
    """One request: its input tensors as Triton gave them, and the outputs it wants."""

    inputs: Tensors
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Arrays:
    """How tensors are joined along their first dimension, and parted at those sizes again."""

    join: Callable[[list[Any]], Any]
    part: Callable[[Any, list[int]], Sequence[Any]]
    copy: Callable[[Any], Any]


def _numpy_part(value: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    # As np.split, which takes ten times as long.
    parts, start = [], 0
    for size in sizes:
        parts.append(value[start : start + size])
        start += size
    return parts


NUMPY = Arrays(np.concatenate, _numpy_part, np.array)


def answer_all(
    run: Run,
    requests: Sequence[Asked | RequestError | None],
    *,
    batched: bool,
    arrays: Arrays = NUMPY,
) -> list[Tensors | RequestError | None]:
    """An answer or an error for each request, in order; None, which asks nothing, stays None.

    Requests that carry the same inputs, different in the batch dimension only, are run together:
    those that leave an optional one out are another batch. When that fails, each is run alone, so
    that only the ones at fault are told so.
    """
    answers: list[Any] = list(requests)
    groups: dict[tuple, list[int]] = {}
    for index, entry in enumerate(requests):
        if isinstance(entry, Asked):
            # Without a batch dimension, or a tensor that has it, nothing may be joined.
            alone = not batched or not entry.inputs or len(requests) == 1
            groups.setdefault((index,) if alone else _shape_key(entry.inputs), []).append(index)
    for members in groups.values():
        asked = [requests[index] for index in members]
        for index, answer in zip(members, _answer_group(run, asked, batched, arrays), strict=True):
            answers[index] = answer
    return answers


def _shape_key(inputs: Tensors) -> tuple:
    # For each request of each batch: types are compared as they are, their names take long to make.
    if len(inputs) == 1:
        [(name, value)] = inputs.items()
        return name, value.dtype, value.shape[1:]
    return tuple([(name, inputs[name].dtype, inputs[name].shape[1:]) for name in sorted(inputs)])


def _answer_group(
    run: Run, group: Sequence[Asked], batched: bool, arrays: Arrays
) -> Sequence[Tensors | RequestError]:
    try:
        return _run_together(run, group, batched, arrays)
    except RequestError as error:
        if len(group) == 1:
            return [error]
    except Exception as error:  # whatever the framework raises belongs to these requests
        if len(group) == 1:
            return [RequestError(str(error))]
    return [_answer_group(run, [asked], batched, arrays)[0] for asked in group]


def _run_together(run: Run, group: Sequence[Asked], batched: bool, arrays: Arrays) -> list[Tensors]:
    first = group[0]
    if len(group) == 1:
        wanted, inputs = first.outputs, first.inputs
    else:
        wanted = _wanted(group)
        inputs = {
            name: arrays.join([asked.inputs[name] for asked in group]) for name in first.inputs
        }
    outputs = dict(zip(wanted, run(wanted, inputs), strict=True))
    if not batched or not first.inputs:  # without any there is no batch to keep
        return [outputs]
    sizes = [_batch_size(asked.inputs) for asked in group]
    rows = sum(sizes)
    for name, value in outputs.items():
        if value.ndim == 0 or value.shape[0] != rows:
            raise RequestError(
                f"output '{name}' has shape {list(value.shape)} for a batch of {rows}: "
                "the model does not keep its batch dimension"
            )
    if len(group) == 1:
        return [outputs]
    parts = {name: arrays.part(value, sizes) for name, value in outputs.items()}
    return [
        {name: parts[name][index] for name in asked.outputs} for index, asked in enumerate(group)
    ]


def _wanted(group: Sequence[Asked]) -> tuple[str, ...]:
    """What any of the requests asks for; nearly always they all ask for the same."""
    outputs = group[0].outputs
    if all(asked.outputs == outputs for asked in group):
        return outputs
    return tuple(sorted({name for asked in group for name in asked.outputs}))


def _batch_size(inputs: Tensors) -> int:
    if len(inputs) == 1:
        [only] = inputs.values()
        return only.shape[0]
    sizes = {value.shape[0] for value in inputs.values()}
    if len(sizes) != 1:
        raise InputError(f"the inputs disagree on the batch size: {sorted(sizes)}")
    return sizes.pop()
