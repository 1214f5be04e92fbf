"""Figures by data set: what is taken, how they are merged, which is the best."""

from __future__ import annotations

import math
from typing import Any

import pytest

from control_plane.domain.registry.metrics import (
    best,
    by_data_set,
    check_metrics,
    labelled,
    lower_is_better,
    merged,
)
from control_plane.domain.violations import InvalidInputError


def refused(document: Any, **options: Any) -> dict[str, str]:
    with pytest.raises(InvalidInputError) as refusal:
        check_metrics(document, **options)
    return {violation.pointer: violation.code for violation in refusal.value.violations}


def test_numbers_and_data_sets_are_taken() -> None:
    check_metrics({})
    check_metrics({"accuracy": 0.98, "count": 7, "holdout-2026": {"accuracy": 0.97, "x": -1}})


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ([], {"/metrics": "type"}),
        (None, {"/metrics": "type"}),
        ({"a": "0.9"}, {"/metrics/a": "invalid"}),
        ({"a": True}, {"/metrics/a": "invalid"}),
        ({"a": None}, {"/metrics/a": "invalid"}),
        ({"a": math.nan}, {"/metrics/a": "invalid"}),
        ({"a": 1 << 70}, {"/metrics/a": "invalid"}),
        ({"": 1}, {"/metrics/": "invalid_name"}),
        ({"x" * 101: 1}, {f"/metrics/{'x' * 101}": "invalid_name"}),
        ({"a\0": 1}, {"/metrics/a\0": "invalid_name"}),
        ({"set": {"b": [1]}}, {"/metrics/set/b": "invalid"}),
        ({"set": {"b": {"c": 1}}}, {"/metrics/set/b": "invalid"}),
        ({"set": {"": 1}}, {"/metrics/set/": "invalid_name"}),
        ({"default": {"a": 1}}, {"/metrics/default": "reserved"}),
        ({f"m{i}": 1 for i in range(1001)}, {"/metrics": "too_many"}),
        ({"set": {f"m{i}": 1 for i in range(1001)}}, {"/metrics": "too_many"}),
    ],
)
def test_what_is_no_figure_is_refused_at_its_place(document: Any, where: dict[str, str]) -> None:
    assert refused(document) == where


def test_null_removes_where_that_is_meant() -> None:
    check_metrics({"a": None, "set": {"b": None}}, removing=True)
    assert refused({"set": {"b": None}}) == {"/metrics/set/b": "invalid"}


def test_by_data_set_the_default_one_first() -> None:
    metrics = {"z": {"a": 1}, "loss": 2, "b": {"a": 3}}
    assert list(by_data_set(metrics).items()) == [
        ("default", {"loss": 2}),
        ("b", {"a": 3}),
        ("z", {"a": 1}),
    ]
    assert by_data_set({}) == {}
    assert labelled(metrics) == {"loss": 2, "b a": 3, "z a": 1}


def test_a_patch_adds_replaces_and_removes() -> None:
    present = {"accuracy": 0.9, "loss": 1.0, "old": {"f1": 0.5}, "set": {"f1": 0.5, "auc": 0.6}}
    patch = {"accuracy": 0.91, "loss": None, "old": None, "set": {"f1": 0.7}, "new": {"f1": 0.8}}
    assert merged(present, patch) == {
        "accuracy": 0.91,
        "set": {"f1": 0.7, "auc": 0.6},
        "new": {"f1": 0.8},
    }
    assert merged({"set": {"f1": 1}}, {"set": {"f1": None}, "gone": None}) == {}
    assert present["set"] == {"f1": 0.5, "auc": 0.6}


def test_a_name_is_a_figure_or_a_data_set() -> None:
    for present, patch in (({"a": 1}, {"a": {"b": 1}}), ({"a": {"b": 1}}, {"a": 1})):
        with pytest.raises(InvalidInputError, match="choose another name"):
            merged(present, patch)


def test_patches_do_not_add_up_beyond_the_limit() -> None:
    present = {f"m{i}": 1 for i in range(1000)}
    with pytest.raises(InvalidInputError, match="1001 metrics"):
        merged(present, {"more": 1})


def test_which_is_best() -> None:
    assert best("accuracy", [0.9, 0.98, 0.97]) == 0.98
    assert best("val_loss", [0.9, 0.1]) == 0.1
    assert best("accuracy", [0.9, 0.9]) is None
    assert best("accuracy", [0.9]) is None
    assert [lower_is_better(n) for n in ("RMSE", "f1", "p99_latency_ms")] == [True, False, True]
