"""A rollout from the console: started on the endpoint's page, watched as it moves, and aborted."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from nereid import Client
from tests.e2e.console.conftest import Watched
from tests.support.serving import ServingStack

NAME = "digits-rolled-out"
MOVES_MS = 30_000


@pytest.fixture
def serving(serving_stack: ServingStack) -> Iterator[str]:
    """An endpoint of its own that serves the first version."""
    arm = {"model": "digits", "version": 1, "weight": 100, "primary": True}
    with Client(serving_stack.api, serving_stack.token) as nereid:
        nereid.ensure_endpoint(NAME)
        accepted = nereid.put_policy(NAME, {"arms": [arm]}, etag="*")
        nereid.wait_endpoint(NAME, generation=accepted.generation)
        yield NAME
        nereid.delete_endpoint(NAME)


def foresee(page: Page) -> None:
    """Fills in the form: a fifth of the requests, then a pause until somebody says to go on."""
    page.get_by_role("link", name="Start a rollout").click()
    expect(page.get_by_label("Version", exact=True)).to_have_value("digits:2")
    for _ in range(4):
        page.get_by_role("button", name="Remove this step").last.click()
    page.get_by_label("What the step says").first.fill("20")
    page.get_by_label("Kind of step").last.select_option("pause")
    page.get_by_label("What the step says").last.fill("")
    expect(page.get_by_text("how long; empty: until somebody resumes")).to_be_visible()
    page.get_by_role("button", name="See what will happen").click()
    expect(page.get_by_text("Step 1: it gets 20 % of the requests")).to_be_visible()


def test_a_rollout_is_started_watched_and_aborted(tab: Watched, serving: str) -> None:
    page = tab.open(f"/console/endpoints/endpoint/?q={serving}")
    page.get_by_role("link", name=serving, exact=True).click()
    foresee(page)
    page.get_by_role("button", name="Start the rollout").click()

    stands = page.get_by_role("article", name="Where it stands")
    page.evaluate("window.loadedOnce = true")
    expect(stands.get_by_text("paused", exact=True)).to_be_visible(timeout=MOVES_MS)
    expect(stands.get_by_role("listitem").nth(1)).to_have_attribute("aria-current", "step")
    expect(stands.get_by_text("20 %", exact=True).first).to_be_visible()
    traffic = page.get_by_role("region", name="Traffic now")
    expect(traffic.get_by_role("row", name=re.compile("candidate.*digits v2.*20 %"))).to_be_visible(
        timeout=MOVES_MS
    )
    assert page.evaluate("window.loadedOnce"), "it moved without the page being loaded again"

    stands.get_by_role("link", name="Abort").click()
    expect(page.get_by_text("Every request goes to digits v1 again")).to_be_visible()
    page.get_by_label("Why").fill("only looking")
    page.get_by_role("button", name="Abort").click()
    expect(stands.get_by_text("aborted", exact=True)).to_be_visible(timeout=MOVES_MS)
    expect(stands).to_contain_text("admin aborted it: only looking")
    expect(stands.get_by_role("link", name="Try again")).to_be_visible()
