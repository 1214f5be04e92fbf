from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from control_plane.domain.planning.reconcile import (
    COMMAND_EXPIRY,
    LEAVE_GRACE,
    LOOK_AT_TROUBLE,
    RETRY_FAILED,
    Action,
    ServerView,
    Snapshot,
    Status,
    Verb,
    decide,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ARMS = frozenset({"digits.v1.aaaaaa"})


def server(name: str = "local", **seen: object) -> ServerView:
    return ServerView(name=name, alive=True, **seen)  # type: ignore[arg-type]


def snapshot(*servers: ServerView, **more: object) -> Snapshot:
    values: dict[str, object] = {
        "endpoint": "digits",
        "generation": 3,
        "now": NOW,
        "servers": servers,
        "compiled": True,
        "models": ARMS,
    }
    return Snapshot(**{**values, **more})  # type: ignore[arg-type]


def test_without_a_policy_there_is_nothing_to_do() -> None:
    decision = decide(snapshot(generation=0))
    assert (decision.status, decision.actions) == (Status.UNCONFIGURED, ())
    assert decision.converged


def test_it_compiles_first() -> None:
    assert decide(snapshot(server(), compiled=False)).actions == (Action(Verb.COMPILE),)


def test_a_policy_that_cannot_be_compiled_is_told_and_left() -> None:
    decision = decide(snapshot(server(), compiled=False, compile_error="no such version"))
    assert (decision.status, decision.reason) == (Status.DEGRADED, "no such version")
    assert decision.actions == ()


def test_without_servers_it_says_so() -> None:
    assert decide(snapshot()).reason == "no server is registered"


def test_every_server_prepares_before_any_switches() -> None:
    decision = decide(snapshot(server("a", prepared=3), server("b", prepared=2)))
    assert decision.actions == (Action(Verb.PREPARE, "b"),)
    assert decision.reason == "preparing on b"
    decision = decide(snapshot(server("a", prepared=3), server("b", prepared=3)))
    assert decision.actions == (Action(Verb.SWITCH, "a"), Action(Verb.SWITCH, "b"))


def test_a_change_of_weights_prepares_nothing() -> None:
    decision = decide(snapshot(server(prepared=2, switched=2, ready_models=ARMS)))
    assert decision.actions == (Action(Verb.SWITCH, "local"),)


def test_a_server_that_fails_to_prepare_stops_the_switch_everywhere() -> None:
    failed = server("b", failed=3, failure="out of memory", failed_at=NOW)
    decision = decide(snapshot(server("a", prepared=3), failed))
    assert decision.status == Status.DEGRADED
    assert "b: out of memory" in decision.reason
    assert decision.actions == ()


def test_a_failed_preparation_is_tried_again_after_a_rest() -> None:
    failed = server(failed=3, failure="no", failed_at=NOW - RETRY_FAILED)
    assert decide(snapshot(failed)).actions == (Action(Verb.PREPARE, "local"),)
    just_sent = replace(failed, sent_verb="prepare", sent_generation=3, sent_at=NOW)
    assert decide(snapshot(just_sent)).actions == ()


def test_one_that_failed_before_the_clock_was_set_back_is_tried_again_too() -> None:
    failed = server(failed=3, failure="no", failed_at=NOW + 100 * RETRY_FAILED)
    assert decide(snapshot(failed)).actions == (Action(Verb.PREPARE, "local"),)


def test_a_failure_of_an_older_generation_does_not_count() -> None:
    assert decide(snapshot(server(failed=2, failure="no"))).status == Status.PROGRESSING


@pytest.mark.parametrize(
    ("age", "sent_again"),
    [(timedelta(0), False), (COMMAND_EXPIRY - timedelta(seconds=1), False), (COMMAND_EXPIRY, True)],
)
def test_a_command_is_sent_again_only_when_it_counts_as_lost(
    age: timedelta, sent_again: bool
) -> None:
    waiting = server(sent_verb="prepare", sent_generation=3, sent_at=NOW - age)
    assert bool(decide(snapshot(waiting)).actions) == sent_again


def test_it_is_healthy_as_soon_as_every_router_switched_and_tidies_up_behind() -> None:
    decision = decide(snapshot(server(prepared=3, switched=3)))
    assert (decision.status, decision.converged) == (Status.HEALTHY, True)
    assert decision.actions == (Action(Verb.RETIRE, "local"),)
    assert decide(snapshot(server(prepared=3, switched=3, retired=3))).actions == ()


def test_a_server_that_is_away_is_told_and_does_not_stop_the_others() -> None:
    away = replace(server("b"), alive=False)
    decision = decide(snapshot(server("a", prepared=3, switched=3, retired=3), away))
    assert (decision.status, decision.converged) == (Status.DEGRADED, False)
    assert "b" in decision.reason
    assert decide(snapshot(away)).status == Status.DEGRADED


def test_a_deleted_endpoint_leaves_every_server_before_it_is_forgotten() -> None:
    holding = server("a", prepared=2, switched=2)
    assert decide(snapshot(holding, deleted=True)).actions == (Action(Verb.REMOVE, "a"),)
    assert decide(snapshot(server("a"), deleted=True)).actions == (Action(Verb.FORGET),)
    away = replace(holding, alive=False)
    assert decide(snapshot(away, deleted=True)).status == Status.DEGRADED


def test_the_same_snapshot_gives_the_same_decision() -> None:
    seen = snapshot(server("a", prepared=3), server("b", prepared=2))
    assert decide(seen) == decide(seen)


def test_what_is_urgent_is_switched_to_at_once() -> None:
    hanging = server(prepared=2, switched=2, sent_verb="prepare", sent_generation=2, sent_at=NOW)
    decision = decide(snapshot(hanging, urgent=True))
    assert decision.actions == (Action(Verb.SWITCH, "local"),)
    failed = server(prepared=1, switched=1, failed=2, failure="no memory", failed_at=NOW)
    assert decide(snapshot(failed, urgent=True)).actions == (Action(Verb.SWITCH, "local"),)


def test_a_node_that_found_nothing_to_switch_to_prepares_first() -> None:
    empty = server(prepared=2, unready=3, sent_verb="switch", sent_generation=3, sent_at=NOW)
    decision = decide(snapshot(empty, urgent=True))
    assert decision.actions == (Action(Verb.PREPARE, "local"),)
    prepared = replace(empty, prepared=3)
    switch = decide(snapshot(replace(prepared, sent_verb="prepare"), urgent=True))
    assert switch.actions == (Action(Verb.SWITCH, "local"),)


def test_an_old_finding_does_not_hold_up_what_is_urgent() -> None:
    assert decide(snapshot(server(unready=2), urgent=True)).reason == "switching on local"


def serving(name: str, **seen: object) -> ServerView:
    return server(name, prepared=3, switched=3, retired=3, **seen)


def left(name: str, **seen: object) -> ServerView:
    return replace(server(name, prepared=2, switched=2), placed=False, **seen)


def test_what_is_placed_elsewhere_is_left_only_when_all_the_others_serve() -> None:
    comes = decide(snapshot(left("a"), server("b"), serving("c")))
    assert comes.actions == (Action(Verb.PREPARE, "b"),)
    told = decide(snapshot(left("a"), serving("b")))
    assert told.actions == (Action(Verb.LEAVE, "a"),)
    assert (told.status, told.reason) == (Status.HEALTHY, "serving on b; leaving a")
    for kept in (replace(serving("b"), alive=False), serving("b", trouble="loading")):
        there = replace(serving("a"), placed=False)
        assert not decide(snapshot(there, kept, serving("c"))).actions
        # It goes on being asked meanwhile, so what is changed reaches it.
        changed = decide(snapshot(left("a"), kept, serving("c")))
        assert changed.actions == (Action(Verb.PREPARE, "a"),)


@pytest.mark.parametrize(("age", "removed"), [(timedelta(0), False), (LEAVE_GRACE, True)])
def test_a_router_stays_until_whoever_balances_has_looked(age: timedelta, removed: bool) -> None:
    decision = decide(snapshot(left("a", leaving_at=NOW - age), serving("b")))
    assert decision.actions == ((Action(Verb.REMOVE, "a"),) if removed else ())
    assert decision.look_again_in == LOOK_AT_TROUBLE


def test_a_router_found_by_its_servers_gate_stays_until_that_is_closed_for_a_while() -> None:
    told = left("a", leaving_at=NOW - timedelta(minutes=5), by_gate=True)
    there = replace(told, prepared=3, switched=3)
    for shut_at in (None, NOW):
        assert not decide(snapshot(replace(there, gate_shut_at=shut_at), serving("b"))).actions
    # As long as it is open callers come, so what is changed reaches it.
    assert decide(snapshot(told, serving("b"))).actions == (Action(Verb.PREPARE, "a"),)
    shut = replace(told, gate_shut_at=NOW - LEAVE_GRACE)
    assert decide(snapshot(shut, serving("b"))).actions == (Action(Verb.REMOVE, "a"),)


def test_the_kill_switch_reaches_what_is_left_too() -> None:
    decision = decide(snapshot(left("a"), serving("b"), urgent=True))
    assert decision.actions == (Action(Verb.SWITCH, "a"),)


def test_a_server_that_is_left_and_away_is_told() -> None:
    decision = decide(snapshot(left("a", alive=False, leaving_at=NOW - LEAVE_GRACE), serving("b")))
    assert (decision.status, decision.actions) == (Status.DEGRADED, ())
    assert decision.reason == "serving on b; still on a, not reachable"


def test_what_cannot_be_placed_as_wanted_goes_on_with_the_reason() -> None:
    decision = decide(snapshot(serving("a"), unplaced="1 of 2 replicas can be placed"))
    assert (decision.status, decision.converged) == (Status.DEGRADED, True)
    assert decision.reason == "serving on a; 1 of 2 replicas can be placed"
    assert decision.look_again_in == COMMAND_EXPIRY
    nowhere = decide(
        snapshot(server("a", placed=False), unplaced="no server can take it: a: is cordoned")
    )
    assert nowhere.actions == ()
    assert nowhere.reason.startswith("placed nowhere: no server can take it")


@pytest.mark.parametrize(
    "others",
    [
        [serving("b"), replace(serving("c"), alive=False)],
        [serving("b", trouble="Triton does not answer")],
        [server("b")],
        [],
    ],
)
def test_who_was_told_that_it_is_left_stays_when_the_others_serve_no_longer(
    others: list[ServerView],
) -> None:
    told = left("a", leaving_at=NOW)
    assert Action(Verb.STAY, "a") in decide(snapshot(told, *others)).actions
    # What is being removed there serves no more: its gate stays closed.
    going = replace(told, switched=0, sent_verb="remove", sent_generation=3, sent_at=NOW)
    assert Action(Verb.STAY, "a") not in decide(snapshot(going, *others)).actions


def test_who_is_left_stands_in_for_those_that_are_away() -> None:
    away = replace(serving("b"), alive=False)
    kill = decide(snapshot(left("a"), replace(away, switched=2), urgent=True))
    assert kill.actions == (Action(Verb.SWITCH, "a"),)
    assert decide(snapshot(left("a"), away)).actions == (Action(Verb.PREPARE, "a"),)
    there = replace(serving("a"), placed=False)
    done = decide(snapshot(there, away))
    assert (done.status, done.actions) == (Status.DEGRADED, ())
    assert done.reason == "serving on a, but not reachable: b"
    nowhere = decide(snapshot(there, unplaced="no server can take it"))
    assert (nowhere.reason, nowhere.actions) == ("serving on a; no server can take it", ())
