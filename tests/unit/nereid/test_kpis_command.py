"""`nereid kpis`, against a control plane's answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from control_plane.api.kpis_examples import KPIS, TRY
from nereid import Client
from nereid.cli import run
from tests.support.control_plane_answers import API, FakeServer, answer, printed

STEP = {
    "step": "decode",
    "target": "png:1",
    "physical": "png.v1.aaaaaa",
    "model": KPIS["arms"][0]["model"],
    "time": [{"name": "queue", "us": 100.0}, {"name": "compute", "us": 900.0}],
}
BODY = KPIS | {"arms": [KPIS["arms"][0] | {"steps": [STEP]}]}


def serving() -> FakeServer:
    return FakeServer({"GET /endpoints/digits/kpis/": answer(BODY)})


def test_figures_and_where_time_goes_are_drawn(tmp_path: Path) -> None:
    server = serving()
    session = server.session(tmp_path)
    assert run(["kpis", "digits", "--window", "1h"], session) == 0
    assert dict(server.requests[0].url.params) == {"window": "1h"}
    shown = " ".join(printed(session.out).split())
    for said in ("49/s of 14,820 requests", "x 1.31", "2% of 1", "decode (png:1)", "queue 727 µs"):
        assert said in shown
    assert "between its steps 3 µs" in shown
    assert "no queue delay digits-v1 saves about 500 µs, 29 % of 49/s" in shown
    assert (
        "measured: 1.5 ms as it is, 989 µs changed, 34 % less (perf runs 12 and 13 on lab" in shown
    )
    assert "look around it: nereid tune digits.v1" in shown
    assert "network as perf run 12 measured it at 1 caller" in shown


def test_a_finding_is_tried_by_its_number(tmp_path: Path) -> None:
    begun = TRY | {"state": "queued", "before_us": None, "after_us": None, "ratio": None}
    server = FakeServer(
        {
            "GET /endpoints/digits/kpis/": answer(BODY),
            "POST /endpoints/digits/kpis/tries/": answer(begun, 202),
            "GET /endpoints/digits/kpis/tries/3/": answer(TRY),
        }
    )
    session = server.session(tmp_path)
    assert (
        run(["kpis", "digits", "--window", "1h", "--try", "1", "--server", "lab-1"], session) == 0
    )
    asked = json.loads(server.requests[1].content)
    finding = {"code": "shorter-delay", "arm": "digits-v1", "step": ""}
    assert asked == finding | {"server": "lab-1", "window": "1h"}
    assert "989 µs changed, 34 % less" in printed(session.out)
    assert run(["kpis", "digits", "--try", "2"], server.session(tmp_path)) == 2


def test_as_json_between_two_times(tmp_path: Path) -> None:
    server = serving()
    session = server.session(tmp_path)
    said = ["--since", "2026-11-26T10:00Z", "--until", "2026-11-26T11:00+00:00"]
    assert run(["kpis", "digits", *said, "--json"], session) == 0
    assert json.loads(printed(session.out)) == BODY
    assert dict(server.requests[0].url.params) == {
        "since": "2026-11-26T10:00:00+00:00",
        "until": "2026-11-26T11:00:00+00:00",
    }


@pytest.mark.parametrize(
    "words",
    [
        ["--until", "now"],
        ["--window", "5m", "--since", "-1h"],
        ["--since", "noon"],
        ["--server", "x"],
        ["--try", "1", "--watch"],
    ],
)
def test_wrong_usage_asks_nobody(words: list[str], tmp_path: Path) -> None:
    server = serving()
    assert run(["kpis", "digits", *words], server.session(tmp_path)) == 2
    assert server.requests == []


def test_the_client_gives_values() -> None:
    server = serving()
    with Client(API, "token", transport=server.transport()) as nereid:
        found = nereid.kpis("digits")
    assert (found.figures["rps"], found.time["queue"]) == (49.4, 727.1)
    assert found.arms[0].steps[0].time == {"queue": 100.0, "compute": 900.0}
