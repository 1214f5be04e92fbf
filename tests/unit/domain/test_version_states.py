"""Which state of a version follows which, and what keeps one out of the archive."""

from __future__ import annotations

import itertools

import pytest

from control_plane.domain.registry.states import (
    FOLLOWS,
    IllegalTransitionError,
    Place,
    VersionState,
    archived,
    check_unused,
    in_words,
    moved,
)

U, V, R, X, A = (
    VersionState.UPLOADING,
    VersionState.VALIDATING,
    VersionState.READY,
    VersionState.REJECTED,
    VersionState.ARCHIVED,
)
LEGAL = {(U, V), (U, X), (V, R), (V, X), (R, A), (X, A), (A, V)}
SERVES = Place("digits", 3, "digits-v2", 90.0, live=True)


@pytest.mark.parametrize(("present", "to"), list(itertools.product(VersionState, repeat=2)))
def test_every_pair_is_a_step_or_a_refusal_that_says_why(
    present: VersionState, to: VersionState
) -> None:
    if (present, to) in LEGAL:
        step = moved("digits:2", present, to, "because")
        assert (step.state, step.reason) == (to, "because")
        return
    with pytest.raises(IllegalTransitionError, match=f"digits:2 is {present}") as refusal:
        moved("digits:2", present, to, "because")
    if present == to:
        assert str(refusal.value).endswith("already")
    else:
        assert all(following in str(refusal.value) for following in FOLLOWS[present])


def test_what_is_ready_or_rejected_is_archived() -> None:
    for present in (R, X):
        step = archived("digits:2", present, "old", places=[], aliases=[])
        assert (step.state, step.reason) == (A, "old")


def test_what_serves_is_not_and_hears_where() -> None:
    with pytest.raises(IllegalTransitionError) as refusal:
        archived("digits:2", R, "old", places=[SERVES], aliases=["champion"])
    assert "endpoint digits (revision 3, arm digits-v2, 90 %)" in str(refusal.value)


def test_nor_what_an_alias_points_to() -> None:
    with pytest.raises(IllegalTransitionError, match="is @a, @b, so it cannot be deleted"):
        check_unused("digits:2", "deleted", [], ["a", "b"])


def test_places_in_words() -> None:
    coming = Place("e", 12, "arm", 0.5, live=False)
    assert str(coming) == "endpoint e (revision 12, arm arm, 0.5 %, on its way)"
    assert in_words([coming]) == str(coming)
    assert in_words([SERVES] * 3).count("endpoint") == 3
    assert in_words([SERVES] * 5).endswith(" and 2 more")
