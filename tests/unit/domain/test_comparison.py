"""Signatures of two versions, compared in words."""

from __future__ import annotations

from typing import Any

from control_plane.domain.registry.comparison import signature_differences


def signature(**outputs: list[int]) -> dict[str, Any]:
    tensors = [{"name": n, "datatype": "FP32", "shape": shape} for n, shape in outputs.items()]
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1]}], "outputs": tensors}


def test_what_callers_would_notice() -> None:
    before, after = signature(logits=[-1, 10], old=[1]), signature(logits=[-1, 11], new=[2])
    assert signature_differences(before, after) == [
        "output logits: FP32[?, 10] → FP32[?, 11]",
        "output new is new: FP32[2]",
        "output old is gone",
    ]
    assert signature_differences(before, before) == []


def test_what_is_not_known_differs_from_nothing() -> None:
    assert signature_differences(None, signature()) == []
    assert signature_differences(signature(), None) == []
