"""A tune from the console: started on a version's page, watched to its end, applied."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from control_plane.adapters.perf_analyzer.binary import find
from control_plane.ports.load import LoadGeneratorMissingError
from nereid import Client
from tests.e2e.console.conftest import Watched
from tests.support.serving import ServingStack

pytestmark = pytest.mark.long
NAME = "digits-tuned"
DIGITS = Path(__file__).resolve().parents[3] / "model_repository/samples/digits/v2/model.onnx"
TUNED_MS = 240_000


@pytest.fixture
def serving(serving_stack: ServingStack) -> Iterator[Client]:
    """A model whose batches wait 50 ms for company, and its endpoint: a tune knows better."""
    try:
        find()
    except LoadGeneratorMissingError as missing:
        pytest.skip(str(missing))
    slow = {"dynamic_batching": {"max_queue_delay_microseconds": 50_000}}
    arm = {"model": NAME, "version": 1, "weight": 100, "primary": True}
    with Client(serving_stack.api, serving_stack.token) as nereid:
        nereid.push(NAME, DIGITS, overrides=slow, git=False, create=True, wait=True)
        nereid.ensure_endpoint(NAME)
        accepted = nereid.put_policy(NAME, {"arms": [arm]}, etag="*")
        nereid.wait_endpoint(NAME, generation=accepted.generation)
        yield nereid
        nereid.delete_endpoint(NAME)


def begin(page: Page) -> None:
    """Fills in the form: three trials at most, of a fifth of a second a window."""
    page.locator("a[href*='/modelversion/'][href$='/tune/']").first.click()
    page.get_by_label("Latency limit").fill("500ms")
    page.get_by_label("Callers at most").fill("4")
    page.get_by_label("Trials").fill("3")
    page.get_by_label("Window").fill("200ms")
    page.get_by_role("button", name="Start").click()


def test_a_tune_is_started_watched_and_applied(tab: Watched, serving: Client) -> None:
    page = tab.open(f"/console/registry/modelversion/?q={NAME}")
    page.get_by_role("link", name=f"{NAME} v1", exact=True).click()
    begin(page)
    page.evaluate("window.loadedOnce = true")
    trials = page.get_by_role("region", name="Trials").first.get_by_role("row")
    expect(trials.nth(1)).to_contain_text("delay 50 ms", timeout=TUNED_MS)
    assert page.evaluate("window.loadedOnce"), "it moved without the page being loaded again"

    apply = page.get_by_role("link", name="Apply", exact=True)
    expect(apply).to_be_visible(timeout=TUNED_MS)
    front = page.get_by_role("region", name="Pareto front")
    expect(front.get_by_text("chosen", exact=True)).to_have_count(1)
    changes = page.get_by_role("region", name="What changes")
    expect(changes.get_by_text('"max_queue_delay_microseconds": 50000')).to_be_visible()
    number = int(page.url.rstrip("/").split("/")[-2])
    found = serving.tune(number).raw["result"]["overrides"]
    apply.click()
    expect(page.get_by_text(f"Serve {NAME}:1 on {NAME} as tune")).to_be_visible()
    page.get_by_role("button", name="Apply", exact=True).click()
    page.wait_for_url("**/console/endpoints/endpoint/**")
    [arm] = serving.policy(NAME).document["arms"]
    assert arm["overrides"] == found
