"""Everything at once: what the policies promise one by one must add up when they meet."""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import Any

from tritonclient.utils import InferenceServerException

from tests.integration.backends.arms import BOUNDLESS_RESCUE, Stage, version_of
from tests.support.triton import eventually

WEIGHTS = [4000, 3000, 3000]
WORDS = {2: "timeout_us 15000", 3: "max_in_flight 3 overflow 1"}
EVERYTHING = (
    "sticky parameter user salt s",
    "rule 1 parameter to equals two",
    "shadow 2 parts 3000 max_in_flight 4 compare y",
    "breaker consecutive 4 rate 5000 min_requests 10 window_us 500000 "
    "open_us 50000 max_open_us 100000 latency_us 40000",
    "slow_start window_us 200000 aggression 2",
    BOUNDLESS_RESCUE,
    "sequences finish idle_us 1000000",
)


def orders(dice: random.Random) -> dict[str, Any]:
    """Something an arm may be told, most of it harmless."""
    told: dict[str, Any] = {"user": dice.randrange(50)} if dice.random() < 0.3 else {}
    trouble = dice.random()
    if trouble < 0.2:
        told["v2.fail"] = dice.choice(["INTERNAL", "UNAVAILABLE", "INVALID_ARG"])
    elif trouble < 0.4:
        told["v2.delay_ms"] = dice.randrange(5, 30)
        told["v2.stubborn"] = dice.random() < 0.5
    elif trouble < 0.5:
        told["v3.delay_ms"] = dice.randrange(1, 40)
    elif trouble < 0.55:
        told["fail"] = "INTERNAL"
    return told


def test_each_request_has_one_answer_and_the_counts_agree(stage: Stage) -> None:
    stage.endpoint("storm", WEIGHTS, *EVERYTHING, words=WORDS)
    done = threading.Event()

    def reload() -> None:
        dice = random.Random(0)
        while not done.is_set():
            some = dice.sample(EVERYTHING[3:], 2)
            # The order of the lines is the form's.
            lines = [line for line in EVERYTHING if line in some or dice.random() < 0.8]
            stage.route("storm", dice.choice([WEIGHTS, [9000, 1000, 0]]), *lines, words=WORDS)

    def call(number: int) -> Counter[str]:
        dice = random.Random(number + 1)
        heard: Counter[str] = Counter()
        for step in range(150):
            options: dict[str, Any] = {}
            if number < 2:
                options = {"sequence_id": number + 1, "sequence_start": step % 10 == 0}
                options["sequence_end"] = step % 10 == 9
            ask = stage.ask if number % 2 else stage.ask_http
            told = orders(dice)
            try:
                answer = ask("storm", told, **options)
                version = version_of(answer)
                assert answer.as_numpy("y").tolist() == [[float(version)] * 4]
                heard["ok"] += 1
            except InferenceServerException:
                # The primary failed too, there was no room, or it was the caller's own mistake.
                heard["error"] += 1
        return heard

    reloading = threading.Thread(target=reload)
    reloading.start()
    try:
        heard = sum(stage.at_once(8, call), Counter())
    finally:
        done.set()
        reloading.join()
    assert heard.total() == 1200
    eventually(lambda: stage.in_flight("storm") == 0)
    attempts: Counter[str] = Counter()
    for outcome, count in stage.outcomes("storm").items():
        attempts[outcome.partition(" ")[2]] += count
    # A request that the primary was asked too counts once more, on the arm that lost it.
    assert attempts.total() - attempts["rescued"] - attempts["both_failed"] == 1200
    assert attempts["ok"] == heard["ok"]
    assert attempts["rescued"] > 0
    assert attempts["cancelled"] == 0


def test_callers_who_go_away_as_the_rescue_begins(stage: Stage) -> None:
    words = {2: "timeout_us 20000"}
    stage.endpoint("restless", [0, 10_000], BOUNDLESS_RESCUE, words=words)
    # No call ends by itself: this server's gRPC frontend does not survive a call that is answered
    # and cancelled at once (triton-inference-server/server #7368, #8034).
    for _ in range(12):
        pending = [stage.begin("restless", {"delay_ms": 60_000}) for _ in range(20)]
        eventually(lambda: stage.in_flight("restless") >= 20)
        for each in pending:
            each.cancel()
        eventually(lambda: stage.in_flight("restless") == 0)
    outcomes = Counter[str](stage.outcomes("restless"))
    assert outcomes.total() - outcomes["v2 both_failed"] == 240
    # One that was cancelled in the instant of its timeout is not replayed, and was late.
    ended = ("v1 cancelled", "v2 cancelled", "v2 timeout")
    assert sum(outcomes[each] for each in ended) == 240
    assert version_of(stage.ask("restless")) == 2
