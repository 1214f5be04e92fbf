"""Overrides as people type them."""

from __future__ import annotations

from typing import Any

import pytest

from nereid.overrides import of_arm, overrides_of, with_overrides
from nereid.policy import PolicySyntaxError

POLICY: dict[str, Any] = {
    "arms": [
        {"name": "stable", "model": "digits", "version": 1},
        {
            "name": "digits-v2",
            "model": "digits",
            "version": 2,
            "overrides": {"dynamic_batching": {"preserve_ordering": True}},
        },
    ]
}


def test_words_make_a_document() -> None:
    assert overrides_of(
        [
            "max_batch_size=16",
            "dynamic_batching.max_queue_delay_microseconds=500",
            "dynamic_batching.preferred_batch_size=[4, 8]",
            "response_cache=null",
            "parameters.session.intra_op.allow_spinning=0",
            "optimization.priority=PRIORITY_MAX",
        ]
    ) == {
        "max_batch_size": 16,
        "dynamic_batching": {
            "max_queue_delay_microseconds": 500,
            "preferred_batch_size": [4, 8],
        },
        "response_cache": None,
        "parameters": {"session.intra_op.allow_spinning": "0"},
        "optimization": {"priority": "PRIORITY_MAX"},
    }


@pytest.mark.parametrize("texts", [["max_batch_size"], ["=4"], ["a=1", "a.b=2"]])
def test_what_cannot_be_read_is_said(texts: list[str]) -> None:
    with pytest.raises(PolicySyntaxError):
        overrides_of(texts)


def test_they_are_laid_over_those_of_the_arm_that_is_named() -> None:
    given = [of_arm("digits:2:dynamic_batching.max_queue_delay_microseconds=9")]
    given.append(of_arm("stable:max_batch_size=4"))
    [first, second] = with_overrides(POLICY, given, [])["arms"]
    assert first["overrides"] == {"max_batch_size": 4}
    assert second["overrides"] == {
        "dynamic_batching": {"preserve_ordering": True, "max_queue_delay_microseconds": 9}
    }
    assert "overrides" not in with_overrides(POLICY, [], ["digits-v2"])["arms"][1]
    # What was given stays as it was.
    assert "max_queue_delay_microseconds" not in str(POLICY)


def test_an_arm_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(
        PolicySyntaxError, match="'digits:3' is none of the arms: stable, digits-v2"
    ):
        with_overrides(POLICY, [of_arm("digits:3:max_batch_size=4")], [])
    with pytest.raises(PolicySyntaxError, match="ARM:WORD=VALUE"):
        of_arm("max_batch_size=4")
