"""A real browser in front of a real stack."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.serving import ServingStack

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Closed with its module: while it is open its event loop is in the way of async tests."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def session(browser: Browser, serving_stack: ServingStack) -> Any:
    """The cookies of the admin, logged in through the login page."""
    credentials = json.loads(Path(serving_stack.home, "credentials.json").read_text())
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{serving_stack.api}/")
    page.get_by_label("Username").fill(credentials["username"])
    page.get_by_label("Password").fill(credentials["password"])
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/console/")
    state = context.storage_state()
    context.close()
    return state


class Watched:
    """A tab that notes what must not happen: errors, and requests to other machines."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page, self.origin = page, origin
        self.troubles: list[str] = []
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", self._said)
        page.on("request", self._asked)
        page.on("response", self._answered)

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.origin}{path}")
        return self.page

    def _said(self, message: Any) -> None:
        if message.type == "error":
            self.troubles.append(message.text)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.origin, "data:", "blob:")):
            self.troubles.append(f"asked {request.url}")

    def _answered(self, response: Any) -> None:
        if response.status >= 500:
            self.troubles.append(f"{response.status} from {response.url}")


@pytest.fixture
def tab(browser: Browser, session: Any, serving_stack: ServingStack) -> Iterator[Watched]:
    context = browser.new_context(storage_state=session, viewport={"width": 1440, "height": 900})
    watched = Watched(context.new_page(), serving_stack.api)
    yield watched
    context.close()
    assert watched.troubles == []
