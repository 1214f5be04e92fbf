"""What looks like an attack where an address takes a name: a clear 4xx, and nothing is kept."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.urls import URLPattern

from control_plane.endpoints.models import Endpoint
from control_plane.registry.models import Alias, Model, Pipeline, Profile
from tests.integration.access.test_role_matrix import ALL, IDS, PARTS
from tests.integration.api.conftest import Api
from tests.support.attacks import TEXTS, in_addresses, some

ATTACKS = in_addresses()
PART = re.compile(r"\(\?P<(\w+)>(?:[^()\\]|\\.|\((?:[^()\\]|\\.)*\))*\)")
KNOWN = {**PARTS, "name": "digits", "rollout_id": IDS["mine"], "run_id": IDS["mine"]}


def paths(pattern: URLPattern, attack: str) -> list[str]:
    """The address with the attack in each of its parts in turn."""
    text = pattern.pattern.regex.pattern.removeprefix("^")
    filled = []
    for attacked in PART.findall(text):
        parts = {**KNOWN, attacked: attack}
        address = PART.sub(lambda match, parts=parts: parts[match[1]], text)
        filled.append(address.removesuffix("$").removesuffix("/?"))
    return filled


def kept() -> list[int]:
    return [table.objects.count() for table in (Model, Endpoint, Pipeline, Profile, Alias)]


def in_every_address(api: Api, count: int) -> None:
    before = kept()
    for place, (pattern, method) in enumerate(ALL):
        for attack in some(ATTACKS, place, count):
            for path in paths(pattern, attack):
                answer = api._client.generic(
                    method,
                    f"/api/v1/{path}",
                    "{}",
                    content_type="application/json",
                    headers={**api._headers, "If-Match": "*"},
                )
                assert 400 <= answer.status_code < 500, (method, path, answer.content[:300])
                assert answer["Content-Type"] == "application/problem+json"
                assert "\r" not in answer["X-Request-Id"]
    assert kept() == before


@pytest.mark.usefixtures("telemetry_there")
def test_in_every_address(digits: Api) -> None:
    in_every_address(digits, 3)


@pytest.mark.long
@pytest.mark.usefixtures("telemetry_there")
def test_all_of_them_in_every_address(digits: Api) -> None:
    in_every_address(digits, len(ATTACKS))


BODIES: dict[str, tuple[str, str, Any]] = {
    "model": ("post", "models/", lambda name: {"name": name}),
    "endpoint": ("post", "endpoints/", lambda name: {"name": name}),
    "arm": (
        "post",
        "endpoints/digits/plan/",
        lambda name: {"arms": [{"model": name, "version": 1, "weight": 100, "primary": True}]},
    ),
    "arm's name": (
        "post",
        "endpoints/digits/plan/",
        lambda name: {
            "arms": [
                {"name": name, "model": "digits", "version": 1, "weight": 100, "primary": True}
            ]
        },
    ),
    "header": (
        "post",
        "endpoints/digits/plan/",
        lambda name: {
            "arms": [{"model": "digits", "version": 1, "weight": 100, "primary": True}],
            "sticky": {"key": f"header:{name}"},
        },
    ),
    "grant": (
        "post",
        "grants/",
        lambda name: {"user": "ada", "role": "viewer", "kind": "model", "name": name},
    ),
    "rollout": (
        "post",
        "rollouts/",
        lambda name: {"endpoint": name, "to": {"model": name, "version": 2}},
    ),
    "perf run": ("post", "perf-runs/", lambda name: {"target": {"endpoint": name}, "server": name}),
    "webhook": (
        "post",
        "webhooks/",
        lambda name: {"name": name, "url": "https://a.example/", "events": ["version.ready"]},
    ),
}


@pytest.mark.parametrize("what", BODIES)
@pytest.mark.usefixtures("telemetry_there")
def test_in_every_body(digits: Api, what: str) -> None:
    method, path, body = BODIES[what]
    before = kept()
    for text in TEXTS:
        answer = digits.call(method, path, body(text))
        assert 400 <= answer.status_code < 500, (text, answer.content[:300])
        assert answer["Content-Type"] == "application/problem+json"
        assert json.loads(answer.content)["detail"]
    assert kept() == before
