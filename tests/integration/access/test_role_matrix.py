"""Every address of the API x every role x (everywhere, own name, another's): who is let in.

The addresses come from the URL configuration: a new one without a line in `MAY` fails here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, reverse
from django.utils import timezone

from control_plane import wiring
from control_plane.access.models import ApiToken, Grant
from control_plane.access.roles import role_group
from control_plane.analysis.models import AnalysisRun
from control_plane.api.urls import urlpatterns
from control_plane.domain.access import Kind, Role, Scope
from control_plane.endpoints.models import Endpoint
from control_plane.fleet.models import Server
from control_plane.registry.services import create_model
from control_plane.rollouts.models import Rollout
from tests.support.fakes import FakeQueue, FakeWorkers

NONE = "00000000-0000-0000-0000-000000000000"
EVERYBODY = frozenset(Role)
PUBLISHERS = frozenset({Role.PUBLISHER, Role.ADMIN})
REPORTERS = frozenset({Role.REPORTER, Role.OPERATOR, Role.ADMIN})
OPERATORS = frozenset({Role.OPERATOR, Role.ADMIN})
ADMINS = frozenset({Role.ADMIN})
CONTROLS = ("promote", "skip", "pause", "resume", "abort", "retry", "approve")

# (address, method) -> who may; an address about a model or an endpoint takes grants on its name.
MAY: dict[tuple[str, str], frozenset[Role]] = {
    ("models", "GET"): EVERYBODY,
    ("models", "POST"): PUBLISHERS,
    ("model", "GET"): EVERYBODY,
    ("model", "PATCH"): PUBLISHERS,
    ("model", "DELETE"): ADMINS,
    ("all_versions", "GET"): EVERYBODY,
    ("versions", "GET"): EVERYBODY,
    ("versions", "POST"): PUBLISHERS,
    ("version", "GET"): EVERYBODY,
    ("version", "PATCH"): PUBLISHERS,
    ("version", "DELETE"): PUBLISHERS,
    ("download", "GET"): EVERYBODY,
    ("archive", "POST"): PUBLISHERS,
    ("unarchive", "POST"): PUBLISHERS,
    ("uploads", "POST"): PUBLISHERS,
    ("upload", "GET"): PUBLISHERS,
    ("upload", "PATCH"): PUBLISHERS,
    ("upload", "DELETE"): PUBLISHERS,
    ("aliases", "GET"): EVERYBODY,
    ("alias", "GET"): EVERYBODY,
    ("alias", "PUT"): PUBLISHERS,
    ("alias", "DELETE"): PUBLISHERS,
    ("profiles", "GET"): EVERYBODY,
    ("profile", "GET"): EVERYBODY,
    ("profile", "PUT"): OPERATORS,
    ("profile", "DELETE"): OPERATORS,
    ("pipelines", "GET"): EVERYBODY,
    ("pipeline", "GET"): EVERYBODY,
    ("pipeline", "PUT"): PUBLISHERS | OPERATORS,
    ("pipeline", "DELETE"): PUBLISHERS | OPERATORS,
    ("pipeline-check", "POST"): EVERYBODY,
    ("pipeline-revisions", "GET"): EVERYBODY,
    ("pipeline-revision", "GET"): EVERYBODY,
    ("lint", "POST"): EVERYBODY,
    ("replays", "POST"): EVERYBODY,
    ("analysis-simulations", "POST"): EVERYBODY,
    ("findings", "GET"): EVERYBODY,
    ("export", "GET"): EVERYBODY,
    ("endpoints", "GET"): EVERYBODY,
    ("endpoints", "POST"): OPERATORS,
    ("endpoint", "GET"): EVERYBODY,
    ("endpoint", "PATCH"): OPERATORS,
    ("endpoint", "DELETE"): OPERATORS,
    ("policy", "GET"): EVERYBODY,
    ("policy", "PUT"): OPERATORS,
    ("plan", "POST"): EVERYBODY,
    ("rollback", "POST"): OPERATORS,
    ("kill", "POST"): OPERATORS,
    ("feedback", "GET"): EVERYBODY,
    ("kpis", "GET"): EVERYBODY,
    ("kpis-tries", "POST"): PUBLISHERS | OPERATORS,
    ("kpis-try", "GET"): EVERYBODY,
    ("recordings", "GET"): EVERYBODY,
    ("recordings", "POST"): OPERATORS,
    ("recording", "GET"): EVERYBODY,
    ("recording", "DELETE"): OPERATORS,
    ("recording-stop", "POST"): OPERATORS,
    ("feedback", "POST"): REPORTERS,
    ("changes", "GET"): EVERYBODY,
    ("change", "GET"): EVERYBODY,
    ("approve", "POST"): OPERATORS,
    ("reject", "POST"): OPERATORS,
    ("withdraw", "POST"): OPERATORS,
    ("revisions", "GET"): EVERYBODY,
    ("revision", "GET"): EVERYBODY,
    ("rollouts", "GET"): EVERYBODY,
    ("rollouts", "POST"): OPERATORS,
    ("rollout", "GET"): EVERYBODY,
    ("rollout-events", "GET"): EVERYBODY,
    **{(f"rollout-{control}", "POST"): OPERATORS for control in CONTROLS},
    ("analysis-templates", "GET"): EVERYBODY,
    ("analysis-template", "GET"): EVERYBODY,
    ("analysis-template", "PUT"): OPERATORS,
    ("analysis-template", "DELETE"): OPERATORS,
    ("analysis-run", "GET"): EVERYBODY,
    ("analysis-looks", "GET"): EVERYBODY,
    ("servers", "GET"): EVERYBODY,
    ("server", "GET"): EVERYBODY,
    ("server", "PATCH"): OPERATORS,
    ("server", "DELETE"): ADMINS,
    ("server-cordon", "POST"): OPERATORS,
    ("server-uncordon", "POST"): OPERATORS,
    ("server-drain", "POST"): OPERATORS,
    ("placement", "GET"): EVERYBODY,
    ("placement", "PUT"): OPERATORS,
    ("placement", "DELETE"): OPERATORS,
    ("placement-plan", "POST"): EVERYBODY,
    ("perf-runs", "GET"): EVERYBODY,
    ("perf-runs", "POST"): PUBLISHERS | OPERATORS,
    ("perf-run", "GET"): EVERYBODY,
    ("perf-run-cancel", "POST"): PUBLISHERS | OPERATORS,
    ("perf-run-accept", "POST"): PUBLISHERS | OPERATORS,
    ("perf-file", "GET"): EVERYBODY,
    ("tunes", "GET"): EVERYBODY,
    ("tunes", "POST"): PUBLISHERS | OPERATORS,
    ("tune", "GET"): EVERYBODY,
    ("tune-cancel", "POST"): PUBLISHERS | OPERATORS,
    ("tune-apply", "POST"): OPERATORS,
    ("audit", "GET"): EVERYBODY,
    ("webhook-events", "GET"): ADMINS,
    ("webhooks", "GET"): ADMINS,
    ("webhooks", "POST"): ADMINS,
    ("webhook", "GET"): ADMINS,
    ("webhook", "PATCH"): ADMINS,
    ("webhook", "DELETE"): ADMINS,
    ("webhook-test", "POST"): ADMINS,
    ("webhook-rotate", "POST"): ADMINS,
    ("deliveries", "GET"): ADMINS,
    ("delivery", "GET"): ADMINS,
    ("redeliver", "POST"): ADMINS,
    ("users", "GET"): ADMINS,
    ("user", "GET"): ADMINS,
    ("user", "PATCH"): ADMINS,
    ("grants", "GET"): ADMINS,
    ("grants", "POST"): ADMINS,
    ("grant", "GET"): ADMINS,
    ("grant", "DELETE"): ADMINS,
    ("diagnosis", "GET"): EVERYBODY,
    ("budget", "GET"): EVERYBODY,
}
OF_MODELS = {
    *("models", "model", "versions", "version", "download", "archive", "unarchive"),
    *("aliases", "alias", "uploads", "upload", "all_versions", "findings", "export"),
}
OF_ENDPOINTS = {
    *("endpoints", "endpoint", "policy", "plan", "rollback", "kill", "revisions", "revision"),
    *("changes", "change", "approve", "reject", "withdraw", "feedback", "replays", "kpis"),
    *("kpis-try", "recordings", "recording", "recording-stop"),
    *("budget", "placement", "placement-plan"),
    *("rollouts", "rollout", "rollout-events", "analysis-run", "analysis-looks"),
    *(f"rollout-{control}" for control in CONTROLS),
    "tune-apply",
}
OPEN = {("health", "GET")}
OWN = {
    *(("tokens", "GET"), ("tokens", "POST"), ("token", "GET"), ("token", "DELETE")),
    ("current_token", "GET"),
}
# What has no name in it is for whoever has a grant on some: lists, and what is not yet a version.
LISTS = {("models", "GET"), ("all_versions", "GET"), ("endpoints", "GET"), ("rollouts", "GET")}
NAMELESS = LISTS | {k for k in MAY if k[0].startswith("upload")}
PARTS = {"number": "1", "alias": "champion", "token_id": NONE, "upload": NONE, "delivery_id": NONE}
PARTS |= {"grant_id": NONE, "level": "0", "file": "report.csv", "recording": "mondays"}
NAMED = ("mine", "yours")
# What has an id of its own is at the endpoint of that name.
IDS = {name: f"00000000-0000-4000-8000-00000000000{i}" for i, name in enumerate(NAMED, start=1)}
METHODS = ("get", "post", "put", "patch", "delete")


def addresses() -> Iterator[tuple[URLPattern, str]]:
    for pattern in urlpatterns:
        for method in METHODS:
            if hasattr(pattern.callback.view_class, method):
                yield pattern, method.upper()


ALL = list(addresses())


def kind_of(name: str) -> Kind | None:
    if name in OF_MODELS:
        return Kind.MODEL
    return Kind.ENDPOINT if name in OF_ENDPOINTS else None


@pytest.fixture(autouse=True)
def records(db: None, telemetry_there: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "queue", FakeQueue)
    monkeypatch.setattr(wiring, "workers", FakeWorkers)
    for name in NAMED:
        create_model(name=name, actor="ada")
        Endpoint.objects.create(name=name, created_by="ada")
        Rollout.objects.create(
            id=IDS[name],
            endpoint_name=name,
            number=1,
            model="m",
            version=1,
            strategy={"canary": {"steps": [{"approval": {}}]}},
            harm_budget=20,
            since=timezone.now(),
            created_at=timezone.now(),
        )
        AnalysisRun.objects.create(
            id=IDS[name], endpoint=name, template_name="t", template={}, began_at=timezone.now()
        )
        Server.objects.create(name=name, http="h:1", grpc="h:2", metrics="http://h:3/metrics")


def caller(role: Role | None = None, scope: Scope | None = None, grant: Any = None) -> Client:
    user = User.objects.create_user(f"u{User.objects.count()}")
    if role:
        user.groups.add(role_group(role))
    if grant:
        kind, granted = grant
        Grant.objects.create(user=user, kind=kind, name="mine", role=granted, created_by="ada")
    return bearing(user, scope)


def bearing(user: User, scope: Scope | None) -> Client:
    clear = ApiToken.issue(user=user, name="t", scope=scope)[1]
    return Client(headers={"Authorization": f"Bearer {clear}"}, raise_request_exception=False)


def ask(client: Client, pattern: URLPattern, method: str, name: str = "mine") -> int:
    """The status of a call that changes nothing for the next one."""
    known = {**PARTS, "name": name, "rollout_id": IDS[name], "run_id": IDS[name]}
    path = reverse(
        f"api:{pattern.name}", kwargs={k: known[k] for k in pattern.pattern.regex.groupindex}
    )
    with transaction.atomic():
        answer = client.generic(
            method,
            path,
            json.dumps({"name": name, "endpoint": name}),
            content_type="application/json",
        )
        transaction.set_rollback(True)
    assert answer.status_code < 500 or pattern.name == "health", answer.content
    return int(answer.status_code)


def test_every_address_has_a_line() -> None:
    found = {(str(pattern.name), method) for pattern, method in ALL}
    assert found == MAY.keys() | OPEN | OWN


@pytest.mark.parametrize(("pattern", "method"), ALL, ids=lambda v: getattr(v, "name", v))
def test_who_is_let_in(pattern: URLPattern, method: str) -> None:
    name = str(pattern.name)
    if (name, method) in OPEN:
        assert ask(Client(), pattern, method) not in (401, 403)
        return
    assert ask(Client(), pattern, method) == 401
    if (name, method) in OWN:
        assert ask(caller(), pattern, method) not in (401, 403)
        return
    may = MAY[(name, method)]
    assert ask(caller(), pattern, method) == 403
    for role in Role:
        assert (ask(caller(role), pattern, method) != 403) is (role in may), f"role {role}"
    assert_narrowed(next(role for role in Role if role in may), pattern, method)


@pytest.mark.long
@pytest.mark.parametrize(("pattern", "method"), ALL, ids=lambda v: getattr(v, "name", v))
def test_who_is_let_in_by_narrower_rights(pattern: URLPattern, method: str) -> None:
    if (pattern.name, method) not in OPEN | OWN:
        for role in Role:
            assert_narrowed(role, pattern, method)


def assert_narrowed(role: Role, pattern: URLPattern, method: str) -> None:
    """Whom the role lets in as the scope of an admin's token, and as a grant on one name."""
    name = str(pattern.name)
    let_in, kind = role in MAY[(name, method)], kind_of(name)
    boss = User.objects.filter(username="boss").first() or User.objects.create_superuser("boss")
    through = bearing(boss, Scope(role))
    assert (ask(through, pattern, method) != 403) is let_in, f"an admin's token for {role}"
    for granted in Kind:
        client = caller(grant=(granted, role))
        own = let_in and kind == granted
        assert (ask(client, pattern, method) != 403) is own, f"{role} of {granted} mine"
        others = own and (name, method) in NAMELESS
        assert (ask(client, pattern, method, "yours") != 403) is others, f"{role} of {granted}"
    narrow = bearing(boss, Scope(role, frozenset({"mine"})))
    own = let_in and kind is not None
    assert (ask(narrow, pattern, method) != 403) is own, f"a token for {role} of mine"


@pytest.mark.parametrize("address", ["models", "endpoints"])
def test_lists_have_what_was_granted_alone(address: str) -> None:
    kind = kind_of(address)
    for client in (
        caller(grant=(kind, Role.VIEWER)),
        caller(Role.VIEWER, Scope(Role.VIEWER, frozenset({"mine"}))),
    ):
        answer = client.get(reverse(f"api:{address}"))
        assert [row["name"] for row in answer.json()["results"]] == ["mine"]
