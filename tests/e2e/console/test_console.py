"""What a person does in the console, on a running stack with the sample on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc as grpcclient
from playwright.sync_api import Browser, Page, expect

from tests.e2e.console.conftest import Watched
from tests.support.serving import ServingStack

SAMPLES = Path(__file__).resolve().parents[3] / "model_repository" / "samples" / "digits"
SERVED_MS = 20_000
PAGES = (
    "/console/",
    "/console/endpoints/endpoint/",
    "/console/endpoints/revision/",
    "/console/endpoints/placement/",
    "/console/registry/model/",
    "/console/registry/modelversion/",
    "/console/registry/modelversion/add/",
    "/console/registry/artifact/",
    "/console/fleet/server/",
    "/console/audit/auditevent/",
    "/console/access/apitoken/",
    "/console/webhooks/webhook/",
    "/console/webhooks/webhook/add/",
    "/console/webhooks/delivery/",
    "/console/auth/user/",
    "/console/auth/group/",
)


def infer(stack: ServingStack, count: int, **headers: str) -> str:
    """Requests to the endpoint, so that there is something to observe; the last one's arm."""
    image = grpcclient.InferInput("image", [1, 1, 8, 8], "FP32")
    image.set_data_from_numpy(np.zeros((1, 1, 8, 8), dtype=np.float32))
    with grpcclient.InferenceServerClient(stack.stack["triton"]["grpc"]) as triton:
        for _ in range(count):
            result = triton.infer("digits", [image], headers=headers)
        return str(result.get_response().parameters["nereid_arm"].string_param)


def open_endpoint(tab: Watched) -> Page:
    page = tab.open("/console/")
    page.get_by_role("link", name="digits", exact=True).first.click()
    expect(page.get_by_role("heading", name="Revisions")).to_be_visible()
    return page


def set_weights(page: Page, *weights: str) -> None:
    for i, weight in enumerate(weights):
        page.get_by_label("Weight, %").nth(i).fill(weight)


@pytest.fixture
def one_arm(serving_stack: ServingStack) -> Iterator[None]:
    """All requests go to version 1, as the sample leaves it."""
    yield
    with serving_stack.client() as client:
        arms = [{"model": "digits", "version": 1, "weight": 100, "primary": True}]
        answer = client.put(
            "/endpoints/digits/policy/", json={"arms": arms}, headers={"If-Match": "*"}
        )
        assert answer.status_code == 202

        def healthy() -> bool:
            return bool(client.get("/endpoints/digits/").json()["status"] == "Healthy")

        serving_stack.wait_for(healthy, 20, "digits to be healthy again")


def test_the_home_page_follows_the_traffic_by_itself(
    tab: Watched, serving_stack: ServingStack
) -> None:
    page = tab.open("/console/")
    card = page.locator("article").filter(
        has=page.get_by_role("heading", name="digits", exact=True)
    )
    expect(card.get_by_text("Healthy")).to_be_visible()
    page.evaluate("window.loadedOnce = true")
    infer(serving_stack, 40)
    bar = card.get_by_role("img", name=re.compile("observed split"))
    # Scraped every few seconds; two scrapes are needed for a difference.
    while not bar.is_visible():
        infer(serving_stack, 10)
        page.wait_for_timeout(500)
    # Other tests' requests, arms and failures of the last minute may stand here too.
    cells = card.get_by_role("row", name=re.compile("digits-v1")).get_by_role("cell")
    expect(cells.nth(3)).to_have_text(re.compile(r"^[1-9]\d*$"))  # requests
    expect(cells.nth(4)).to_have_text(re.compile(r"^\d+$"))  # failed
    expect(cells.nth(6)).to_have_text(re.compile(r"^[\d.]+ (µs|ms|s)$"))  # p99
    assert page.evaluate("window.loadedOnce"), "the page was not loaded again"


