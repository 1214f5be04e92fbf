"""`nereid audit` and `nereid audit at`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from nereid.cli import run
from tests.support.control_plane_answers import FakeServer, answer, endpoint, printed, problem

AT = "GET /endpoints/digits/revisions/"
EVENT = {
    "id": 7,
    "at": "2026-01-02T03:04:05Z",
    "actor": "ada",
    "action": "endpoint.policy",
    "object_type": "endpoint",
    "object_id": "1",
    "object_name": "digits",
    "before": None,
    "after": {"arms": []},
    "reason": "p99 [doubled]",
}


def revision(number: int, until: str | None = None) -> dict[str, Any]:
    return {
        "number": number,
        "generation": number,
        "created_by": "ada",
        "arms": endpoint()["arms"],
        "switched_from": "2026-01-02T03:00:00Z",
        "served_from": "2026-01-02T03:00:01Z",
        "served_until": until,
        "policy": {"arms": []},
        "reason": "p99 [doubled]",
    }


def page(*results: dict[str, Any]) -> FakeServer:
    return FakeServer({AT: answer({"results": list(results), "next": None})})


def test_what_served_is_one_command(tmp_path: Path) -> None:
    server = page(revision(3, "2026-01-02T05:00:00Z"))
    session = server.session(tmp_path)
    assert run(["audit", "at", "digits", "2026-01-02T05:00+01:00"], session) == 0
    assert server.requests[0].url.params["at"] == "2026-01-02T04:00:00+00:00"
    out = printed(session.out)
    assert "digits revision 3  2026-01-02 03:00:01Z to 2026-01-02 05:00:00Z, made by ada" in out
    assert "p99 [doubled]" in out
    assert "digits.v1.9f2c1a" in out


@pytest.mark.parametrize("distance", ["-1h", "now-1h"])
def test_a_distance_is_no_option(tmp_path: Path, distance: str) -> None:
    server = page(revision(3))
    assert run(["audit", "at", "digits", distance, "--json"], server.session(tmp_path)) == 0
    asked = datetime.fromisoformat(server.requests[0].url.params["at"])
    ago = datetime.now(UTC) - asked
    assert timedelta(hours=1) <= ago < timedelta(hours=1, minutes=5)


def test_nothing_served_is_a_no(tmp_path: Path) -> None:
    session = page().session(tmp_path)
    assert run(["audit", "at", "digits", "-1h"], session) == 1
    assert "nothing served digits" in printed(session.err)


@pytest.mark.parametrize("time", ["noon", "2026-01-02T05:00"])
def test_a_time_that_is_none_is_wrong_usage(tmp_path: Path, time: str) -> None:
    server = page()
    assert run(["audit", "at", "digits", time], server.session(tmp_path)) == 2
    assert server.calls == []


def test_the_server_has_the_last_word(tmp_path: Path) -> None:
    server = FakeServer({AT: problem(404, "Not Found", "there never was")})
    session = server.session(tmp_path)
    assert run(["audit", "at", "digits", "now"], session) == 1
    assert "there never was" in printed(session.err)


def test_deeds_are_listed_by_filter(tmp_path: Path) -> None:
    server = FakeServer({"GET /audit/": answer({"results": [EVENT], "next": None})})
    session = server.session(tmp_path)
    assert run(["audit", "--on", "digits", "--actor", "ada", "-n", "5"], session) == 0
    asked = dict(server.requests[0].url.params)
    assert asked == {"object_name": "digits", "actor": "ada", "limit": "6"}
    out = printed(session.out)
    assert "endpoint.policy" in out
    assert "p99 [doubled]" in out
    session = server.session(tmp_path)
    assert run(["audit", "--json"], session) == 0
    assert json.loads(printed(session.out))["results"] == [EVENT]


def test_all_pages_are_read_as_far_as_was_asked(tmp_path: Path) -> None:
    def events(request: httpx.Request) -> httpx.Response:
        asked = request.url.params
        first = int(asked.get("cursor", "0"))
        rows = [{**EVENT, "id": n} for n in range(first, min(first + int(asked["limit"]), 1200))]
        following = first + len(rows)
        more = f"https://x/?limit={asked['limit']}&cursor={following}" if following < 1200 else None
        return answer({"results": rows, "next": more})

    def ids(*arguments: str) -> list[int]:
        session = FakeServer({"GET /audit/": events}).session(tmp_path)
        assert run(["audit", "--json", *arguments], session) == 0
        return [event["id"] for event in json.loads(printed(session.out))["results"]]

    assert ids("--all") == list(range(1200))
    assert ids("-n", "1100") == list(range(1100))
    assert len(ids()) == 30
    session = FakeServer({"GET /audit/": events}).session(tmp_path)
    assert run(["audit", "-n", "2"], session) == 0
    assert "There are more" in printed(session.err)


def test_a_span_of_time_and_one_request(tmp_path: Path) -> None:
    server = FakeServer({"GET /audit/": answer({"results": [], "next": None})})
    arguments = ["--since", "-2d", "--until", "2026-01-02T05:00Z", "--request", "r-1"]
    assert run(["audit", *arguments], server.session(tmp_path)) == 0
    asked = server.requests[0].url.params
    ago = datetime.now(UTC) - datetime.fromisoformat(asked["since"])
    assert timedelta(days=2) <= ago < timedelta(days=2, minutes=5)
    assert asked["until"] == "2026-01-02T05:00:00+00:00"
    assert asked["request_id"] == "r-1"
    assert run(["audit", "--since", "noon"], server.session(tmp_path)) == 2
