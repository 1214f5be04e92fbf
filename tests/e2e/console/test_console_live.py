"""What moves in the console by itself, what is tried from it, and how it is used by keyboard."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.e2e.console.conftest import Watched
from tests.e2e.console.test_console import infer, open_endpoint
from tests.support.serving import ServingStack

SCRAPED_MS = 30_000


def test_charts_move_with_the_traffic(tab: Watched, serving_stack: ServingStack) -> None:
    page = open_endpoint(tab)
    page.evaluate("window.loadedOnce = true")
    infer(serving_stack, 50)
    panel = page.locator("#endpoint-charts")
    row = panel.get_by_role("row", name=re.compile("digits-v1"))
    expect(row.get_by_role("cell").nth(4)).to_have_text(
        re.compile(r"^[\d.]+ (µs|ms|s)$"), timeout=SCRAPED_MS
    )
    rate = panel.get_by_role("img", name=re.compile(r"^Requests per second\. Now .*digits-v1"))
    expect(rate).to_be_visible()
    assert rate.locator("path.n-shape-area").count() >= 1
    latency = panel.get_by_role("img", name=re.compile(r"^Latency.*digits-v1 p99"))
    assert latency.locator("path.n-shape-line").count() >= 1
    requests = int(row.get_by_role("cell").nth(0).inner_text())
    infer(serving_stack, 30)
    more = re.compile("^(" + "|".join(str(n) for n in range(requests + 30, requests + 300)) + ")$")
    expect(row.get_by_role("cell").nth(0)).to_have_text(more, timeout=SCRAPED_MS)

    page.get_by_role("link", name="1 h", exact=True).click()
    expect(panel.get_by_role("columnheader", name="Over 1 h")).to_be_visible()
    expect(page).to_have_url(re.compile(r"\?span=1h$"))
    assert page.evaluate("window.loadedOnce"), "the page was not loaded again"
    page.reload()
    expect(panel.get_by_role("columnheader", name="Over 1 h")).to_be_visible()


def test_a_request_is_sent_from_the_page(tab: Watched, serving_stack: ServingStack) -> None:
    page = open_endpoint(tab)
    result = page.locator("#try-result")
    page.get_by_role("button", name="Send the request").click()
    expect(result.get_by_text("digits-v1")).to_be_visible()
    expect(result.get_by_text(re.compile(r"^[\d.]+ (µs|ms|s)$"))).to_be_visible()
    expect(result.get_by_role("row")).to_have_count(10)

    page.get_by_label("Shape").fill("1, 8")
    page.get_by_role("button", name="Send the request").click()
    expect(result.get_by_role("alert")).to_contain_text("the model takes [any, 1, 8, 8]")

    page.get_by_label("Shape").fill("1000, 1, 8, 8")
    page.get_by_label("Values", exact=True).select_option("random")
    page.get_by_role("button", name="Send the request").click()
    expect(result.get_by_role("alert")).to_contain_text("Triton answered 400")
    expect(result.get_by_role("alert")).to_contain_text("batch-size must be <= 64 for 'digits'")


def test_a_servers_page_says_what_it_holds(tab: Watched) -> None:
    page = tab.open("/console/")
    page.get_by_role("link", name="local", exact=True).click()
    held = page.get_by_role("region", name="Models held")
    expect(held.get_by_role("link", name="digits v1", exact=True)).to_be_visible()
    expect(held.get_by_text("READY").first).to_be_visible()
    expect(page.get_by_role("region", name="Endpoints served here")).to_contain_text("digits")


def test_a_revision_leads_to_the_way_back_to_it(tab: Watched) -> None:
    page = open_endpoint(tab)
    page.get_by_role("region", name="Revisions").get_by_role("link", name="#").last.click()
    expect(page.get_by_role("heading", name="What it changed in the model repo")).to_be_visible()
    back = page.get_by_role("link", name="Go back to this")
    if back.count():  # none where the oldest one shown is what serves
        back.click()
        expect(page.get_by_text(re.compile(r"Take digits back to revision \d+"))).to_be_visible()


def test_by_keyboard_alone(tab: Watched) -> None:
    page = tab.open("/console/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    inside = "document.querySelector('#content').contains(document.activeElement)"
    assert page.evaluate(inside)
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"

    account = page.get_by_role("button", name=re.compile("log out"))
    account.focus()
    page.keyboard.press("Enter")
    log_out = page.get_by_role("button", name=re.compile("^Log out"))
    expect(log_out).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(log_out).to_be_hidden()
    expect(account).to_be_focused()


def test_an_inline_script_does_not_run_and_the_documentation_does(
    tab: Watched, serving_stack: ServingStack
) -> None:
    page = tab.open("/console/")
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'),"
        " {textContent: 'window.ran = true'}))"
    )
    assert page.evaluate("window.ran") is None
    assert any("Content Security Policy" in trouble for trouble in tab.troubles)
    tab.troubles.clear()
    page = tab.open("/api/docs/")
    expect(page.get_by_role("heading", name=re.compile("Nereid"))).to_be_visible()
    assert tab.troubles == []