def test_a_policy_is_edited_previewed_applied_and_rolled_back(
    tab: Watched, serving_stack: ServingStack, one_arm: None
) -> None:
    page = open_endpoint(tab)
    page.get_by_role("link", name="Edit policy").click()
    page.get_by_role("button", name="Add arm").click()
    page.get_by_label("Version").nth(1).select_option("digits:2")
    set_weights(page, "90", "25.5")
    expect(page.locator("[data-total]")).to_have_text("115.5 %: 15.5 % too much")
    page.get_by_role("button", name="Give the rest to the primary").click()
    expect(page.get_by_label("Weight, %").first).to_have_value("74.5")
    expect(page.locator("[data-total]")).to_have_text("100 %")
    expect(page.get_by_role("button", name="Apply")).to_have_count(0)

    page.get_by_role("button", name="Preview plan").click()
    expect(page.get_by_role("heading", name="What applying this does")).to_be_visible()
    expect(page.locator(".n-diff .n-add", has_text="slots 0:7450 1:2550")).to_be_visible()
    set_weights(page, "60", "40")
    expect(page.get_by_role("button", name="Apply")).to_have_count(0)
    page.get_by_role("button", name="Preview plan").click()
    page.get_by_label("Why").fill("a trial")
    page.get_by_role("button", name="Apply").click()
    # The endpoint's page follows the change until it serves.
    live = page.locator("#endpoint-live")
    expect(live.get_by_text("Healthy")).to_be_visible(timeout=SERVED_MS)
    expect(live.get_by_role("row", name=re.compile("digits-v2.*40 %"))).to_be_visible()
    infer(serving_stack, 20)

    page.get_by_role("link", name="Roll back").click()
    expect(page.get_by_text(re.compile("Take digits back to revision"))).to_be_visible()
    page.get_by_role("button", name="Roll back").click()
    expect(live.get_by_role("row", name=re.compile("digits-v2"))).to_have_count(0)
    expect(live.get_by_text("Healthy")).to_be_visible(timeout=SERVED_MS)


def apply(page: Page) -> None:
    """Preview, apply, and wait on the endpoint's page until it serves."""
    page.get_by_role("button", name="Preview plan").click()
    page.get_by_role("button", name="Apply").click()
    live = page.locator("#endpoint-live")
    expect(live.get_by_text("Healthy")).to_be_visible(timeout=SERVED_MS)


def test_a_rule_is_added_in_the_browser_and_in_force_in_triton(
    tab: Watched, serving_stack: ServingStack, one_arm: None
) -> None:
    page = open_endpoint(tab)
    page.get_by_role("link", name="Edit policy").click()
    page.get_by_role("button", name="Add arm").click()
    page.get_by_label("Version").nth(1).select_option("digits:2")
    page.get_by_label("Name", exact=True).nth(1).fill("tester")
    set_weights(page, "100", "0")

    page.get_by_text("Who stays where").click()
    page.get_by_label("Stay together by").select_option("header")
    page.get_by_label("Its name").fill("x-user-id")
    page.get_by_text("Rules", exact=True).click()
    page.get_by_role("button", name="Add rule").click()
    page.get_by_label("named").fill("x-tenant-id")
    page.get_by_label("has a value that").select_option("in")
    page.get_by_label("Values, one a line").fill("acme\nglobex")
    page.get_by_label("go to").select_option(label="tester")
    expect(page.get_by_text("edited: the preview says it in words")).to_have_count(2)
    apply(page)

    words = page.get_by_label("The policy in words")
    expect(words.get_by_text("header:x-tenant-id in 'acme', 'globex' to tester")).to_be_visible()
    expect(words.get_by_text("by header:x-user-id")).to_be_visible()
    assert infer(serving_stack, 1, **{"x-tenant-id": "globex"}).startswith("digits.v2.")
    assert infer(serving_stack, 1, **{"x-tenant-id": "initech"}).startswith("digits.v1.")

    # What was set stays set when only a weight is changed.
    page.get_by_role("link", name="Edit policy").click()
    set_weights(page, "99", "1")
    apply(page)
    expect(words.get_by_text("header:x-tenant-id in 'acme', 'globex' to tester")).to_be_visible()
    assert infer(serving_stack, 1, **{"x-tenant-id": "acme"}).startswith("digits.v2.")


