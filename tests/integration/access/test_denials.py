"""What was refused is on record: who, what, when and from where, and never without end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from control_plane.access import throttle as throttling
from control_plane.access.models import ApiToken
from control_plane.access.roles import role_group
from control_plane.audit.models import AuditEvent
from control_plane.domain.access import Role
from control_plane.registry.models import Model
from control_plane.registry.services import create_model


@pytest.fixture(autouse=True)
def counted(db: None, settings: Any) -> Iterator[None]:
    """Limits that are soon met, and counts that begin at none."""
    settings.NEREID_THROTTLES = {"denials": "3/minute"}
    throttling.throttle.cache_clear()
    yield
    throttling.throttle.cache_clear()


@pytest.fixture
def vera() -> User:
    user = User.objects.create_user("vera", is_staff=True)
    user.groups.add(role_group(Role.VIEWER))
    create_model(name="digits", actor="ada")
    return user


def bearing(user: User, **more: Any) -> tuple[ApiToken, dict[str, str]]:
    row, clear = ApiToken.issue(user=user, name="nightly", **more)
    return row, {"Authorization": f"Bearer {clear}"}


def refused() -> list[AuditEvent]:
    actions = ("request.denied", "token.refused")
    return list(AuditEvent.objects.filter(action__in=actions).order_by("id"))


def test_an_attempt_over_the_api(vera: User) -> None:
    _, header = bearing(vera)
    client = Client(headers={**header, "X-Request-Id": "r-1"}, REMOTE_ADDR="10.0.0.9")
    assert client.delete("/api/v1/models/digits/?key=hidden").status_code == 403
    assert Model.objects.filter(name="digits").exists()
    [event] = refused()
    assert (event.actor, event.object_type, event.object_name) == ("vera", "request", "digits")
    assert event.after == {
        "method": "DELETE",
        "path": "/api/v1/models/digits/",
        "address": "10.0.0.9",
        "token": "nightly",
    }
    assert "registry.delete_model" in event.reason
    assert event.request_id == "r-1"


def test_an_attempt_in_the_console(vera: User) -> None:
    browser = Client()
    browser.force_login(vera)
    page = reverse("admin:registry_model_delete", args=[Model.objects.get().pk])
    assert browser.post(page, {"post": "yes"}).status_code == 403
    assert Model.objects.exists()
    [event] = refused()
    assert (event.actor, event.object_name) == ("vera", page)
    assert event.after["method"] == "POST"


def test_a_path_is_kept_as_it_was_sent(vera: User) -> None:
    browser = Client(raise_request_exception=False)
    browser.force_login(vera)
    assert browser.get("/console/webhooks/webhook/%C3%BC/change/").status_code == 403
    [event] = refused()
    assert event.after["path"] == "/console/webhooks/webhook/%C3%BC/change/"


def test_a_name_that_the_database_cannot_hold_is_refused_all_the_same(vera: User) -> None:
    _, header = bearing(vera)
    client = Client(headers=header, raise_request_exception=False)
    assert client.delete("/api/v1/models/a%00b/").status_code in (403, 404)
    assert client.delete(f"/api/v1/models/{'n' * 300}/").status_code in (403, 404)


def test_what_nobody_was_refused_is_not_there(vera: User) -> None:
    _, header = bearing(vera)
    Client().delete("/api/v1/models/digits/")
    Client(headers=header).get("/api/v1/models/none/")
    Client(headers=header).get("/api/v1/models/")
    assert refused() == []


def ended(user: User, change: Callable[[ApiToken], None]) -> tuple[ApiToken, dict[str, str]]:
    row, header = bearing(user)
    change(row)
    return row, header


def test_a_token_that_lets_nobody_in(vera: User) -> None:
    now = timezone.now()

    def off(row: ApiToken) -> None:
        User.objects.filter(pk=row.user_id).update(is_active=False)

    def over(row: ApiToken) -> None:
        ApiToken.objects.filter(pk=row.pk).update(expires_at=now - timedelta(days=1))

    def taken(row: ApiToken) -> None:
        ApiToken.objects.filter(pk=row.pk).update(revoked_at=now)

    for place, (change, why) in enumerate(((taken, "revoked"), (over, "expired"), (off, "off"))):
        row, header = ended(vera, change)
        client = Client(headers=header, REMOTE_ADDR=f"10.0.0.{place}")
        assert client.get("/api/v1/models/").status_code == 401
        event = refused()[-1]
        assert (event.actor, event.object_id) == ("anonymous", str(row.pk))
        assert event.after["of"] == "vera"
        assert event.after["address"] == f"10.0.0.{place}"
        assert why in event.reason


def test_a_guess_is_not_kept_and_is_bounded_by_address(vera: User) -> None:
    def guess(address: str) -> None:
        client = Client(headers={"Authorization": "Bearer nrd_hidden"}, REMOTE_ADDR=address)
        assert client.get("/api/v1/models/").status_code == 401

    for _ in range(6):
        guess("10.0.0.9")
    assert len(refused()) == 3
    guess("10.0.0.10")
    assert len(refused()) == 4
    kept = str([vars(event) for event in refused()])
    assert "hidden" not in kept


def test_attempts_are_bounded_by_person(vera: User) -> None:
    _, header = bearing(vera)
    _, other = bearing(vera)
    for i in range(4):
        Client(headers=header, REMOTE_ADDR=f"10.0.0.{i}").delete("/api/v1/models/digits/")
        Client(headers=other).delete("/api/v1/models/digits/")
    assert len(refused()) == 3


def test_what_others_tried_is_for_those_who_see_people(vera: User) -> None:
    boss = User.objects.create_superuser("boss")
    ben = User.objects.create_user("ben")
    ben.groups.add(role_group(Role.VIEWER))
    Client(headers=bearing(vera)[1]).delete("/api/v1/models/digits/")
    for who, seen in ((boss, 1), (vera, 1), (ben, 0)):
        answer = Client(headers=bearing(who)[1]).get("/api/v1/audit/?action=request.denied")
        assert len(answer.json()["results"]) == seen, who
