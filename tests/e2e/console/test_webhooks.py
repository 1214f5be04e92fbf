"""A webhook's life in the browser, over the running workers, to a real receiver."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from nereid import webhooks
from tests.e2e.console.conftest import Watched
from tests.support.receiver import receiving, saying
from tests.support.serving import ServingStack

DELIVERED_MS = 20_000


def test_a_webhook_is_made_tested_and_its_deliveries_sent_again(
    tab: Watched, serving_stack: ServingStack
) -> None:
    with receiving() as receiver:
        page = tab.open("/console/webhooks/webhook/add/")
        page.get_by_label("Name").fill("browser")
        page.get_by_label("URL").fill(receiver.url)
        page.get_by_label("Events").fill("alias.* nothing.*")
        page.get_by_label("Only about").fill("digits")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("'nothing.*' is no event")).to_be_visible()
        page.get_by_label("Events").fill("alias.*")
        page.get_by_role("button", name="Save").click()
        secret = page.locator("#secret").inner_text()
        page.get_by_role("link", name="I have copied it").click()

        receiver.answers = [saying(500, b"not yet")]
        page.get_by_role("link", name="Send a test").click()
        page.get_by_role("button", name="Send a test").click()
        # By itself: the worker tries, the receiver says no, and the sweep finds it again.
        log = page.get_by_role("region", name="Deliveries")
        expect(log.get_by_text("delivered", exact=True)).to_be_visible(timeout=DELIVERED_MS)
        assert len({received.headers["webhook-id"] for received in receiver.got}) == 1

        with serving_stack.client() as client:
            put = client.put("/models/digits/aliases/told/", json={"version": 1})
            assert put.status_code in (200, 201)
            assert client.delete("/models/digits/aliases/told/").status_code == 204
        got = receiver.wait_for(4)
        told = [webhooks.verify(one.headers, one.body, secret) for one in got]
        types = [event["type"] for event in told]
        assert types == ["webhook.ping", "webhook.ping", "alias.set", "alias.deleted"]
        assert told[2]["data"]["version"] == 1

        log.get_by_role("link", name="alias.deleted").click(timeout=DELIVERED_MS)
        expect(page.get_by_role("cell", name="204")).to_be_visible()
        expect(page.get_by_text('"type": "alias.deleted"')).to_be_visible()
        here = page.url
        page.get_by_role("link", name="browser", exact=True).click()
        log.get_by_role("link", name="webhook.ping").click()
        expect(page.get_by_role("cell", name="500", exact=True)).to_be_visible()
        expect(page.get_by_text("not yet")).to_be_visible()
        page.goto(here)
        page.get_by_role("link", name="Send again").click()
        page.get_by_role("button", name="Send again").click()
        expect(page.get_by_text("alias.deleted is on its way again")).to_be_visible()
        again = receiver.wait_for(5)
        assert again[4].headers["webhook-id"] == again[3].headers["webhook-id"]

    page = tab.open("/console/webhooks/webhook/")
    page.get_by_role("link", name="browser").click()
    page.get_by_role("link", name=re.compile("^Delete")).click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Webhook browser was deleted.")).to_be_visible()