def test_what_leads_to_an_arm_notices_in_the_browser_that_it_is_removed(tab: Watched) -> None:
    page = open_endpoint(tab)
    page.get_by_role("link", name="Edit policy").click()
    page.get_by_role("button", name="Add arm").click()
    page.get_by_text("Rules", exact=True).click()
    page.get_by_role("button", name="Add rule").click()
    go_to = page.get_by_label("go to")
    go_to.select_option(label="the new arm")
    page.get_by_label("Name", exact=True).nth(1).fill("short-lived")
    expect(go_to.locator("option:checked")).to_have_text("short-lived")
    page.get_by_role("button", name="Remove this arm").nth(1).click()
    expect(go_to.locator("option:checked")).to_have_text("a removed arm: choose another")
    page.get_by_role("button", name="Add arm").click()
    expect(go_to.locator("option:checked")).to_have_text("a removed arm: choose another")


def test_the_order_of_rules_can_be_changed(tab: Watched) -> None:
    page = open_endpoint(tab)
    page.get_by_role("link", name="Edit policy").click()
    page.get_by_text("Rules", exact=True).click()
    for name in ("x-user-first", "x-user-second"):
        page.get_by_role("button", name="Add rule").click()
        page.get_by_label("named").last.fill(name)
    expect(page.get_by_role("button", name="Move this rule up").first).to_be_disabled()
    page.get_by_role("button", name="Move this rule up").last.click()
    expect(page.get_by_label("named").first).to_have_value("x-user-second")
    page.get_by_role("button", name="And…").first.click()
    expect(page.get_by_label("named")).to_have_count(3)
    page.get_by_role("button", name="Remove this condition").first.click()
    page.get_by_role("button", name="Remove this rule").last.click()
    expect(page.get_by_label("named")).to_have_count(1)


def test_the_kill_switch_asks_acts_and_is_undone(
    tab: Watched, serving_stack: ServingStack, one_arm: None
) -> None:
    with serving_stack.client() as client:
        arms = [
            {"model": "digits", "version": 1, "weight": 0, "primary": True},
            {"model": "digits", "version": 2, "weight": 100},
        ]
        put = {"json": {"arms": arms}, "headers": {"If-Match": "*"}}
        assert client.put("/endpoints/digits/policy/", **put).status_code == 202
    page = open_endpoint(tab)
    live = page.locator("#endpoint-live")
    expect(live.get_by_text("Healthy")).to_be_visible(timeout=SERVED_MS)
    assert infer(serving_stack, 1).startswith("digits.v2.")

    page = tab.open("/console/")
    card = page.locator(".n-card").filter(has=page.get_by_role("link", name="digits", exact=True))
    card.get_by_role("link", name="Everything to the primary").click()
    expect(page.get_by_text("Send every request of digits to its primary?")).to_be_visible()
    page.get_by_label("Why").fill("an incident")
    page.get_by_role("button", name="Everything to the primary").click()
    expect(live.get_by_role("row", name=re.compile("digits-v1.*100 %"))).to_be_visible()
    expect(live.get_by_text("Healthy")).to_be_visible(timeout=SERVED_MS)
    assert infer(serving_stack, 1).startswith("digits.v1.")

    page.get_by_role("link", name="Roll back").last.click()
    page.get_by_role("button", name="Roll back").click()
    expect(live.get_by_role("row", name=re.compile("digits-v2.*100 %"))).to_be_visible()
    expect(live.get_by_text("Healthy")).to_be_visible(timeout=SERVED_MS)
    assert infer(serving_stack, 1).startswith("digits.v2.")


