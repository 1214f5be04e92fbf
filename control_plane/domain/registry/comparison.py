"""How the signatures of two versions differ, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def signature_differences(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> list[str]:
    """What callers would notice; both are `Signature.to_document`s, None is one not known.

    >>> one = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}], "outputs": []}
    >>> signature_differences(one, {"inputs": [], "outputs": []})
    ['input x is gone']
    """
    if before is None or after is None:
        return []
    return [
        *_side("input", _tensors(before, "inputs"), _tensors(after, "inputs")),
        *_side("output", _tensors(before, "outputs"), _tensors(after, "outputs")),
    ]


def tensor_words(tensor: Mapping[str, Any]) -> str:
    """A tensor's type and shape: `FP32[?, 10]`."""
    sizes = ", ".join("?" if size < 0 else str(size) for size in tensor["shape"])
    return f"{tensor['datatype']}[{sizes}]"


def _side(word: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield f"{word} {name} is gone"
        elif name not in before:
            yield f"{word} {name} is new: {after[name]}"
        elif before[name] != after[name]:
            yield f"{word} {name}: {before[name]} → {after[name]}"


def _tensors(signature: Mapping[str, Any], side: str) -> dict[str, str]:
    return {tensor["name"]: tensor_words(tensor) for tensor in signature.get(side) or ()}
