"""The catalogue: who gets which event, and that what is documented is what is sent."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from control_plane.domain.violations import InvalidInputError
from control_plane.domain.webhooks import payload
from control_plane.domain.webhooks.catalogue import BY_NAME, CATALOGUE, TYPES, EventType
from control_plane.domain.webhooks.matching import check_names, check_patterns, concerns, wants

DOCS = Path(__file__).resolve().parents[3] / "docs" / "webhooks.md"
PATTERNS = st.sampled_from(["*", *TYPES, *{f"{event.subject}.*" for event in CATALOGUE}])


@given(st.lists(PATTERNS, max_size=5), st.sampled_from(TYPES))
def test_patterns_mean_what_a_shell_would_say(patterns: list[str], event: str) -> None:
    assert wants(patterns, event) is any(fnmatchcase(event, pattern) for pattern in patterns)


@given(st.lists(PATTERNS, min_size=1, max_size=5))
def test_every_pattern_that_stands_for_something_is_taken(patterns: list[str]) -> None:
    check_patterns(patterns)


@pytest.mark.parametrize(
    "wrong", ["", "version", "version.", ".ready", "versions.*", "v*", "*.ready", "**", "nope.nope"]
)
def test_a_pattern_that_stands_for_nothing_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_patterns(["version.*", wrong])
    assert refused.value.violations[0].pointer == "/events/1"


def test_there_is_something_to_want() -> None:
    for wrong in ([], ["*"] * 51):
        with pytest.raises(InvalidInputError):
            check_patterns(wrong)


def test_a_filter_passes_its_names_alone() -> None:
    assert concerns([], "digits")
    assert concerns([], "")
    assert concerns(["digits"], "digits")
    assert not concerns(["digits"], "letters")
    assert not concerns(["digits"], "")  # a server is about no name
    with pytest.raises(InvalidInputError):
        check_names(["digits", "No Name"])
    with pytest.raises(InvalidInputError):
        check_names(["digits"] * 101)


@pytest.mark.parametrize("event", CATALOGUE, ids=lambda event: event.name)
def test_examples_fit_their_schemas(event: EventType) -> None:
    schema = payload.schema(event)
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(payload.example(event))


def test_types_and_deeds_are_there_once() -> None:
    assert len(BY_NAME) == len(CATALOGUE)
    deeds = [event.action for event in CATALOGUE if event.action]
    assert len(deeds) == len(set(deeds))


def test_the_page_lists_them_all_in_the_same_words() -> None:
    page = DOCS.read_text()
    for event in CATALOGUE:
        assert f"| `{event.name}` | {event.words} |" in page


@given(st.integers(0, 400_000))
def test_a_payload_is_bounded_and_says_when_it_left_something_out(size: int) -> None:
    said = payload.data({"endpoint": "digits"}, actor="ada", before=None, after={"x": "a" * size})
    at = datetime(2026, 11, 26, tzinfo=UTC)
    event = BY_NAME["endpoint.policy"]
    body = payload.document(event, "evt_1", at, said)
    found: dict[str, Any] = json.loads(body)
    assert len(body) <= payload.MAX_BYTES
    assert found["data"]["truncated"] is (found["data"]["after"] is None)
    assert found["data"]["truncated"] or size < payload.MAX_BYTES
    Draft202012Validator(payload.schema(event)).validate(found)


@pytest.mark.parametrize(
    ("event", "name", "before", "after", "expected"),
    [
        ("version.ready", "digits:12", None, None, {"model": "digits", "version": 12}),
        ("model.created", "digits", None, {}, {"model": "digits"}),
        (
            "alias.set",
            "digits",
            {"champion": 1},
            {"champion": 2},
            {"model": "digits", "alias": "champion", "version": 2},
        ),
        (
            "alias.deleted",
            "digits",
            {"champion": 1},
            None,
            {"model": "digits", "alias": "champion", "version": None},
        ),
        ("endpoint.kill", "digits", {}, {}, {"endpoint": "digits"}),
        ("token.revoked", "nightly", {}, {}, {"token": "nightly"}),
    ],
)
def test_the_subject_is_read_from_the_audit_record(
    event: str, name: str, before: Any, after: Any, expected: dict[str, Any]
) -> None:
    subject = payload.subject_of(BY_NAME[event], name, before, after)
    assert subject == expected
    assert payload.name_of(subject) == ("" if event.startswith("token") else "digits")
