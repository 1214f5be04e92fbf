"""`nereid profiles`: what is read, what is sent, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nereid.cli import completing, run
from tests.support.control_plane_answers import FakeServer, answer, printed, problem
from tests.unit.nereid.test_completing import complete

PATIENT = {"description": "Waits", "max_batch_size": 32}
FINDING = {
    "severity": "warning",
    "code": "instances-over-cores",
    "detail": "4 instances share 2 cores",
    "pointer": "/instance_group",
    "fix": "use at most 2 instances",
}


def profile(**changes: Any) -> dict[str, Any]:
    return {
        "name": "patient",
        "built_in": False,
        "revision": 1,
        "document": PATIENT,
        "findings": [],
        "changed_at": "2026-01-02T03:04:05Z",
        "changed_by": "ada",
        **changes,
    }


BUILT_IN = profile(
    name="realtime", built_in=True, revision=None, changed_at=None, changed_by="", document={}
)
PATH = "/profiles/patient/"


def test_list_has_both_kinds(tmp_path: Path) -> None:
    page = {"results": [profile(), BUILT_IN], "next": None}
    server = FakeServer({"GET /profiles/": lambda _: answer(page)})
    session = server.session(tmp_path)
    assert run(["profiles", "list"], session) == 0
    for words in ("patient", "revision 1", "Waits", "realtime", "built in", "ada"):
        assert words in printed(session.out)
    session = server.session(tmp_path)
    assert run(["profiles", "list", "--json"], session) == 0
    assert json.loads(printed(session.out)) == {"results": page["results"]}


def test_show_prints_what_can_be_put_again(tmp_path: Path) -> None:
    server = FakeServer({f"GET {PATH}": answer(profile(findings=[FINDING]))})
    session = server.session(tmp_path)
    assert run(["profiles", "show", "patient"], session) == 0
    assert json.loads(printed(session.out)) == PATIENT
    assert "instances-over-cores" in printed(session.err)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("p.json", json.dumps(PATIENT)),
        ("p.toml", 'description = "Waits"\nmax_batch_size = 32\n'),
    ],
)
def test_put_of_something_new_has_no_condition(tmp_path: Path, file: str, text: str) -> None:
    server = FakeServer(
        {f"GET {PATH}": problem(404, "Not Found"), f"PUT {PATH}": answer(profile(), 201)}
    )
    session = server.session(tmp_path)
    (tmp_path / file).write_text(text)
    assert run(["profiles", "put", "patient", str(tmp_path / file)], session) == 0
    assert server.body("PUT", PATH) == PATIENT
    assert "If-Match" not in server.requests[-1].headers
    assert "patient is at revision 1" in printed(session.err)


def test_put_of_a_change_is_based_on_what_was_read(tmp_path: Path) -> None:
    server = FakeServer(
        {
            f"GET {PATH}": answer(profile(), ETag='"one"'),
            f"PUT {PATH}": answer(profile(revision=2, findings=[FINDING])),
        }
    )
    session = server.session(tmp_path)
    (tmp_path / "p.json").write_text(json.dumps(PATIENT))
    assert run(["profiles", "put", "patient", str(tmp_path / "p.json")], session) == 0
    assert server.requests[-1].headers["If-Match"] == '"one"'
    assert "revision 2" in printed(session.err)
    assert "use at most 2 instances".capitalize() in printed(session.err)


@pytest.mark.parametrize(
    ("file", "text"),
    [("p.json", "{"), ("p.json", "[]"), ("p.toml", "a ="), ("p.toml", "a = 2026-01-01")],
)
def test_what_is_no_document_is_not_sent(tmp_path: Path, file: str, text: str) -> None:
    server = FakeServer({})
    session = server.session(tmp_path)
    (tmp_path / file).write_text(text)
    assert run(["profiles", "put", "patient", str(tmp_path / file)], session) == 1
    assert file in printed(session.err)
    assert not server.calls


def test_delete(tmp_path: Path) -> None:
    server = FakeServer({f"DELETE {PATH}": answer({}, 204)})
    assert run(["profiles", "delete", "patient"], server.session(tmp_path)) == 0
    assert server.calls == [f"DELETE {PATH}"]


def test_names_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = {"results": [profile(), BUILT_IN], "next": None}
    server = FakeServer({"GET /profiles/": answer(page)})
    monkeypatch.setattr(completing, "Session", lambda: server.session(tmp_path))
    assert complete("nereid push --profile p").split() == ["patient"]
