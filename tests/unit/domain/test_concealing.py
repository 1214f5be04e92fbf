"""What a line of a log must not say, and what it may go on saying."""

from __future__ import annotations

import pytest

from control_plane.domain.concealing import concealed

SECRET = "Zm9vYmFyYmF6cXV4Y29ycmVjdA"


@pytest.mark.parametrize(
    "line",
    [
        f"Not Found: /api/v1/models/nrd_{SECRET}/",
        f"?token=nrd_{SECRET}&x=1",
        f"the secret 'whsec_{SECRET}==' is taken",
        f"Authorization: Bearer {SECRET}",
        f"{{'authorization': 'Basic {SECRET}'}}",
        f"bearer {SECRET} is no name",
        f"cannot reach postgresql://nereid:{SECRET}@db:5432/nereid",
        f"no answer from redis://:{SECRET}@127.0.0.1:6379/0",
        f"two: nrd_{SECRET} and redis://u:{SECRET}@h/0",
    ],
)
def test_a_secret_that_can_be_told_by_its_looks_is_gone(line: str) -> None:
    said = concealed(line)
    assert SECRET not in said
    assert "…" in said


@pytest.mark.parametrize(
    "line",
    [
        "",
        "GET /api/v1/models/digits/versions/3/",
        "http://127.0.0.1:8080/api/docs/",
        "postgresql://db:5432/nereid",
        "digits.v2.286f74 answered in 1.7 ms",
        "the token nrd_ is too short",
    ],
)
def test_what_is_no_secret_stays_as_it_is(line: str) -> None:
    assert concealed(line) == line


def test_who_was_asked_is_still_said() -> None:
    assert concealed("postgresql://nereid:hunter2@db/x") == "postgresql://nereid:…@db/x"
