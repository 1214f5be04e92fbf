"""Signing in with an identity provider, in a real browser: there, back, in, and out again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from playwright.sync_api import expect, sync_playwright

from control_plane import wiring
from control_plane.telemetry.migrate import migrate
from control_plane.telemetry.store import TelemetryStore, engine_url
from tests.e2e.console.conftest import CHROMIUM, QUIET
from tests.support.oidc_provider import OidcProvider


@pytest.fixture
def home(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The telemetry that the overview reads, beside the test's own tables."""
    held = connection.settings_dict
    url = engine_url(f"postgresql://{held['USER']}@/{held['NAME']}")
    url = url.set(host=held["HOST"] or None, port=held["PORT"] or None, query=held["OPTIONS"])
    address = url.render_as_string(hide_password=False)
    migrate(address)
    store = TelemetryStore(address)
    store.keep_partitions(wiring.clock().now().date())
    monkeypatch.setattr(wiring, "telemetry", lambda: store)
    yield
    store.dispose()
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA telemetry CASCADE")


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium")
def test_in_by_the_provider_and_out_again(oidc: OidcProvider, home: None, live_server: Any) -> None:
    oidc.knows(s1={"preferred_username": "grace", "groups": ["vision"]})
    troubles: list[str] = []
    # Opened here and not for the module: an open browser stands in the way of the database.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        page = browser.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda said: said.type == "error" and troubles.append(said.text))
        page.goto(f"{live_server.url}/console/access/apitoken/")
        page.get_by_role("link", name="Sign in with Test ID").click()
        page.get_by_label("Subject").fill("s1")
        page.get_by_role("button", name="Let me in").click()
        # Where one wanted to go, as who one is, with what the role shows and nothing more.
        expect(page).to_have_url(f"{live_server.url}/console/access/apitoken/")
        page.goto(f"{live_server.url}/console/")
        expect(page.get_by_role("button", name=re.compile("^grace: "))).to_be_visible()
        expect(page.locator('#nav-sidebar a[href="/console/registry/model/"]')).to_be_visible()
        expect(page.locator('a[href="/console/auth/user/"]')).to_have_count(0)
        page.goto(f"{live_server.url}/console/registry/model/add/")
        expect(page.get_by_label("Name")).to_be_visible()
        page.get_by_role("button", name=re.compile("^grace: ")).click()
        page.locator("#logout-form").get_by_role("button").click()
        expect(page.get_by_role("heading", name="Signed out of Test ID")).to_be_visible()
        page.goto(f"{live_server.url}/console/")
        expect(page.get_by_label("Password")).to_be_visible()
        browser.close()
    assert troubles == []
