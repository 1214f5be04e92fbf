"""Every write of the API, by whoever may not: refused, without a trace but that they tried.

The writes come from the OpenAPI document, with the bodies that it shows: a new one is called here
as soon as it is there. Who may is what `test_role_matrix` says, which has a line for each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import resolve
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator

from control_plane.access import throttle as throttling
from control_plane.access.models import ApiToken, Grant
from control_plane.access.roles import role_group
from control_plane.api.document import operations
from control_plane.domain.access import Kind, Role, Scope
from control_plane.fleet.models import Server
from control_plane.rollouts.models import Rollout
from tests.integration.access.test_role_matrix import MAY, NAMELESS, OWN, PARTS
from tests.integration.api.conftest import Api
from tests.support.untouched import refused, writes

ROLLOUT = "00000000-0000-4000-8000-000000000001"
KNOWN = {**PARTS, "name": "digits", "rollout_id": ROLLOUT, "run_id": ROLLOUT}


@dataclass(frozen=True)
class Write:
    """One operation that is no GET, as the document describes it."""

    name: str
    method: str
    path: str
    body: Any
    kind: str

    @property
    def key(self) -> tuple[str, str]:
        return self.name, self.method

    def by(self, client: Client) -> Any:
        if self.kind == "multipart/form-data":
            fields = {k: v if isinstance(v, str) else json.dumps(v) for k, v in self.body.items()}
            sent: dict[str, Any] = {"data": fields}
        else:
            body = self.body if isinstance(self.body, bytes) else json.dumps(self.body)
            sent = {"data": b"" if self.body is None else body, "content_type": self.kind}
        headers = {"If-Match": "*", "Tus-Resumable": "1.0.0", "Upload-Offset": "0"}
        return getattr(client, self.method.lower())(self.path, headers=headers, **sent)


def _write(path: str, method: str, operation: dict[str, Any]) -> Write:
    filled = re.sub(r"\{(\w+)\}", lambda part: KNOWN[part[1]], path)
    bodies = operation.get("requestBody", {}).get("content", {"application/json": {}})
    kind, content = next(iter(bodies.items()))
    shown = [example["value"] for example in content.get("examples", {}).values()]
    body = shown[0] if shown else content.get("example")
    return Write(
        str(resolve(filled).url_name),
        method.upper(),
        filled,
        b"part" if "octet-stream" in kind else body,
        kind,
    )


@pytest.fixture(scope="module")
def every_write() -> list[Write]:
    document = SchemaGenerator().get_schema(request=None, public=True)
    found = [_write(*one) for one in operations(document) if one[1] != "get"]
    assert {write.key for write in found} >= {key for key in MAY if key[1] != "GET"}
    return found


@pytest.fixture(autouse=True)
def there(
    digits: Api, weights: Callable[..., Any], telemetry_there: None, settings: Any
) -> Iterator[None]:
    """Records that a write would change, and a record of attempts without a bound."""
    settings.NEREID_THROTTLES = {"denials": "1000000/minute"}
    throttling.throttle.cache_clear()
    for share in (90, 50):
        assert digits.put_policy("digits", weights(share, 100 - share)).status_code == 202
    User.objects.create_user("digits")
    Server.objects.create(name="digits", http="h:1", grpc="h:2", metrics="http://h:3/metrics")
    hook = {"name": "digits", "url": "https://hooks.example.com/", "events": ["version.ready"]}
    assert digits.post("webhooks/", hook).status_code == 201
    Rollout.objects.create(
        id=ROLLOUT,
        endpoint_name="digits",
        number=1,
        model="digits",
        version=2,
        strategy={"canary": {"steps": [{"approval": {}}]}},
        harm_budget=20,
        since=timezone.now(),
        created_at=timezone.now(),
    )
    yield
    throttling.throttle.cache_clear()


def caller(name: str, *roles: Role, scope: Scope | None = None) -> Client:
    user = User.objects.create_user(name)
    user.groups.set([role_group(role) for role in roles])
    return bearing(user, scope)


def bearing(user: User, scope: Scope | None = None) -> Client:
    clear = ApiToken.issue(user=user, name="fuzz", scope=scope)[1]
    return Client(headers={"Authorization": f"Bearer {clear}"}, raise_request_exception=False)


def files() -> set[Path]:
    return {path for path in django_settings.NEREID_ARTIFACTS.rglob("*") if path.is_file()}


def hold_refused(write: Write, client: Client, who: str) -> None:
    with refused(by=who):
        answer = write.by(client)
    assert answer.status_code == 403, (write, who, answer.content[:300])


def test_nobody_writes(every_write: list[Write]) -> None:
    before = files()
    for write in every_write:
        with refused():
            answer = write.by(Client(raise_request_exception=False))
        assert answer.status_code == 401, (write, answer.content[:300])
        assert answer.headers["WWW-Authenticate"]
    assert files() == before


def test_who_has_no_right_writes_nothing(every_write: list[Write]) -> None:
    """But tokens of their own, which let through what they may: nothing."""
    client, before = caller("eve"), files()
    for write in every_write:
        if write.key not in OWN:
            hold_refused(write, client, "eve")
    assert files() == before


def test_no_role_writes_what_is_anothers(every_write: list[Write]) -> None:
    before = files()
    for role in Role:
        client = caller(f"the-{role}", role)
        for write in every_write:
            if write.key not in OWN and role not in MAY[write.key]:
                hold_refused(write, client, f"the-{role}")
    assert files() == before


def test_no_grant_reaches_beyond_its_name(every_write: list[Write]) -> None:
    eve = caller("eve")
    for kind in Kind:
        Grant.objects.create(
            user=User.objects.get(username="eve"),
            **{"kind": kind, "name": "another", "role": Role.ADMIN, "created_by": "ada"},
        )
    narrow = bearing(User.objects.create_superuser("boss"), Scope(Role.ADMIN, frozenset({"other"})))
    for write in every_write:
        if write.key not in OWN | NAMELESS:
            hold_refused(write, eve, "eve")
            hold_refused(write, narrow, "boss")


def test_a_token_with_limits_makes_and_ends_none(every_write: list[Write]) -> None:
    narrow = bearing(User.objects.create_superuser("boss"), Scope(Role.OPERATOR))
    [make] = [write for write in every_write if write.key == ("tokens", "POST")]
    hold_refused(make, narrow, "boss")
    for client in (narrow, caller("eve")):
        others = ApiToken.objects.filter(user__username="ada").get()
        with refused():
            answer = client.delete(f"/api/v1/tokens/{others.pk}/")
        assert answer.status_code == 404
    assert ApiToken.objects.get(pk=others.pk).revoked_at is None


def test_a_page_in_an_admins_browser_writes_nothing(every_write: list[Write]) -> None:
    """It has the session, and not the token that our own pages put into their forms: what it sends
    is nobody's."""
    browser = Client(enforce_csrf_checks=True, raise_request_exception=False)
    browser.force_login(User.objects.create_superuser("boss"))
    for write in every_write:
        with refused():
            answer = write.by(browser)
        assert (answer.status_code, "CSRF" in answer.json()["detail"]) == (403, True), write


def test_what_was_sent_would_have_been_done(every_write: list[Write]) -> None:
    """The same calls by an admin: what is refused above is no mistake in the call."""
    boss, wrote = bearing(User.objects.create_superuser("boss")), []
    for write in every_write:
        before = writes()
        with transaction.atomic():
            status = write.by(boss).status_code
            transaction.set_rollback(True)
        assert status not in (401, 403), write
        if status < 300 and writes() - before:
            wrote.append(write.key)
    assert len(wrote) > len(every_write) / 4, wrote