def test_a_bad_policy_is_refused_at_its_row(tab: Watched) -> None:
    page = open_endpoint(tab)
    page.get_by_role("link", name="Edit policy").click()
    page.get_by_role("button", name="Add arm").click()
    set_weights(page, "50", "50")
    page.get_by_role("button", name="Preview plan").click()
    row = page.locator("[data-arm]").nth(1)
    expect(row.get_by_role("alert")).to_contain_text("choose a version")
    expect(page.get_by_label("Weight, %").nth(1)).to_have_value("50")
    # The browser says on its console that the answer was 400, which it is.
    tab.troubles = [text for text in tab.troubles if "400" not in text]


def test_a_version_is_uploaded_and_becomes_ready(tab: Watched) -> None:
    page = tab.open("/console/registry/model/")
    page.get_by_role("link", name="digits", exact=True).click()
    page.get_by_role("link", name="Upload version").click()
    page.set_input_files("input[type=file]", SAMPLES / "v1/model.onnx")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="digits v3").first).to_be_visible()

    def ready() -> bool:
        page.reload()
        return page.get_by_text("ready", exact=True).first.is_visible()

    ServingStack.wait_for(ready, 30, "version 3 to be ready")
    page.get_by_role("link", name="Delete version").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("digits v3 was deleted.")).to_be_visible()


def test_a_file_that_is_no_model_is_refused_at_the_field(tab: Watched, tmp_path: Path) -> None:
    broken = tmp_path / "model.onnx"
    broken.write_bytes((SAMPLES / "v1/model.onnx").read_bytes()[:500])
    page = tab.open("/console/registry/model/")
    page.get_by_role("link", name="digits", exact=True).click()
    page.get_by_role("link", name="Upload version").click()
    page.set_input_files("input[type=file]", broken)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".errors")).to_contain_text("ONNX")


def test_a_token_is_shown_once_works_and_is_revoked(
    tab: Watched, serving_stack: ServingStack
) -> None:
    page = tab.open("/console/access/apitoken/add/")
    page.get_by_label("Name").fill("a browser's")
    page.get_by_role("button", name="Save", exact=True).click()
    token = page.locator("#token").inner_text()
    models = f"{serving_stack.api}/api/v1/models/"
    bearer = {"Authorization": f"Bearer {token}"}

    def status() -> int:
        return httpx.get(models, headers=bearer, trust_env=False).status_code

    assert status() == 200
    page.get_by_role("link", name="I have copied it").click()
    expect(page.get_by_text(token)).to_have_count(0)
    page.get_by_role("link", name="Revoke").click()
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("was revoked")).to_be_visible()
    assert status() == 401


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.long)])
def test_every_page_fits_a_phone(
    browser: Browser, session: Any, serving_stack: ServingStack, scheme: Any
) -> None:
    context = browser.new_context(
        storage_state=session, viewport={"width": 390, "height": 844}, color_scheme=scheme
    )
    watched = Watched(context.new_page(), serving_stack.api)
    home = watched.open("/console/")
    of_endpoint = home.get_by_role("link", name="digits", exact=True).get_attribute("href") or ""
    others = ("change", "policy", "kill", "try", "rollback")
    own = [of_endpoint.replace("/change/", f"/{page}/") for page in others]
    own.append(home.get_by_role("link", name="local", exact=True).get_attribute("href") or "")
    revisions = watched.open("/console/endpoints/revision/")
    newest = revisions.locator("#result_list a[href*='/change/']").first
    own.append(newest.get_attribute("href") or "")
    for path in (*PAGES, *own):
        page = watched.open(path)
        page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, f"{path} is {wide} wide"
        for button in page.locator(".n-button:visible").all():
            box = button.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= 390, f"{path}: {button.inner_text()!r} is cut"
        assert page.evaluate("document.documentElement.classList.contains('dark')") == (
            scheme == "dark"
        )
    context.close()
    assert watched.troubles == []
