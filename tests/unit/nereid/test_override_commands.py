"""`--override` and `--no-overrides`, from the command line to what is sent and shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nereid.cli import run
from tests.support.control_plane_answers import FakeServer, answer, printed

ALIAS = {"model": "digits", "alias": "champion", "version": 3, "updated_by": "ada"}
STANDING: dict[str, Any] = {
    "arms": [
        {"name": "stable", "model": "digits", "version": 1, "weight": 90, "primary": True},
        {
            "name": "trial",
            "model": "digits",
            "version": 3,
            "weight": 10,
            "overrides": {"max_batch_size": 8},
        },
    ]
}
SERVING = {
    "arm": "trial",
    "profile": "realtime",
    "revision": None,
    "of_version": {},
    "of_arm": {"max_batch_size": 16},
    "effective": {"max_batch_size": 16, "dynamic_batching": {}},
}


def planning(standing: dict[str, Any]) -> FakeServer:
    return FakeServer(
        {
            "GET /endpoints/digits/policy/": answer(standing, ETag='"1"'),
            "POST /endpoints/digits/plan/": answer({"changes": [], "serving": [SERVING]}),
            "GET /models/digits/aliases/champion/": answer(ALIAS),
        }
    )


def sent(server: FakeServer) -> dict[str, Any]:
    return {arm["name"]: arm.get("overrides") for arm in server.body("POST", "/plan/")["arms"]}


@pytest.mark.parametrize("arm", ["trial", "digits:3", "digits@champion"])
def test_an_arm_is_named_in_any_way_that_it_can_be(arm: str, tmp_path: Path) -> None:
    server = planning(STANDING)
    command = ["plan", "digits", "digits:1=90", "digits:3=10"]
    session = server.session(tmp_path)
    override = f"{arm}:dynamic_batching.max_queue_delay_microseconds=5"
    assert run([*command, "--override", override], session) == 0
    # What the arm says already stays, as its limits do.
    laid = {"max_batch_size": 8, "dynamic_batching": {"max_queue_delay_microseconds": 5}}
    assert sent(server) == {"stable": None, "trial": laid}
    told = printed(session.out)
    assert 'overrides of the arm: {"max_batch_size": 16}' in told
    assert "effective:" in told


def test_an_arm_may_be_left_with_none(tmp_path: Path) -> None:
    server = planning(STANDING)
    command = ["plan", "digits", "digits:1=90", "digits:3=10", "--no-overrides", "trial"]
    assert run(command, server.session(tmp_path)) == 0
    assert sent(server) == {"stable": None, "trial": None}


@pytest.mark.parametrize("text", ["max_batch_size=16", "digits:3:max_batch_size", "other:a=1"])
def test_what_cannot_be_read_is_wrong_usage(text: str, tmp_path: Path) -> None:
    server = planning(STANDING)
    command = ["plan", "digits", "digits:1=90", "digits:3=10", "--override", text]
    assert run(command, server.session(tmp_path)) == 2
