"""Two people in two browsers: one asks for a change of traffic, the other lets it through."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.console.conftest import Watched
from tests.support.serving import ServingStack

SERVED_MS = 20_000
PASSWORD = "sea-glass-and-salt"


@pytest.fixture
def watched(tab: Watched, serving_stack: ServingStack) -> Iterator[Page]:
    """The admin's tab; `digits` has the rule for as long as the test goes on."""
    yield tab.page
    with serving_stack.client() as client:
        off = client.patch("/endpoints/digits/", json={"four_eyes": False})
        assert off.status_code == 200
        arms = [{"model": "digits", "version": 1, "weight": 100, "primary": True}]
        client.put("/endpoints/digits/policy/", json={"arms": arms}, headers={"If-Match": "*"})

        def healthy() -> bool:
            return bool(client.get("/endpoints/digits/").json()["status"] == "Healthy")

        serving_stack.wait_for(healthy, 20, "digits to be healthy again")


def make_operator(tab: Watched, name: str) -> None:
    """A person who moves traffic, made on the pages for that."""
    page = tab.open("/console/auth/user/add/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password confirmation").fill(PASSWORD)
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_label("May use the console").check()
    page.locator("input[name=roles][value=operator]").check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()


@pytest.fixture
def second(browser: Browser, tab: Watched, serving_stack: ServingStack) -> Iterator[Watched]:
    """Another person's browser."""
    make_operator(tab, "ben")
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    other = Watched(context.new_page(), serving_stack.api)
    page = other.open("/console/")
    page.get_by_label("Username").fill("ben")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{serving_stack.api}/console/")
    yield other
    context.close()
    assert other.troubles == []


def test_one_asks_and_another_lets_it_through(watched: Page, tab: Watched, second: Watched) -> None:
    page = tab.open("/console/")
    page.get_by_role("link", name="digits", exact=True).first.click()
    endpoint = page.url
    page.get_by_role("link", name="Four eyes").click()
    page.get_by_role("button", name="Switch it on").click()
    expect(page.get_by_text("digits has the four-eyes rule.")).to_be_visible()

    page.get_by_role("link", name="Edit policy").click()
    page.get_by_role("button", name="Add arm").click()
    page.get_by_label("Version").nth(1).select_option("digits:2")
    page.get_by_label("Weight, %").nth(0).fill("75")
    page.get_by_label("Weight, %").nth(1).fill("25")
    page.get_by_role("button", name="Preview plan").click()
    page.get_by_label("Why").fill("right more often")
    page.get_by_role("button", name="Ask for approval").click()
    expect(page.get_by_text("waits for a second person. Traffic stays as it is.")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_be_disabled()
    expect(page.get_by_text("Approve is off: you asked for")).to_be_visible()
    change = page.url

    # The other sees it where work begins, looks at the diff, and lets it through.
    theirs = second.open("/console/")
    attention = theirs.get_by_role("region", name="What needs attention")
    expect(attention.get_by_text("asked for it: right more often")).to_be_visible()
    attention.get_by_role("link", name="Review the change").click()
    assert theirs.url == change
    expect(theirs.locator(".n-diff .n-add", has_text="slots 0:7500 1:2500")).to_be_visible()
    theirs.get_by_label("Why").fill("looked at it")
    theirs.get_by_role("button", name="Approve").click()
    assert theirs.url == endpoint
    expect(theirs.get_by_text("approved by ben").first).to_be_visible()
    card = theirs.locator("article").first
    expect(card.get_by_text("Healthy")).to_be_visible(timeout=SERVED_MS)
    expect(card.get_by_role("row", name=re.compile("digits-v2"))).to_contain_text("25 %")
    # What only an admin may, the operator is told.
    theirs.get_by_role("link", name="Four eyes").click()
    expect(theirs.get_by_text("only an admin switches it off")).to_be_visible()
