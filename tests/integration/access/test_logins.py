"""Who came in, who did not and who left is in the audit record, without a password."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from control_plane.access import throttle as throttling
from control_plane.audit.models import AuditEvent

pytestmark = pytest.mark.django_db

LOGIN = "/console/login/"
RIGHT = {"username": "ada", "password": "right"}


@pytest.fixture(autouse=True)
def ada() -> User:
    return User.objects.create_superuser("ada", password="right")


def events() -> list[tuple[str, str, str]]:
    rows = AuditEvent.objects.order_by("id")
    return [(row.action, row.actor, row.object_name) for row in rows]


def test_in_and_out(ada: User) -> None:
    client = Client(REMOTE_ADDR="2001:db8::7")
    came = client.post(LOGIN, RIGHT)
    client.post("/console/logout/")
    Client().post("/console/logout/")  # nobody leaves
    assert events() == [("user.login", "ada", "ada"), ("user.logout", "ada", "ada")]
    first = AuditEvent.objects.order_by("id")[0]
    assert first.after == {"by": "password", "address": "2001:db8::7"}
    assert (first.object_id, first.request_id) == (str(ada.pk), came["X-Request-Id"])


@pytest.mark.parametrize(
    ("username", "password", "name"),
    [
        ("ada", "wrong-pass", "ada"),
        ("hunter2", "ada", "(no such person)"),  # a password in the wrong field
        ("sam", "right", "sam"),  # who may not use the console
        ("gone", "right", "gone"),  # switched off
    ],
)
def test_who_is_not_let_in(username: str, password: str, name: str) -> None:
    User.objects.create_user("sam", password="right")
    User.objects.create_user("gone", password="right", is_staff=True, is_active=False)
    assert Client().post(LOGIN, {"username": username, "password": password}).status_code == 200
    assert events() == [("user.login_failed", "anonymous", name)]
    event = AuditEvent.objects.get()
    assert event.reason
    for secret in ("wrong-pass", "hunter2"):
        assert secret not in f"{event.after}{event.reason}{event.object_name}"


def test_a_form_without_a_password_is_no_attempt() -> None:
    Client().post(LOGIN, {"username": "ada"})
    assert events() == []


def test_whoever_is_in_already_guesses_no_better(settings: Any, ada: User) -> None:
    settings.NEREID_THROTTLES = {"logins": "2/minute"}
    throttling.throttle()._limiter.storage.reset()
    inside = Client()
    inside.force_login(User.objects.create_user("eve", is_staff=True))
    wrong = {"username": "ada", "password": "wrong"}
    assert [inside.post(LOGIN, wrong).status_code for _ in range(4)] == [200, 200, 429, 429]
    # The record takes no more than the limit: nobody fills it from outside.
    assert len(events()) == 2


def test_the_events_are_seen_by_admins_alone_and_have_a_page(ada: User) -> None:
    Client().post(LOGIN, {"username": "x", "password": "y"})
    client = Client()
    client.force_login(ada)
    event = AuditEvent.objects.get()
    shown = client.get(f"/console/audit/auditevent/{event.pk}/change/")
    assert shown.status_code == 200
    assert b"(no such person)" in shown.content
