"""Signing in with a real OpenID Connect provider: who comes in, as what, and what is refused."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from control_plane.access import throttle as throttling
from control_plane.access.logins import forget_sessions
from control_plane.access.models import Grant, Identity
from control_plane.access.roles import role_group, roles_of
from control_plane.adapters import oidc as adapter
from control_plane.audit.models import AuditEvent
from control_plane.domain.access import Role
from control_plane.domain.identity import AdmissionRules
from tests.support.oidc_provider import OidcProvider

pytestmark = pytest.mark.django_db

BEGIN = "/console/login/oidc/"
ADA = {"preferred_username": "ada", "name": "Ada L", "email": "ada@x.org", "groups": ["vision"]}


def callback(client: Client, oidc: OidcProvider, subject: str, begin: str = BEGIN) -> str:
    """The way to the provider and back; the path that the browser comes back to."""
    sent = client.get(begin)
    assert sent.status_code == 302, sent.content
    back = urlsplit(oidc.sign_in(sent["Location"], subject))
    return f"{back.path}?{back.query}"


def sign_in(client: Client, oidc: OidcProvider, subject: str, begin: str = BEGIN) -> Any:
    return client.get(callback(client, oidc, subject, begin))


def page(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.content
    assert b"Not signed in" in answer.content
    assert "_auth_user_id" not in answer.client.session
    return str(answer.content.decode())


def person(subject: str) -> User:
    return Identity.objects.get(subject=subject).user


def test_a_new_person_comes_in_with_the_roles_of_their_groups(oidc: OidcProvider) -> None:
    oidc.knows(s1=ADA | {"groups": ["vision", "platform", "cooks"]})
    client = Client()
    before = client.session.session_key
    answer = sign_in(client, oidc, "s1", f"{BEGIN}?next=/console/registry/model/")
    assert (answer.status_code, answer["Location"]) == (302, "/console/registry/model/")
    ada = person("s1")
    assert (ada.username, ada.email, ada.get_full_name()) == ("ada", "ada@x.org", "Ada L")
    assert set(roles_of(ada)) == {Role.PUBLISHER, Role.OPERATOR, Role.VIEWER}
    assert not ada.has_usable_password()
    assert not ada.is_superuser
    assert client.session.session_key != before
    assert 0 < client.session.get_expiry_age() <= 12 * 3600
    assert client.get("/console/").status_code == 200
    login, made = AuditEvent.objects.all()[:2]
    assert (login.action, login.actor, login.object_id) == ("user.login", "ada", str(ada.pk))
    assert login.after == {"by": oidc.issuer, "address": "127.0.0.1"}
    assert login.request_id == answer["X-Request-Id"]
    assert (made.action, made.after["roles"]) == (
        "user.create",
        ["viewer", "publisher", "operator"],
    )


def test_the_request_has_pkce_state_and_nonce(oidc: OidcProvider) -> None:
    asked = parse_qs(urlsplit(Client().get(BEGIN)["Location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == ["http://testserver/console/login/oidc/callback/"]
    assert asked["scope"] == ["openid profile email"]
    for name in ("state", "nonce", "code_challenge"):
        assert len(asked[name][0]) >= 20


def test_roles_follow_the_groups_and_the_rest_stays(oidc: OidcProvider, settings: Any) -> None:
    oidc.knows(s1=ADA)
    sign_in(Client(), oidc, "s1")
    ada = person("s1")
    team = Group.objects.create(name="team")
    ada.groups.add(team, role_group(Role.ADMIN), role_group(Role.OPERATOR))
    oidc.knows(s1=ADA | {"groups": ["platform"], "email": "new@x.org"})
    sign_in(Client(), oidc, "s1")
    ada = person("s1")
    # No group is named for admin: that one was given here, and stays.
    assert set(roles_of(ada)) == {Role.OPERATOR, Role.VIEWER, Role.ADMIN}
    assert team in ada.groups.all()
    assert ada.email == "new@x.org"
    event = AuditEvent.objects.get(action="user.update")
    assert "publisher" in event.before["roles"]
    assert "publisher" not in event.after["roles"]
    # A role that groups gave goes also when the settings no longer name it.
    settings.NEREID_OIDC = replace(
        settings.NEREID_OIDC, rules=AdmissionRules(roles={"platform": frozenset({Role.VIEWER})})
    )
    sign_in(Client(), oidc, "s1")
    assert set(roles_of(person("s1"))) == {Role.VIEWER, Role.ADMIN}


def test_who_left_every_group_is_out_and_keeps_no_role(oidc: OidcProvider) -> None:
    oidc.knows(s1=ADA)
    sign_in(Client(), oidc, "s1")
    oidc.knows(s1=ADA | {"groups": []})
    client = Client()
    assert "none of your groups" in page(sign_in(client, oidc, "s1"), 403)
    assert roles_of(person("s1")) == []
    Grant.objects.create(
        user=person("s1"), role="viewer", kind="model", name="digits", created_by="x"
    )
    assert sign_in(client, oidc, "s1").status_code == 302


def test_who_has_no_role_is_not_made(oidc: OidcProvider) -> None:
    oidc.knows(s1=ADA | {"groups": ["cooks"]})
    assert "Ask an admin" in page(sign_in(Client(), oidc, "s1"), 403)
    assert not Identity.objects.exists()
    assert not User.objects.exists()
    event = AuditEvent.objects.get()
    assert (event.action, event.actor) == ("user.login_failed", "anonymous")
    assert event.after["subject"] == "s1"


def test_no_account_is_taken_over_by_name_or_address(oidc: OidcProvider) -> None:
    boss = User.objects.create_superuser("admin", email="admin@x.org", password="right")
    claims = {"preferred_username": "Admin", "email": "admin@x.org", "email_verified": True}
    oidc.knows(s1={**claims, "groups": ["vision"]}, s2={**claims, "groups": ["vision"]})
    sign_in(Client(), oidc, "s1")
    sign_in(Client(), oidc, "s2")
    assert [person(s).username for s in ("s1", "s2")] == ["Admin-2", "Admin-3"]
    assert not boss.identities.exists()
    assert not person("s1").is_superuser
    # The same subject of another issuer is somebody else.
    Identity.objects.filter(subject="s1").update(issuer="https://old.example")
    sign_in(Client(), oidc, "s1")
    assert User.objects.count() == 4


@pytest.mark.parametrize(
    ("field", "words"), [("is_active", "switched off"), ("is_staff", "may not")]
)
def test_what_an_admin_took_away_stays_away(field: str, words: str, oidc: OidcProvider) -> None:
    oidc.knows(s1=ADA)
    sign_in(Client(), oidc, "s1")
    User.objects.update(**{field: False})
    assert words in page(sign_in(Client(), oidc, "s1"), 403)


@pytest.mark.parametrize(
    "fault",
    ["nonce", "issuer", "audience", "expired", "signature", "unsigned", "another's user info"],
)
def test_a_token_that_does_not_hold_is_refused(fault: str, oidc: OidcProvider) -> None:
    oidc.knows(s1=ADA)
    oidc.does_wrong(fault)
    assert "did not sign you in" in page(sign_in(Client(), oidc, "s1"), 403)
    assert not User.objects.exists()


@pytest.mark.parametrize("fault", ["down", "nonsense", "impostor", "no address"])
def test_a_provider_that_is_away_is_a_page(fault: str, oidc: OidcProvider) -> None:
    oidc.does_wrong(fault)
    assert "Test ID does not answer" in page(Client().get(BEGIN), 503)


def test_one_that_goes_away_half_way_is_a_page(oidc: OidcProvider, settings: Any) -> None:
    oidc.knows(s1=ADA)
    client = Client()
    back = callback(client, oidc, "s1")
    oidc.does_wrong("token endpoint down")
    assert "answers 503" in page(client.get(back), 503)
    settings.NEREID_OIDC = replace(settings.NEREID_OIDC, issuer="http://127.0.0.1:9")
    assert "cannot be reached" in page(client.get(BEGIN), 503)


def test_a_callback_counts_once_and_in_its_own_browser(oidc: OidcProvider) -> None:
    oidc.knows(s1=ADA)
    mine, other = Client(), Client()
    back = callback(mine, oidc, "s1")
    assert "not begun here" in page(other.get(back), 400)
    assert mine.get(back).status_code == 302
    assert mine.get(back).status_code == 400
    words = page(other.get("/console/login/oidc/callback/?error=x&error_description=Call+me"), 400)
    assert "Call me" not in words


def test_what_was_begun_is_finished_within_the_hour_or_not(
    oidc: OidcProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    oidc.knows(s1=ADA)
    client = Client()
    back, now = callback(client, oidc, "s1"), time.time()
    monkeypatch.setattr(adapter.time, "time", lambda: now + 3601)
    assert "took longer than an hour" in page(client.get(back), 400)
    assert not User.objects.exists()


def test_what_anybody_may_begin_stays_small_and_goes(oidc: OidcProvider) -> None:
    client = Client()
    for _ in range(adapter.MAX_BEGUN + 2):
        assert client.get(BEGIN).status_code == 302
    assert len(client.session[adapter.BEGUN]) == adapter.MAX_BEGUN
    assert client.session.get_expiry_age() <= 3600
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    over, lasting = Session.objects.get(), SessionStore()
    lasting.create()
    forget_sessions()
    assert [row.session_key for row in Session.objects.all()] == [lasting.session_key]
    assert over.session_key != lasting.session_key


def test_who_turns_to_a_password_stays_as_long_as_with_one(oidc: OidcProvider) -> None:
    User.objects.create_superuser("boss", password="right")
    client = Client()
    client.get(BEGIN)
    client.post("/console/login/", {"username": "boss", "password": "right"})
    assert "_auth_user_id" in client.session
    assert client.session.get_expiry_age() > 24 * 3600


def test_a_session_ends_when_it_was_said_to_whatever_is_done_in_it(
    oidc: OidcProvider, settings: Any
) -> None:
    """Also when its browser begins a sign-in now and then, which asks no provider about anybody."""
    oidc.knows(s1=ADA)
    client = Client()
    settings.NEREID_OIDC = replace(settings.NEREID_OIDC, session_s=60)
    sign_in(client, oidc, "s1")
    ends = client.session.get_expiry_date()
    assert ends <= timezone.now() + timedelta(seconds=60)
    assert client.get(BEGIN).status_code == 302
    assert client.session.get_expiry_date() == ends
    assert Session.objects.get().expire_date == ends


def test_other_pages_shut_nobody_out_by_sending_browsers_here(
    oidc: OidcProvider, settings: Any
) -> None:
    settings.NEREID_THROTTLES = {"logins": "2/minute"}
    throttling.throttle()._limiter.storage.reset()
    for _ in range(4):
        page(Client().get("/console/login/oidc/callback/?state=x&code=y"), 400)
    assert not AuditEvent.objects.exists()
    oidc.knows(s1=ADA)
    assert sign_in(Client(), oidc, "s1").status_code == 302


def test_a_person_who_says_no_there(oidc: OidcProvider) -> None:
    client = Client()
    back = callback(client, oidc, "nobody")
    assert "error=access_denied" in back
    odd = f"{back}&error_description=no%00thing%ED%A0%80"
    assert "It says: nothing" in page(client.get(odd), 403)


def test_groups_may_stand_in_the_user_info_alone(oidc: OidcProvider) -> None:
    oidc.knows(s1=ADA)
    oidc.does_wrong("groups in the user info alone")
    assert sign_in(Client(), oidc, "s1").status_code == 302
    assert roles_of(person("s1")) == [Role.PUBLISHER]


def test_groups_are_not_asked_for_in_the_clear(oidc: OidcProvider) -> None:
    oidc.knows(s1=ADA)
    oidc.does_wrong("groups in the user info alone, in the clear")
    assert "no usable userinfo_endpoint" in page(sign_in(Client(), oidc, "s1"), 503)
    assert not User.objects.exists()


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "javascript:x"])
def test_nobody_is_sent_elsewhere(wanted: str, oidc: OidcProvider) -> None:
    oidc.knows(s1=ADA)
    assert sign_in(Client(), oidc, "s1", f"{BEGIN}?next={wanted}")["Location"] == "/console/"


def test_going_out_ends_both_sessions(oidc: OidcProvider) -> None:
    oidc.knows(s1=ADA)
    client = Client()
    sign_in(client, oidc, "s1")
    answer = client.post("/console/logout/")
    there = urlsplit(answer["Location"])
    assert f"{there.scheme}://{there.netloc}{there.path}" == f"{oidc.issuer}/leave"
    said = parse_qs(there.query)
    assert said["post_logout_redirect_uri"] == ["http://testserver/console/login/"]
    assert said["client_id"] == ["nereid"]
    assert said["id_token_hint"]
    assert "_auth_user_id" not in client.session
    event = AuditEvent.objects.first()
    assert event is not None
    assert (event.action, event.actor) == ("user.logout", "ada")
    # The browser holds form-action against that redirect too.
    policy = Client().get("/console/login/")["Content-Security-Policy"]
    assert f"form-action 'self' {oidc.issuer}" in policy


def test_no_token_is_in_the_record(oidc: OidcProvider) -> None:
    oidc.knows(s1=ADA)
    client = Client()
    sign_in(client, oidc, "s1")
    hint = client.session["signed_in_at_provider"]["hint"]
    assert hint.count(".") == 2
    client.post("/console/logout/")
    for event in AuditEvent.objects.all():
        assert hint not in f"{event.before}{event.after}{event.reason}"


def test_without_a_provider_there_is_none(db: None) -> None:
    assert b"Sign in with" not in Client().get("/console/login/").content
    for path in (BEGIN, "/console/login/oidc/callback/?state=x&code=y"):
        assert Client().get(path).status_code == 404


def test_passwords_beside_it_or_not_at_all(oidc: OidcProvider, settings: Any) -> None:
    User.objects.create_superuser("ada", password="right")
    right = {"username": "ada", "password": "right"}
    shown = Client().get("/console/login/?next=/console/audit/auditevent/").content
    assert b"Sign in with Test ID" in shown
    assert b"oidc/?next=%2Fconsole%2Faudit%2Fauditevent%2F" in shown
    assert b'name="password"' in shown
    assert Client().post("/console/login/", right).status_code == 302
    settings.NEREID_PASSWORD_LOGIN = False
    assert b'name="password"' not in Client().get("/console/login/").content
    refused = Client().post("/console/login/", right)
    assert b"Passwords are switched off" in refused.content
    assert "_auth_user_id" not in refused.client.session
