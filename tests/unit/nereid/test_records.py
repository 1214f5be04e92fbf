"""Aliases, tags and the archive from the command, against a control plane's answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from nereid.cli import run
from nereid.policy import alias_in, numbered, parse_arm, policy_document
from tests.support.control_plane_answers import (
    FakeServer,
    accepted,
    answer,
    endpoint,
    model,
    printed,
    problem,
    version,
)

ALIAS = {"model": "digits", "alias": "champion", "version": 3, "updated_by": "ada"}


def test_arms_are_named_by_alias_too() -> None:
    assert parse_arm("digits@champion=90").target == ("digits", "@champion")
    arm = parse_arm("stable@digits@champion")
    assert (arm.name, arm.target, arm.weight) == ("stable", ("digits", "@champion"), None)
    assert alias_in("digits@champion=90") == ("digits", "champion")
    assert alias_in("stable@digits:1") is None
    assert numbered("stable@digits@champion=90", 3) == "stable@digits:3=90"
    assert numbered("digits:1=90", 3) == "digits:1=90"
    document = policy_document(["digits@champion=90", "digits:2"], primary="digits@champion")
    assert document["arms"] == [
        {"model": "digits", "version": "@champion", "weight": 90, "primary": True},
        {"name": "digits-v2", "model": "digits", "version": 2, "weight": 10, "primary": False},
    ]


def test_deploy_asks_once_what_an_alias_means(tmp_path: Path) -> None:
    standing = {"arms": [{"name": "s", "model": "digits", "version": 3, "timeout": "1s"}]}
    server = FakeServer(
        {
            "GET /models/digits/aliases/champion/": answer(ALIAS),
            "GET /endpoints/digits/policy/": answer(standing, ETag='"1"'),
            "PUT /endpoints/digits/policy/": answer(accepted(2), 202),
            "GET /endpoints/digits/": answer(endpoint("Healthy", 2)),
        }
    )
    command = ["deploy", "digits", "digits@champion=100", "--primary", "digits@champion"]
    assert run(command, server.session(tmp_path)) == 0
    [arm] = server.body("PUT", "/policy/")["arms"]
    assert (arm["name"], arm["version"], arm["timeout"]) == ("s", 3, "1s")


def test_an_alias_is_shown_set_and_removed(tmp_path: Path) -> None:
    path = "/models/digits/aliases/"
    server = FakeServer(
        {
            f"GET {path}": answer({"results": [ALIAS], "next": None}),
            f"GET {path}champion/": answer(ALIAS),
            f"PUT {path}champion/": answer(ALIAS),
            f"DELETE {path}champion/": answer({}, 204),
        }
    )

    def out(*arguments: str) -> str:
        session = server.session(tmp_path)
        assert run(["alias", "digits", *arguments], session) == 0
        return printed(session.out) + printed(session.err)

    assert "@champion" in out()
    assert "digits:3" in out("champion")
    assert "digits@champion → digits:3" in out("champion", "3")
    assert server.body("PUT", "/champion/") == {"version": 3}
    assert json.loads(out("champion", "3", "--json")) == ALIAS
    assert json.loads(out("--json")) == {"results": [ALIAS]}
    assert "removed" in out("champion", "--delete")
    assert json.loads(out("champion", "--delete", "--json")) == {}


def test_tags_are_sent_as_a_patch(tmp_path: Path) -> None:
    tagged = {"team": "vision", "reviewed": ""}
    server = FakeServer(
        {
            "GET /models/digits/": answer({**model(), "tags": {}}),
            "PATCH /models/digits/": answer({**model(), "tags": tagged}),
            "PATCH /models/digits/versions/2/": answer(version(2, tags=tagged)),
        }
    )
    session = server.session(tmp_path)
    assert run(["tag", "digits", "team=vision", "reviewed", "--delete", "old"], session) == 0
    assert printed(session.out).strip() == "team=vision reviewed"
    patch = {"tags": {"team": "vision", "reviewed": "", "old": None}}
    assert server.body("PATCH", "/models/digits/") == patch
    session = server.session(tmp_path)
    assert run(["tag", "digits:2", "team=vision", "--json"], session) == 0
    assert json.loads(printed(session.out))["tags"] == tagged
    session = server.session(tmp_path)
    assert run(["tag", "digits"], session) == 0
    assert "no tags" in printed(session.err)


def test_archive_and_back(tmp_path: Path) -> None:
    archived = version(2, "archived", state_reason="old")
    path = "/models/digits/versions/2/"
    server = FakeServer(
        {
            f"POST {path}archive/": answer(archived),
            f"POST {path}unarchive/": answer(version(2, "validating"), 202),
            f"GET {path}": [answer(version(2, "validating")), answer(version(2))],
        }
    )
    session = server.session(tmp_path)
    assert run(["archive", "digits:2", "--reason", "old"], session) == 0
    assert "digits:2 is archived: old" in printed(session.err)
    assert server.body("POST", "/archive/") == {"reason": "old"}
    session = server.session(tmp_path)
    assert run(["unarchive", "digits:v2"], session) == 0
    assert "digits:2 is ready" in printed(session.err)


def test_archive_that_is_refused_says_where_it_serves(tmp_path: Path) -> None:
    said = "digits:2 serves in endpoint digits (revision 3, arm digits-v2, 10 %)"
    path = "POST /models/digits/versions/@champion/archive/"
    server = FakeServer({path: problem(409, "Conflict", said)})
    session = server.session(tmp_path)
    assert run(["archive", "digits@champion"], session) == 1
    assert said in printed(session.err)


def test_models_show_aliases_and_where_each_version_serves(tmp_path: Path) -> None:
    place = {"endpoint": "shop", "revision": 4, "arm": "a", "share": 12.5, "live": False}
    shown = version(2, aliases=["champion"], serves_in=[place], metrics={"h": {"accuracy": 0.97}})
    whole = {**model(), "aliases": {"champion": 2}, "tags": {"team": "x"}, "sla": {"p99_ms": 20}}
    server = FakeServer(
        {
            "GET /models/digits/": answer(whole),
            "GET /models/digits/versions/": answer({"results": [shown], "next": None}),
            "GET /models/": answer({"results": [whole], "next": None}),
        }
    )
    session = server.session(tmp_path)
    assert run(["models", "digits"], session) == 0
    out = printed(session.out)
    for words in ("@champion → 2", "team=x", "p99_ms 20", "shop 12.5 %", "h/accuracy"):
        assert words in out
    session = server.session(tmp_path)
    assert run(["models", "--tag", "team:x", "--alias", "champion"], session) == 0
    assert dict(server.requests[-1].url.params)["tag"] == "team:x"


@pytest.mark.parametrize(
    "arguments",
    [
        ["alias"],
        ["alias", "digits", "champion", "three"],
        ["alias", "digits", "--delete"],
        ["alias", "digits", "champion", "3", "--delete"],
        ["tag", "digits", "=x"],
        ["tag", "digits", "a=1", "--delete", "a"],
        ["tag", "digits:x", "a=1"],
        ["archive", "digits"],
        ["archive", "digits:"],
        ["unarchive", "digits@"],
        ["models", "digits", "--tag", "x"],
        ["push", "digits", __file__, "-m", "a=1", "-m", "a/b=2"],
    ],
)
def test_wrong_usage_is_2_and_asks_no_server(arguments: list[str], tmp_path: Path) -> None:
    server = FakeServer({})
    assert run(arguments, server.session(tmp_path)) == 2
    assert server.calls == []


def test_push_takes_figures_by_data_set() -> None:
    from nereid.cli.push import _figures

    found: dict[str, Any] = _figures(["accuracy=0.9", "holdout/accuracy=0.8", "holdout/loss=1"])
    assert found == {"accuracy": 0.9, "holdout": {"accuracy": 0.8, "loss": 1.0}}
