"""Breakers and slow starts: an arm in trouble gets no requests, then a few, then all of them."""

from __future__ import annotations

from tests.integration.backends.arms import BOUNDLESS_RESCUE, Stage, version_of
from tests.support.triton import eventually

CANDIDATE_ONLY = [0, 10_000]
BROKEN = {"v2.fail": "INTERNAL"}
LONG_US = 600_000_000

CLOSED, HALF_OPEN, OPEN = 0, 1, 2


def breaker(
    *,
    consecutive: int = 0,
    rate: int = 0,
    least: int = 1,
    open_us: int = LONG_US,
    max_open_us: int = LONG_US,
    latency_us: int = 0,
) -> str:
    """The policy's line; what is left out is off, or longer than the test."""
    line = (
        f"breaker consecutive {consecutive} rate {rate} min_requests {least} "
        f"window_us {LONG_US} open_us {open_us} max_open_us {max_open_us}"
    )
    return f"{line} latency_us {latency_us}" if latency_us else line


def state(stage: Stage, endpoint: str) -> float:
    return stage.metric("breaker_state", endpoint, 2)


def ejections(stage: Stage, endpoint: str) -> float:
    return stage.metric("ejections_total", endpoint, 2)


def diverted(stage: Stage, endpoint: str, reason: str) -> float:
    return stage.metric("diverted_total", endpoint, 2, reason=reason)


def open_it(stage: Stage, endpoint: str) -> None:
    """One failure, which is all that `consecutive=1` takes."""
    stage.ask(endpoint, BROKEN)
    eventually(lambda: state(stage, endpoint) != CLOSED)


# --- opening -------------------------------------------------------------------------------------


def test_failures_in_a_row_open_it_and_the_primary_has_everything(stage: Stage) -> None:
    stage.endpoint("row", CANDIDATE_ONLY, breaker(consecutive=5), BOUNDLESS_RESCUE)
    for _ in range(3):
        stage.arms("row", 4, BROKEN)
        assert stage.arms("row", 1) == {2: 1}  # which breaks the row
    assert ejections(stage, "row") == 0
    assert stage.arms("row", 5, BROKEN) == {1: 5}
    assert ejections(stage, "row") == 1
    eventually(lambda: state(stage, "row") == OPEN)
    assert stage.arms("row", 50) == {1: 50}
    assert diverted(stage, "row", "breaker") == 50


def test_the_share_of_failures_opens_it(stage: Stage) -> None:
    stage.endpoint("rate", CANDIDATE_ONLY, breaker(rate=5000, least=20), BOUNDLESS_RESCUE)
    for _ in range(9):  # 9 of 19 failed
        stage.ask("rate", BROKEN)
        assert version_of(stage.ask("rate")) == 2
    assert version_of(stage.ask("rate")) == 2
    assert ejections(stage, "rate") == 0
    stage.ask("rate", BROKEN)  # 10 of 20
    assert ejections(stage, "rate") == 1
    assert version_of(stage.ask("rate")) == 1


def test_failures_before_enough_requests_do_not_open_it(stage: Stage) -> None:
    stage.endpoint("few", CANDIDATE_ONLY, breaker(rate=5000, least=20), BOUNDLESS_RESCUE)
    stage.arms("few", 19, BROKEN)
    assert version_of(stage.ask("few")) == 2
    assert ejections(stage, "few") == 1  # the twentieth request, though it went well


def test_answers_slower_than_the_bound_open_it(stage: Stage) -> None:
    stage.endpoint("slow", CANDIDATE_ONLY, breaker(consecutive=3, latency_us=50_000))
    assert stage.arms("slow", 3, {"v2.delay_ms": 80}) == {2: 3}
    assert stage.arms("slow", 5) == {1: 5}
    assert stage.outcomes("slow") == {"v1 ok": 5, "v2 ok": 3}
    assert ejections(stage, "slow") == 1


