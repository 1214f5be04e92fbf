"""Every page says which scripts may run: ours, and none that is written into a page."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from control_plane.endpoints.models import Endpoint

INLINE = re.compile(r"<script(?![^>]*\ssrc=)(?![^>]*type=\"application/json\")[^>]*>|\son[a-z]+=\"")


def directives(answer: object) -> dict[str, str]:
    header = answer["Content-Security-Policy"]  # type: ignore[index] # a response
    parts = (part.strip().partition(" ") for part in header.split(";"))
    return {name: values for name, _, values in parts if name}


@pytest.mark.parametrize("page", ["/console/", "/console/login/", "/console/password_change/"])
def test_no_page_runs_what_is_written_into_it(admin: Client, page: str) -> None:
    client = Client() if "login" in page else admin
    answer = client.get(page)
    assert answer.status_code == 200
    said = directives(answer)
    assert said["script-src"] == "'self' 'unsafe-eval'"
    assert said["default-src"] == "'self'"
    assert said["object-src"] == said["base-uri"] == said["frame-ancestors"] == "'none'"
    assert not INLINE.search(answer.content.decode())


def test_an_endpoints_page_has_no_inline_script(digits: Endpoint, admin: Client) -> None:
    for name in ("change", "edit_policy", "kill_switch", "roll_back", "try_it"):
        page = admin.get(reverse(f"admin:endpoints_endpoint_{name}", args=[digits.pk]))
        assert not INLINE.search(page.content.decode()), name


def test_a_session_is_for_our_own_pages_alone(db: None) -> None:
    User.objects.create_user("ada", password="right", is_staff=True)
    browser = Client()
    answer = browser.post("/console/login/", {"username": "ada", "password": "right"})
    assert answer.status_code == 302
    session, token = answer.cookies["sessionid"], answer.cookies["csrftoken"]
    assert session["httponly"]
    assert session["samesite"] == token["samesite"] == "Lax"
    assert answer["X-Frame-Options"] == "DENY"


def test_behind_https_cookies_go_over_nothing_else() -> None:
    names = "s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE"
    ask = f"from django.conf import settings as s; print({names})"
    for address, secure in (("https://nereid.example.com", "True True\n"), ("", "False False\n")):
        done = subprocess.run(
            [sys.executable, "-c", ask],
            env={
                **os.environ,
                "NEREID_PUBLIC_URL": address,
                "DJANGO_SETTINGS_MODULE": "control_plane.settings",
            },
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == secure


def test_the_documentation_evaluates_nothing(db: None) -> None:
    page = Client().get("/api/docs/")
    assert directives(page)["script-src"] == "'self'"
    assert not INLINE.search(page.content.decode())
    [script] = re.findall(r'src="(/api/docs/\?[^"]+|[^"]*script[^"]*)"', page.content.decode())
    assert Client().get(script.replace("&amp;", "&")).status_code == 200
