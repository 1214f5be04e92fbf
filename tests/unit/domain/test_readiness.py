"""Whether a server may be sent requests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from control_plane.domain.planning.readiness import (
    WAITS_FOR_CHANGE_S,
    Heard,
    Held,
    Verdict,
    Wanted,
    WantedEndpoint,
    judge,
)

ALL = Held("", (), {"digits": 5})
AT_FIVE = WantedEndpoint(settled=5, newest=5, intent=5)


def heard(one: WantedEndpoint = AT_FIVE, *, since_start_s: float | None = 60.0) -> Heard:
    return Heard(Wanted({"digits": one}), True, since_start_s, since_start_s)


def test_all_that_is_wanted_is_there() -> None:
    assert judge(ALL, heard(), caught_up=False) == Verdict(True, "holds everything that is wanted")


@pytest.mark.parametrize(
    ("held", "told", "why"),
    [
        (replace(ALL, trouble="Triton does not answer"), heard(), "Triton does not answer"),
        (replace(ALL, lacking=["digits"]), heard(), "not loaded: digits"),
        (ALL, replace(heard(), tried=False), "being asked"),
        (ALL, replace(heard(), wanted=Wanted(draining="by ada")), "draining: by ada"),
        (ALL, heard(replace(AT_FIVE, settled=7)), "digits is at generation 5, and 7 is wanted"),
        (replace(ALL, serves={}), heard(), "digits is at generation 0, and 5 is wanted"),
    ],
)
def test_what_is_not_as_it_should_be_is_said(held: Held, told: Heard, why: str) -> None:
    for caught_up in (False, True):
        verdict = judge(held, told, caught_up=caught_up)
        assert not verdict.ready
        assert why in verdict.reason


def test_a_change_under_way_takes_out_nobody_that_was_ready() -> None:
    changing = WantedEndpoint(settled=5, newest=6, intent=7)
    assert judge(ALL, heard(changing), caught_up=True).ready
    assert "7 is wanted" in judge(ALL, heard(changing, since_start_s=0.0), caught_up=False).reason


def test_a_change_that_is_held_up_holds_a_starting_server_for_a_while() -> None:
    coming = WantedEndpoint(settled=5, newest=5, intent=6)
    young, old = WAITS_FOR_CHANGE_S - 1, WAITS_FOR_CHANGE_S + 1
    assert not judge(ALL, heard(coming, since_start_s=young), caught_up=False).ready
    assert judge(ALL, heard(coming, since_start_s=old), caught_up=False).ready
    refused = replace(coming, intent=0)
    assert judge(ALL, heard(refused, since_start_s=young), caught_up=False).ready


def test_without_the_control_plane_what_was_last_wanted_counts() -> None:
    away = heard(WantedEndpoint(settled=5, newest=5, intent=9), since_start_s=None)
    assert judge(ALL, away, caught_up=False).ready
    behind = heard(WantedEndpoint(settled=6, newest=6, intent=6), since_start_s=None)
    assert "6 is wanted" in judge(ALL, behind, caught_up=False).reason
    assert judge(ALL, replace(away, wanted=None), caught_up=False).ready


def test_how_long_it_is_trusted_unheard_of_can_be_said() -> None:
    told = replace(heard(), ago_s=31.0)
    assert judge(ALL, told, caught_up=True).ready
    assert "for 30 s" in judge(ALL, told, caught_up=True, trust_s=30).reason


def test_what_was_deleted_while_it_was_away_goes_first() -> None:
    gone = heard(WantedEndpoint(gone=True))
    assert "was deleted" in judge(ALL, gone, caught_up=False).reason
    assert judge(ALL, gone, caught_up=True).ready, "one that serves lets it go in its own time"


def test_what_is_wanted_is_kept_as_a_document() -> None:
    wanted = Wanted({"digits": WantedEndpoint(5, 6, 7, True, True)}, "by ada")
    assert Wanted.from_document(wanted.to_document()) == wanted
    # As a node kept it before it said what arrives.
    kept = {"draining": "", "endpoints": {"digits": [5, 6, 7, False]}}
    assert Wanted.from_document(kept) == Wanted({"digits": WantedEndpoint(5, 6, 7)})


def test_what_arrives_closes_no_gate_that_is_open() -> None:
    arriving = heard(WantedEndpoint(settled=5, newest=5, intent=5, arriving=True))
    nothing = replace(ALL, serves={})
    assert judge(nothing, arriving, caught_up=True).ready
    assert not judge(nothing, arriving, caught_up=False).ready, "at a start all has to be there"
    older = replace(ALL, serves={"digits": 4})
    assert not judge(older, arriving, caught_up=True).ready