def test_timeouts_open_it(stage: Stage) -> None:
    words = {2: "timeout_us 30000"}
    stage.endpoint("late", CANDIDATE_ONLY, breaker(consecutive=2), BOUNDLESS_RESCUE, words=words)
    assert stage.arms("late", 2, {"v2.delay_ms": 5000}) == {1: 2}
    assert version_of(stage.ask("late")) == 1
    assert ejections(stage, "late") == 1
    stage.expect("late", {"v1 ok": 3, "v2 rescued": 2})


def test_an_arm_that_is_not_loaded_opens_it(stage: Stage) -> None:
    policy = (breaker(consecutive=3), BOUNDLESS_RESCUE)
    stage.endpoint("gone", CANDIDATE_ONLY, *policy, absent=[2])
    assert stage.arms("gone", 10) == {1: 10}
    assert stage.outcomes("gone") == {"v1 ok": 10, "v2 rescued": 3}


def test_the_callers_own_mistakes_do_not_open_it(stage: Stage) -> None:
    stage.endpoint("mistakes", CANDIDATE_ONLY, breaker(consecutive=1), BOUNDLESS_RESCUE)
    for _ in range(5):
        assert stage.refusal("mistakes", {"fail": "INVALID_ARG"})[0] == "INVALID_ARGUMENT"
    assert version_of(stage.ask("mistakes")) == 2


def test_cancelled_requests_do_not_open_it(stage: Stage) -> None:
    stage.endpoint("leavers", CANDIDATE_ONLY, breaker(consecutive=1), BOUNDLESS_RESCUE)
    for number in range(3):
        pending = stage.begin("leavers", {"delay_ms": 20_000})
        eventually(lambda: stage.in_flight("leavers", 2) == 1)
        pending.cancel()
        stage.expect("leavers", {"v2 cancelled": number + 1})
    assert version_of(stage.ask("leavers")) == 2


def test_the_primary_is_never_ejected(stage: Stage) -> None:
    stage.endpoint("main", [10_000, 0], breaker(consecutive=1), BOUNDLESS_RESCUE)
    for _ in range(5):
        assert stage.refusal("main", {"fail": "INTERNAL"})[0] == "INTERNAL"
    assert version_of(stage.ask("main")) == 1
    assert stage.metric("ejections_total", "main") == 0


# --- half-open, and closing ----------------------------------------------------------------------


def test_after_its_time_probes_close_it(stage: Stage) -> None:
    policy = breaker(consecutive=1, open_us=300_000)
    stage.endpoint("recovers", CANDIDATE_ONLY, policy, BOUNDLESS_RESCUE)
    open_it(stage, "recovers")
    # Nobody asks, nothing changes: it is a request that finds the time is up.
    eventually(lambda: version_of(stage.ask("recovers")) == 2)
    for _ in range(2):  # one at a time: who comes before the last is counted is sent elsewhere
        eventually(lambda: stage.in_flight("recovers", 2) == 0)
        assert version_of(stage.ask("recovers")) == 2
    eventually(lambda: state(stage, "recovers") == CLOSED)
    assert stage.arms("recovers", 10) == {2: 10}
    assert ejections(stage, "recovers") == 1


def test_one_probe_at_a_time(stage: Stage) -> None:
    policy = breaker(consecutive=1, open_us=200_000)
    stage.endpoint("probing", CANDIDATE_ONLY, policy, BOUNDLESS_RESCUE)
    open_it(stage, "probing")
    eventually(lambda: version_of(stage.ask("probing")) == 2)
    probe = stage.begin("probing", {"v2.delay_ms": 5000})  # longer than twenty answers may take
    eventually(lambda: stage.in_flight("probing", 2) == 1)
    assert stage.arms("probing", 20) == {1: 20}
    eventually(lambda: state(stage, "probing") == HALF_OPEN)
    assert version_of(probe.answer()) == 2
    eventually(lambda: stage.in_flight("probing", 2) == 0)
    assert version_of(stage.ask("probing")) == 2  # the third probe, which closes it
    eventually(lambda: state(stage, "probing") == CLOSED)


