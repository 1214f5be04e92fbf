"""`nereid doctor`: each line's rule, and what the command makes of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from nereid import doctor as rules
from nereid.administration import Diagnosis, Server, Token
from nereid.cli import run
from nereid.resources import Endpoint, Version
from nereid.version import __version__
from tests.support.control_plane_answers import FakeServer, answer, endpoint, printed, version

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def at(**before: float) -> str:
    return (NOW - timedelta(**before)).isoformat()


def server(**changes: Any) -> dict[str, Any]:
    return {
        "name": "local",
        "status": "Ready",
        "reason": "",
        "http": "127.0.0.1:9",
        "grpc": "127.0.0.1:9",
        "models": [{"name": "digits", "version": "1", "state": "READY"}],
        "last_seen_at": at(seconds=1),
        **changes,
    }


def diagnosis(**changes: Any) -> dict[str, Any]:
    queues = ("control", "validation", "node.local.switch", "node.local.prepare")
    return {
        "version": __version__,
        "time": NOW.isoformat(),
        "queues": [{"name": name, "workers": ["w@host"]} for name in queues],
        "disks": [{"what": "state", "free_bytes": 50 * 10**9, "total_bytes": 100 * 10**9}],
        **changes,
    }


def test_a_store_that_cannot_be_used_is_told_with_its_own_words() -> None:
    stores = [
        {"what": "artifacts", "place": "s3://models/live", "problem": "the bucket is away"},
        {"what": "recordings", "place": "/var/lib/recordings", "problem": ""},
    ]
    problem, well = rules.stores(Diagnosis.from_json(diagnosis(stores=stores)))
    assert (problem.state, problem.said) == ("problem", "artifacts: the bucket is away")
    assert problem.advice
    assert (well.state, well.said) == ("ok", "recordings are in /var/lib/recordings")
    assert list(rules.stores(Diagnosis.from_json(diagnosis()))) == [], "too old to say"


def token(**changes: Any) -> dict[str, Any]:
    return {"id": "1", "name": "mine", "user": "ada", "role": "admin", "names": None, **changes}


def states(checks: Any) -> list[str]:
    return [check.state for check in checks]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["ok"]),
        ({"status": "NotReady", "reason": "bringing back digits"}, ["problem"]),
        ({"last_seen_at": at(seconds=40)}, ["problem"]),
        ({"last_seen_at": None}, ["problem"]),
        (
            {"models": [{"name": "digits", "version": "1", "state": "UNAVAILABLE"}]},
            ["ok", "warning"],
        ),
        ({"scheduling": {"state": "Cordoned"}}, ["ok", "warning"]),
        ({"drift": [{"subject": "digits", "put_right_at": None}]}, ["ok", "warning"]),
        ({"drift": [{"subject": "digits", "put_right_at": at(hours=1)}]}, ["ok"]),
        (
            {"memory": {"used": 96, "limit": 100, "gpu_used": None, "gpu_limit": None}},
            ["ok", "warning"],
        ),
        (
            {"memory": {"used": 50, "limit": 100, "gpu_used": 99, "gpu_limit": 100}},
            ["ok", "warning"],
        ),
        ({"memory": {"used": None, "limit": None}}, ["ok"]),
    ],
)
def test_servers(changes: dict[str, Any], expected: list[str]) -> None:
    assert states(rules.servers([Server.from_json(server(**changes))], NOW)) == expected


def test_no_server_at_all() -> None:
    assert states(rules.servers([], NOW)) == ["problem"]


def test_a_queue_without_a_worker() -> None:
    idle = [
        {"name": "control", "workers": []},
        {"name": "node.local.switch", "workers": ["w"]},
        {"name": "node.gone.switch", "workers": []},
    ]
    found = Diagnosis.from_json(diagnosis(queues=idle))
    [check] = rules.queues(found, ["local"])
    assert (check.state, "queue control" in check.said) == ("problem", True)
    assert states(rules.queues(Diagnosis.from_json(diagnosis()), ["local"])) == ["ok"]
    assert states(rules.queues(Diagnosis.from_json(diagnosis(queues=None)), [])) == ["problem"]


def edge(**changes: Any) -> dict[str, Any]:
    return {
        "name": "edge",
        "seen_at": at(seconds=3),
        "live": True,
        "listeners": {"http": "0.0.0.0:8500", "grpc": "0.0.0.0:8501"},
        "behind": [],
        "servers": [{"server": "local", "http": "", "grpc": ""}],
        **changes,
    }


def edge_checks(found: dict[str, Any], *servers: dict[str, Any]) -> list[rules.Check]:
    told = Diagnosis.from_json(diagnosis(edges=[found]))
    return list(rules.edges(told, [Server.from_json(one) for one in servers or (server(),)], NOW))


CLOSED = {
    "http": "its gate is closed, or nobody answers there",
    "grpc": "its gate is closed, or nobody answers there",
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seen_at": at(minutes=2)}, "nothing was heard of edge for 2 min"),
        ({"live": False, "listeners": {}, "servers": []}, "Envoy of edge does not answer"),
        ({"listeners": {"http": "0.0.0.0:8500"}}, "edge does not listen for grpc"),
        ({"behind": ["endpoints-http.json"]}, "not taken the newest endpoints-http.json"),
        (
            {"servers": [{"server": "local", **CLOSED}, {"server": "b", "http": "", "grpc": ""}]},
            "edge sends nothing to local: its gate is closed, or nobody answers there",
        ),
        (
            {"servers": [{"server": "local", "http": "", "grpc": "connections to it broke"}]},
            "edge sends nothing to local: grpc: connections to it broke",
        ),
        (
            {"servers": [{"server": "b", "http": "", "grpc": ""}]},
            "edge sends nothing to local: not told of it",
        ),
    ],
)
def test_an_edge_that_is_not_well(changes: dict[str, Any], said: str) -> None:
    [check] = [one for one in edge_checks(edge(**changes)) if one.state != "ok"]
    assert check.state == "problem"
    assert said in check.said
    assert check.advice


def test_an_edge_that_is_well_and_one_that_rightly_leaves_a_server_out() -> None:
    assert not list(rules.edges(Diagnosis.from_json(diagnosis()), [], NOW)), "there is none"
    [check] = edge_checks(edge())
    assert (check.state, "1 of 1 servers" in check.said) == ("ok", True)
    two = [{"server": "away", **CLOSED}, {"server": "local", "http": "", "grpc": ""}]
    for away in ({"status": "NotReady"}, {"scheduling": {"state": "Drained"}}):
        checks = edge_checks(edge(servers=two), server(), server(name="away", **away))
        assert states(checks) == ["ok"], "its own line says what it is"
        assert "1 of 2 servers" in checks[0].said


def test_gates() -> None:
    local = Server.from_json(server(gate="10.0.0.1:8003"))
    found = Diagnosis.from_json(diagnosis(edges=[edge()])).edges
    opened = rules.gate(local, rules.GateAnswer(True, "local"), ())
    assert (opened.state, opened.said) == ("ok", "the gate of local at 10.0.0.1:8003 is open")
    closed = rules.GateAnswer(False, "local", "digits is at generation 5, and 7 is wanted")
    assert rules.gate(local, closed, ()).state == "problem"
    assert "generation 5, and 7" in rules.gate(local, closed, ()).said
    emptied = Server.from_json(server(gate="h:1", scheduling={"state": "Drained"}))
    check = rules.gate(emptied, closed, ())
    assert (check.state, check.advice) == ("warning", "nereid servers uncordon local")
    away = rules.GateAnswer(None, said="Connection refused")
    assert rules.gate(local, away, ()).state == "warning"
    assert rules.gate(local, away, found).state == "ok", "who has to reach it does"
    another = rules.gate(local, rules.GateAnswer(True, "other"), ())
    assert (another.state, "the gate of other" in another.said) == ("problem", True)


@pytest.mark.parametrize(
    ("lacking", "state"), [(None, "ok"), ([], "ok"), (["fleet.0012_more"], "problem")]
)
def test_migrations(lacking: list[str] | None, state: str) -> None:
    check = rules.migrations(Diagnosis.from_json(diagnosis(migrations=lacking)))
    assert (check.state, "fleet.0012_more" in check.said) == (state, bool(lacking))


@pytest.mark.parametrize(
    ("scraped_at", "state"),
    [(at(seconds=8), "ok"), (at(minutes=3), "problem"), (None, "problem")],
)
def test_what_is_due_by_the_clock(scraped_at: str | None, state: str) -> None:
    scrapes = [{"server": "a", "scraped_at": scraped_at}, {"server": "gone", "scraped_at": None}]
    found = Diagnosis.from_json(diagnosis(scrapes=scrapes))
    assert rules.by_the_clock(found, ["a"], NOW).state == state
    too_old_to_say = Diagnosis.from_json(diagnosis())
    assert rules.by_the_clock(too_old_to_say, ["a"], NOW).state == "ok"


@pytest.mark.parametrize(("free", "state"), [(50, "ok"), (9, "warning"), (1, "problem")])
def test_disks(free: int, state: str) -> None:
    disk = {"what": "state", "free_bytes": free, "total_bytes": 100}
    assert states(rules.disks(Diagnosis.from_json(diagnosis(disks=[disk])))) == [state]


@pytest.mark.parametrize(("apart", "state"), [(-3, "ok"), (-20, "warning"), (90, "problem")])
def test_clocks(apart: float, state: str) -> None:
    check = rules.clock(apart)
    assert check.state == state
    assert ("behind" in check.said) == (state == "warning")


def test_a_token_that_ends_soon() -> None:
    assert rules.token(Token.from_json(token()), NOW).state == "ok"
    soon = Token.from_json(token(expires_at=at(hours=-5), names=["digits"]))
    check = rules.token(soon, NOW)
    assert (check.state, "5 h left" in check.said) == ("warning", True)
    assert "admin of digits" in check.said
    assert rules.token(Token.from_json(token(expires_at=at(days=-80))), NOW).state == "ok"


def test_versions_of_client_and_server() -> None:
    assert rules.versions("1.2.0", "1.2.3").state == "ok"
    assert rules.versions("1.2.0", "1.3.0").state == "warning"


def test_endpoints_and_versions_that_are_stuck() -> None:
    found = [Endpoint.from_json(endpoint(status)) for status in ("Healthy", "Degraded")]
    assert sorted(states(rules.endpoints(found))) == ["ok", "problem"]
    old = Version.from_json(version(1, "validating", created_at=at(minutes=30)))
    new = Version.from_json(version(2, "validating", created_at=at(minutes=1)))
    check = rules.undecided([old, new], NOW)
    assert (check.state, check.said.count("digits:")) == ("warning", 1)
    assert rules.undecided([new], NOW).state == "ok"


def answers(**changes: Any) -> FakeServer:
    good = {"status": "ok", "checks": {"database": "ok", "broker": "ok", "servers": "ok"}}
    given: dict[str, Any] = {
        "GET /health/": answer(good, Date=format_datetime(datetime.now(UTC), usegmt=True)),
        "GET /tokens/current/": answer(token()),
        "GET /servers/": answer({"results": [server()], "next": None}),
        "GET /diagnosis/": answer(diagnosis()),
        "GET /endpoints/": answer({"results": [endpoint()], "next": None}),
        "GET /versions/": answer({"results": [], "next": None}),
    }
    return FakeServer(given | changes)


def checks_of(given: FakeServer, folder: Path) -> tuple[int, dict[str, list[dict[str, str]]]]:
    session = given.session(folder)
    code = run(["doctor", "--json"], session)
    document = json.loads(printed(session.out))
    areas: dict[str, list[dict[str, str]]] = {}
    for check in document["checks"]:
        areas.setdefault(check["area"], []).append(check)
    return code, areas


def test_all_of_it_but_triton(tmp_path: Path) -> None:
    code, areas = checks_of(answers(), tmp_path)
    assert code == 0, "a Triton that only its node reaches is a warning"
    assert [check["state"] for check in areas.pop("Triton")] == ["warning", "warning"]
    assert {check["state"] for found in areas.values() for check in found} == {"ok"}
    assert set(areas) == {
        *("configuration", "API", "token", "clock", "servers", "workers", "disk"),
        *("database", "schedule", "endpoints", "versions"),
    }


def test_a_problem_is_1_with_what_to_do(tmp_path: Path) -> None:
    given = answers(**{"GET /endpoints/": answer({"results": [endpoint("Degraded")]})})
    session = given.session(tmp_path)
    assert run(["doctor"], session) == 1
    assert "→ nereid endpoints digits" in printed(session.out)


def test_where_it_ends(tmp_path: Path) -> None:
    session = FakeServer({}).session(tmp_path, NEREID_API="", NEREID_TOKEN="")
    assert run(["doctor"], session) == 1
    assert "No control plane is known" in printed(session.out)

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("[Errno 111] Connection refused")

    code, areas = checks_of(answers(**{"GET /health/": refuse}), tmp_path)
    assert (code, areas["API"][0]["state"]) == (1, "problem")
    assert "token" not in areas
    code, areas = checks_of(answers(**{"GET /tokens/current/": answer({}, 401)}), tmp_path)
    assert (code, areas["token"][0]["state"]) == (1, "problem")
    code, areas = checks_of(answers(**{"GET /servers/": answer({}, 403)}), tmp_path)
    assert (code, "not for that" in areas["servers"][0]["said"]) == (0, True)
