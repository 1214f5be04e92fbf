"""`nereid analysis simulate` and `replay`: what is asked, and what is shown of the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nereid.cli import run
from tests.support.control_plane_answers import FakeServer, answer, printed

SIMULATE = "POST /analysis-simulations/"
REPLAY = "POST /endpoints/digits/replays/"
OUTCOME = {
    "runs": 100,
    "look_every": 9.0,
    "failed": 0.97,
    "successful": 0.01,
    "inconclusive": 0.02,
    "failed_by": {"errors": 0.9, "p99": 0.07},
    "seconds_to_fail": [36.0, 1200.0],
    "candidate_requests_to_fail": [5167.0, 11916.0],
    "harmed_until_failed": [108.0, 240.0],
    "seconds_to_succeed": None,
}
SIMULATED = {"template": {}, "scenario": {}, "outcome": OUTCOME}
REPLAYED = {
    "template": {},
    "look_every": 1.0,
    "looks": 12,
    "phase": "Failed",
    "reason": "errors: candidate 33 % of 360",
    "ended_at": "2026-11-26T10:00:12Z",
    "look": {"metrics": []},
}


def body(server: FakeServer) -> Any:
    return json.loads(server.requests[-1].content)


def test_a_simulation_asks_for_what_was_said_and_shows_how_it_ends(tmp_path: Path) -> None:
    server = FakeServer({SIMULATE: answer(SIMULATED)})
    session = server.session(tmp_path)
    words = ["--canary-error", "0.02", "--rate", "200", "--with", "latency=30ms", "--runs", "100"]
    assert run(["analysis", "simulate", "mine", *words], session) == 0
    scenario = {"candidateError": 0.02, "rate": 200, "latency": "30ms"}
    assert body(server) == {"template": "mine", "scenario": scenario, "runs": 100}
    shown = printed(session.out)
    for part in ("Failed", "97", "36 s", "20 min", "by p99", "7", "Inconclusive"):
        assert part in shown
    assert "5,167 requests (9 of 10: 11,916), of which 108 (240) fail" in printed(session.err)


def test_a_template_of_a_file_goes_as_a_document(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('alpha = 0.01\n[[metrics]]\nname = "errors"\nkind = "error_rate"\n')
    server = FakeServer({SIMULATE: answer(SIMULATED)})
    session = server.session(tmp_path)
    assert run(["analysis", "simulate", "--template", str(file), "--json"], session) == 0
    metrics = [{"name": "errors", "kind": "error_rate"}]
    assert body(server) == {"document": {"alpha": 0.01, "metrics": metrics}, "scenario": {}}
    assert json.loads(printed(session.out)) == SIMULATED


def test_a_replay_says_when_it_had_ended_and_why(tmp_path: Path) -> None:
    server = FakeServer({REPLAY: answer(REPLAYED)})
    session = server.session(tmp_path)
    arms = ["digits.v2.bb2a8c", "digits.v1.695b0d"]
    assert run(["analysis", "replay", "digits", *arms, "--since", "-30m"], session) == 0
    asked = body(server)
    assert [asked["candidate"], asked["baseline"], asked["template"]] == [*arms, "default"]
    assert asked["since"] < asked["until"]
    assert "candidate 33 % of 360" in printed(session.out)
    assert "12 looks" in printed(session.err)


def test_what_is_no_word_or_time_is_wrong_usage(tmp_path: Path) -> None:
    session = FakeServer({}).session(tmp_path)
    assert run(["analysis", "simulate", "--with", "latency"], session) == 2
    assert run(["analysis", "replay", "digits", "a", "b", "--since", "yesterday"], session) == 2
    assert run(["analysis", "simulate", "--template", str(tmp_path / "no.json")], session) == 2