def test_a_cancelled_probe_makes_room_for_the_next(stage: Stage) -> None:
    policy = breaker(consecutive=1, open_us=200_000)
    stage.endpoint("lost-probe", CANDIDATE_ONLY, policy, BOUNDLESS_RESCUE)
    open_it(stage, "lost-probe")
    eventually(lambda: version_of(stage.ask("lost-probe")) == 2)
    probe = stage.begin("lost-probe", {"v2.delay_ms": 20_000})
    eventually(lambda: stage.in_flight("lost-probe", 2) == 1)
    probe.cancel()
    eventually(lambda: stage.in_flight("lost-probe", 2) == 0)
    assert stage.arms("lost-probe", 5) == {2: 5}
    assert ejections(stage, "lost-probe") == 1


def waits_for_failing_probes(stage: Stage, endpoint: str, count: int) -> list[float]:
    """How long, in seconds, the breaker stayed open before each of `count` probes, all failing."""
    waits = []
    for _ in range(count):
        before = ejections(stage, endpoint)
        clock = stage.clock()
        # Whatever happens, the caller gets an answer.
        eventually(lambda n=before: stage.ask(endpoint, BROKEN) and ejections(stage, endpoint) > n)
        waits.append(clock())
    return waits


def test_a_failed_probe_opens_it_again_for_longer(stage: Stage) -> None:
    policy = breaker(consecutive=1, open_us=300_000)
    stage.endpoint("backs-off", CANDIDATE_ONLY, policy, BOUNDLESS_RESCUE)
    clock = stage.clock()
    stage.ask("backs-off", BROKEN)
    waits_for_failing_probes(stage, "backs-off", 2)
    # 300 ms, then 600 ms: a busy machine makes it longer, and nothing makes it shorter.
    assert clock() >= 0.9
    assert ejections(stage, "backs-off") == 3
    stage.expect("backs-off", stage.outcomes("backs-off") | {"v2 rescued": 3})


def test_it_is_never_open_for_longer_than_the_bound(stage: Stage) -> None:
    policy = breaker(consecutive=1, open_us=150_000, max_open_us=150_000)
    stage.endpoint("bounded", CANDIDATE_ONLY, policy, BOUNDLESS_RESCUE)
    stage.ask("bounded", BROKEN)
    waits = waits_for_failing_probes(stage, "bounded", 7)
    assert waits[-1] < 0.15 * 7, waits  # which it would be without


# --- reloads -------------------------------------------------------------------------------------


def test_an_open_breaker_stays_open_over_a_reload(stage: Stage) -> None:
    policy = (breaker(consecutive=2), BOUNDLESS_RESCUE)
    stage.endpoint("reloaded", CANDIDATE_ONLY, *policy)
    stage.ask("reloaded", BROKEN)
    stage.route("reloaded", [5000, 5000], *policy)
    stage.route("reloaded", CANDIDATE_ONLY, *policy)
    stage.ask("reloaded", BROKEN)  # the second in a row, though a reload lies between
    assert ejections(stage, "reloaded") == 1
    for weights in ([5000, 5000], CANDIDATE_ONLY):
        stage.route("reloaded", weights, *policy)
        assert stage.arms("reloaded", 10) == {1: 10}
    assert state(stage, "reloaded") == OPEN
    stage.server.unload("reloaded")
    eventually(lambda: stage.client.is_server_ready())
    stage.server.load("reloaded")
    assert stage.arms("reloaded", 10) == {1: 10}


def test_a_policy_without_breaker_lifts_it(stage: Stage) -> None:
    stage.endpoint("lifted", CANDIDATE_ONLY, breaker(consecutive=1), BOUNDLESS_RESCUE)
    open_it(stage, "lifted")
    stage.route("lifted", CANDIDATE_ONLY, BOUNDLESS_RESCUE)
    assert stage.arms("lifted", 5) == {2: 5}
    eventually(lambda: state(stage, "lifted") == CLOSED)


