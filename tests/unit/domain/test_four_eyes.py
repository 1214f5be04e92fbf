"""The four-eyes rule: who may let what through, as tables and as properties."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from control_plane.domain.access import Role, role_may, roles_with
from control_plane.domain.four_eyes import (
    LIFT,
    Change,
    ChangeState,
    Deed,
    Move,
    Person,
    Ruling,
    after,
    ask_again,
    course,
    decide,
    stale,
)

ADA, BEN, CYD = Person(1, "ada"), Person(2, "ben"), Person(3, "cyd")
WAITS = Change("digits", 3, ADA, generation=7)
DECIDED = [state for state in ChangeState if state is not ChangeState.PENDING]

people = st.builds(Person, st.none() | st.integers(1, 4), st.sampled_from(["ada", "ben", "cyd"]))
generations = st.integers(0, 9)
changes = st.builds(
    Change,
    st.just("digits"),
    st.integers(1, 9),
    people,
    generations,
    st.sampled_from(ChangeState),
    st.none() | people,
)


@pytest.mark.parametrize(
    ("move", "served", "ruling"),
    [
        (Move.POLICY, True, Ruling.ASK),
        (Move.ROLLBACK, True, Ruling.GO),
        (Move.ROLLBACK, False, Ruling.CONFLICT),
        (Move.KILL, True, Ruling.GO),
        (Move.REMOVAL, True, Ruling.CONFLICT),
    ],
)
def test_with_the_rule_only_the_ways_out_go_at_once(
    move: Move, served: bool, ruling: Ruling
) -> None:
    assert course(move, four_eyes=True, served=served).ruling is ruling
    assert course(move, four_eyes=False, served=served).ruling is Ruling.GO


@pytest.mark.parametrize(
    ("deed", "person", "generation", "ruling", "says"),
    [
        (Deed.APPROVE, BEN, 7, Ruling.GO, ""),
        (Deed.APPROVE, ADA, 7, Ruling.NOT_YOURS, "you asked for change 3 of digits yourself"),
        (Deed.APPROVE, BEN, 8, Ruling.CONFLICT, "at generation 7, and the endpoint is at 8"),
        (Deed.APPROVE, ADA, 8, Ruling.NOT_YOURS, "somebody else who may change it approves"),
        (Deed.REJECT, BEN, 7, Ruling.GO, ""),
        (Deed.REJECT, BEN, 8, Ruling.GO, ""),
        (Deed.REJECT, ADA, 7, Ruling.NOT_YOURS, "withdraw it"),
        (Deed.WITHDRAW, ADA, 7, Ruling.GO, ""),
        (Deed.WITHDRAW, ADA, 8, Ruling.GO, ""),
        (Deed.WITHDRAW, BEN, 7, Ruling.NOT_YOURS, "ada asked for change 3 of digits"),
    ],
)
def test_who_decides_a_change_that_waits(
    deed: Deed, person: Person, generation: int, ruling: Ruling, says: str
) -> None:
    verdict = decide(WAITS, deed, person, generation=generation)
    assert verdict.ruling is ruling
    assert says in verdict.reason


@pytest.mark.parametrize("state", DECIDED)
@pytest.mark.parametrize("deed", Deed)
def test_what_is_decided_stays_so(state: ChangeState, deed: Deed) -> None:
    decided = Change("digits", 3, ADA, 7, state, BEN)
    again = decide(decided, deed, BEN, generation=7)
    assert again.ruling is (Ruling.ALREADY if after(deed) is state else Ruling.CONFLICT)
    for other in (ADA, CYD):
        late = decide(decided, deed, other, generation=7)
        assert late.ruling is Ruling.CONFLICT
        assert f"is {state} (ben)" in late.reason


@pytest.mark.parametrize(
    ("pending", "author", "same", "generation", "ruling"),
    [
        (None, ADA, False, 7, Ruling.GO),
        (WAITS, ADA, True, 7, Ruling.ALREADY),
        (WAITS, ADA, False, 7, Ruling.GO),
        (WAITS, ADA, True, 8, Ruling.GO),
        (WAITS, BEN, False, 7, Ruling.CONFLICT),
        (WAITS, BEN, True, 7, Ruling.CONFLICT),
        (WAITS, BEN, False, 8, Ruling.GO),
    ],
)
def test_asking_while_a_change_waits(
    pending: Change | None, author: Person, same: bool, generation: int, ruling: Ruling
) -> None:
    assert ask_again(pending, author, same=same, generation=generation).ruling is ruling


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Person(1, "ada"), Person(1, "ada"), True),
        (Person(1, "ada"), Person(1, "countess"), True),  # renamed since
        (Person(1, "ada"), Person(9, "ada"), True),  # the account was made anew
        (Person(None, "ada"), Person(9, "ada"), True),
        (Person(None, "ada"), Person(None, "ben"), False),
        (Person(1, "ada"), Person(2, "ben"), False),
    ],
)
def test_a_person_is_known_by_account_and_by_name(one: Person, other: Person, same: bool) -> None:
    assert one.is_same(other) is same
    assert other.is_same(one) is same


def test_only_an_admin_lifts_the_rule() -> None:
    assert roles_with(LIFT) == [Role.ADMIN]
    assert not role_may(Role.OPERATOR, LIFT)


@given(change=changes, person=people, generation=generations)
def test_nobody_approves_what_they_asked_for(
    change: Change, person: Person, generation: int
) -> None:
    verdict = decide(change, Deed.APPROVE, person, generation=generation)
    if verdict.ruling is Ruling.GO:
        assert not person.is_same(change.author)
        assert change.state is ChangeState.PENDING
        assert change.generation == generation


@given(change=changes, deeds=st.lists(st.tuples(st.sampled_from(Deed), people)), at=generations)
def test_a_change_is_decided_once(
    change: Change, deeds: list[tuple[Deed, Person]], at: int
) -> None:
    """Whoever comes in whatever order: one deed at most goes through."""
    assume(change.state is ChangeState.PENDING)
    done = 0
    for deed, person in deeds:
        if decide(change, deed, person, generation=at).ruling is Ruling.GO:
            change = Change(
                change.endpoint,
                change.number,
                change.author,
                change.generation,
                after(deed),
                person,
            )
            done += 1
    assert done <= 1


@given(change=changes, deed=st.sampled_from(Deed), person=people, generation=generations)
def test_every_refusal_says_why(
    change: Change, deed: Deed, person: Person, generation: int
) -> None:
    verdict = decide(change, deed, person, generation=generation)
    assert verdict.reason or verdict.ruling is Ruling.GO


@given(change=changes, generation=generations)
def test_stale_is_what_waits_at_another_generation(change: Change, generation: int) -> None:
    expected = change.state is ChangeState.PENDING and change.generation != generation
    assert bool(stale(change, generation)) is expected