def test_a_pinned_version_knows_no_breaker(stage: Stage) -> None:
    stage.endpoint("by-number", CANDIDATE_ONLY, breaker(consecutive=1), BOUNDLESS_RESCUE)
    open_it(stage, "by-number")
    assert version_of(stage.ask("by-number")) == 1
    assert stage.arms("by-number", 10, model_version="2") == {2: 10}
    # Its failures are the caller's to see, and no reason to eject.
    assert stage.refusal("by-number", BROKEN, model_version="2") == ("INTERNAL", "told to fail")
    assert ejections(stage, "by-number") == 1


def test_failures_of_a_pinned_version_open_nothing(stage: Stage) -> None:
    stage.endpoint("apart", CANDIDATE_ONLY, breaker(consecutive=1), BOUNDLESS_RESCUE)
    for _ in range(5):
        assert stage.refusal("apart", BROKEN, model_version="2")[0] == "INTERNAL"
    assert version_of(stage.ask("apart")) == 2
    assert ejections(stage, "apart") == 0


# --- slow start ----------------------------------------------------------------------------------


def test_a_new_arm_begins_with_a_tenth_of_its_share(stage: Stage) -> None:
    slow = f"slow_start window_us {LONG_US} aggression 1"
    stage.endpoint("fresh", [10_000, 0], slow)
    stage.route("fresh", CANDIDATE_ONLY, slow)
    answered = stage.arms("fresh", 200)
    assert 15 <= answered[2] <= 25  # evenly spread: 20, give or take a begun cycle
    assert diverted(stage, "fresh", "slow_start") == answered[1]


def test_a_reload_does_not_begin_the_ramp_anew(stage: Stage) -> None:
    slow = "slow_start window_us 300000 aggression 1"
    stage.endpoint("led-up", [10_000, 0], slow)
    stage.route("led-up", CANDIDATE_ONLY, slow)
    assert stage.arms("led-up", 10)[1] > 0
    eventually(lambda: stage.arms("led-up", 200) == {2: 200})  # its full share in the end
    stage.route("led-up", [5000, 5000], slow)
    stage.route("led-up", CANDIDATE_ONLY, slow)
    assert stage.arms("led-up", 50) == {2: 50}


def test_an_arm_that_was_out_of_the_policy_ramps_when_it_comes_back(stage: Stage) -> None:
    slow = f"slow_start window_us {LONG_US} aggression 1"
    stage.endpoint("returns", CANDIDATE_ONLY, slow)
    assert stage.arms("returns", 20) == {2: 20}
    stage.route("returns", [10_000], slow)  # version 2 is not named
    stage.route("returns", CANDIDATE_ONLY, slow)
    assert 15 <= stage.arms("returns", 200)[2] <= 25


def test_the_arms_of_the_first_policy_do_not_ramp(stage: Stage) -> None:
    stage.endpoint("first", CANDIDATE_ONLY, f"slow_start window_us {LONG_US} aggression 1")
    assert stage.arms("first", 50) == {2: 50}


def test_aggression_lets_more_through_early(stage: Stage) -> None:
    # (t / window) ** (1 / 9) is above 0.3 after the first ten-thousandth of the window.
    slow = f"slow_start window_us {LONG_US} aggression 9"
    stage.endpoint("eager", [10_000, 0], slow)
    stage.route("eager", CANDIDATE_ONLY, slow)
    eventually(lambda: stage.arms("eager", 100)[2] > 30)


def test_after_a_breaker_closed_the_share_grows_again(stage: Stage) -> None:
    slow = f"slow_start window_us {LONG_US} aggression 1"
    policy = (breaker(consecutive=1, open_us=100_000), slow, BOUNDLESS_RESCUE)
    stage.endpoint("back", CANDIDATE_ONLY, *policy)
    assert stage.arms("back", 20) == {2: 20}
    open_it(stage, "back")
    eventually(lambda: stage.ask("back") and state(stage, "back") == CLOSED)
    answered = stage.arms("back", 200)
    assert 15 <= answered[2] <= 25
    # What a rule sends there goes there.
    rule = ("rule 1 parameter tester equals yes", *policy)
    stage.route("back", CANDIDATE_ONLY, *rule)
    assert stage.arms("back", 20, {"tester": "yes"}) == {2: 20}
    assert stage.arms("back", 100)[2] < 20
