"""Webhooks over the API: made, changed, tested, rotated, looked at, sent again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from control_plane import wiring
from control_plane.adapters.receivers import HttpReceivers
from control_plane.audit.models import AuditEvent
from control_plane.domain.webhooks.addresses import Allowed
from control_plane.domain.webhooks.catalogue import TYPES
from control_plane.webhooks.delivering import deliver
from control_plane.webhooks.models import Webhook
from nereid import webhooks as sdk
from tests.integration.api.conftest import Api
from tests.integration.api.test_registry_api import problem
from tests.support.fakes import FakeQueue
from tests.support.receiver import receiving, saying

HERE = Allowed.of("127.0.0.1")


@pytest.fixture(autouse=True)
def this_machine_is_allowed(settings: Any) -> None:
    settings.NEREID_WEBHOOK_ALLOW = HERE


def make(api: Api, **fields: Any) -> dict[str, Any]:
    body = {"name": "deploys", "url": "https://hooks.example.com/x", "events": ["*"], **fields}
    response = api.post("webhooks/", body)
    assert response.status_code == 201, response.content
    assert response["Cache-Control"] == "no-store"
    assert response["Location"].endswith("/api/v1/webhooks/deploys")
    document: dict[str, Any] = response.json()
    return document


def work() -> None:
    receivers, queue = HttpReceivers(HERE, timeout_s=2), FakeQueue()
    webhook_id = Webhook.objects.get().id
    deliver(webhook_id=webhook_id, clock=wiring.clock(), queue=queue, receivers=receivers)


def test_the_secret_is_shown_once(api: Api) -> None:
    made = make(api, names=["digits"])
    assert made["secret"].startswith("whsec_")
    assert (made["state"], made["names"], made["events"]) == ("enabled", ["digits"], ["*"])
    for path in ("webhooks/", "webhooks/deploys/", "audit/"):
        assert made["secret"] not in api.get(path).content.decode()
    event = AuditEvent.objects.get(action="webhook.create")
    assert event.after == {
        "url": made["url"],
        "events": ["*"],
        "names": ["digits"],
        "enabled": True,
    }
    problem(api.post("webhooks/", {"name": "deploys", "url": "https://x.y/", "events": ["*"]}), 409)


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"name": "A b"}, "/name"),
        ({"name": 7}, "/name"),
        ({"url": "ftp://x/"}, "/url"),
        ({"url": "http://169.254.169.254/latest/"}, "/url"),
        ({"url": "http://[::1]/"}, "/url"),
        ({"url": "https://x/\r\nHost: y"}, "/url"),
        ({"url": "https://x/" + "a" * 2000}, "/url"),
        ({"url": None}, "/url"),
        ({"events": []}, "/events"),
        ({"events": "*"}, "/events"),
        ({"events": ["version.*", "nothing.*"]}, "/events/1"),
        ({"events": ["*"] * 51}, "/events"),
        ({"names": ["No Name"]}, "/names/0"),
        ({"names": "digits"}, "/names"),
        ({"enabled": "perhaps"}, "/enabled"),
        ({"secret": "whsec_mine"}, "/secret"),
    ],
)
def test_what_makes_no_webhook(api: Api, fields: dict[str, Any], pointer: str) -> None:
    body = {"name": "deploys", "url": "https://hooks.example.com/", "events": ["*"], **fields}
    assert pointer in problem(api.post("webhooks/", body), 400)
    assert Webhook.objects.count() == 0
    if "name" not in fields:
        make(api)
        assert pointer in problem(api.call("patch", "webhooks/deploys/", fields), 400)


def test_it_is_changed_on_condition_and_deleted(api: Api) -> None:
    make(api, names=["digits"])
    tag = api.get("webhooks/deploys/")["ETag"]
    changed = api.call("patch", "webhooks/deploys/", {"names": None}, **{"If-Match": tag})
    assert changed.json()["names"] is None
    assert changed["ETag"] != tag
    problem(api.call("patch", "webhooks/deploys/", {"events": ["*"]}, **{"If-Match": tag}), 412)
    off = api.call("patch", "webhooks/deploys/", {"enabled": False}).json()
    assert (off["state"], off["disabled_reason"]) == ("disabled", "switched off by ada")
    on = api.call("patch", "webhooks/deploys/", {"enabled": True}).json()
    assert (on["state"], on["disabled_reason"]) == ("enabled", "")
    assert AuditEvent.objects.filter(action="webhook.update").count() == 3
    api.call("patch", "webhooks/deploys/", {"enabled": True})
    assert AuditEvent.objects.filter(action="webhook.update").count() == 3, "nothing changed"
    assert api.call("delete", "webhooks/deploys/").status_code == 204
    problem(api.get("webhooks/deploys/"), 404)
    problem(api.call("delete", "webhooks/deploys/"), 404)


def test_a_test_is_looked_at_and_sent_again(api: Api) -> None:
    with receiving() as receiver:
        secret = make(api, url=receiver.url)["secret"]
        sent = api.post("webhooks/deploys/test/")
        assert sent.status_code == 202
        where = sent["Location"].partition("/api/v1/")[2]
        assert api.get(where).json()["state"] == "pending"
        problem(api.post(f"{where}/redeliver/"), 409)
        receiver.answers = [saying(410, b"gone for good")]
        work()
        delivery = api.get(where).json()
        assert (delivery["state"], delivery["tries"]) == ("failed", 1)
        assert delivery["attempts"][0]["answer"] == "gone for good"
        assert delivery["payload"]["type"] == "webhook.ping"
        webhook = api.get("webhooks/deploys/").json()
        assert webhook["state"] == "disabled"
        assert "410" in webhook["disabled_reason"]
        for path in (f"{where}/redeliver/", "webhooks/deploys/test/"):
            problem(api.post(path), 409)
        api.call("patch", "webhooks/deploys/", {"enabled": True})
        assert api.post(f"{where}/redeliver/").status_code == 202
        work()
        assert api.get(where).json()["state"] == "delivered"
        for received in receiver.got:
            assert sdk.verify(received.headers, received.body, secret) == delivery["payload"]


def test_deliveries_are_listed_and_narrowed(api: Api) -> None:
    make(api)
    api.post("models/", {"name": "digits"})
    api.post("webhooks/deploys/test/")

    def listed(query: str) -> list[str]:
        rows = api.get(f"webhooks/deploys/deliveries/{query}").json()["results"]
        return [row["event"] for row in rows]

    assert listed("") == ["webhook.ping", "model.created"]
    assert listed("?event=model.created") == ["model.created"]
    assert listed("?state=delivered") == []
    problem(api.get("webhooks/deploys/deliveries/?state=lost"), 400)
    problem(api.get("webhooks/deploys/deliveries/?stat=pending"), 400)
    problem(api.get("webhooks/other/deliveries/"), 404)
    nobody = "00000000-0000-0000-0000-000000000000"
    problem(api.get(f"webhooks/deploys/deliveries/{nobody}/"), 404)
    problem(api.post(f"webhooks/deploys/deliveries/{nobody}/redeliver/"), 404)


def test_a_list_of_deliveries_takes_a_constant_number_of_queries(
    api: Api, django_assert_max_num_queries: Any
) -> None:
    make(api)
    for number in range(20):
        api.post("models/", {"name": f"m{number}"})
    with django_assert_max_num_queries(8):
        assert len(api.get("webhooks/deploys/deliveries/").json()["results"]) == 20


def test_a_secret_is_rotated(api: Api) -> None:
    old = make(api)["secret"]
    rotated = api.post("webhooks/deploys/rotate/", {"overlap": "90m"})
    assert rotated["Cache-Control"] == "no-store"
    assert rotated.json()["secret"] != old
    assert rotated.json()["old_secret_until"] is not None
    assert (
        api.post("webhooks/deploys/rotate/", {"overlap": "0s"}).json()["old_secret_until"] is None
    )
    assert api.post("webhooks/deploys/rotate/").json()["old_secret_until"] is not None
    for wrong in ("169h", "-1s", "soon", "", 5, None):
        assert "/overlap" in problem(api.post("webhooks/deploys/rotate/", {"overlap": wrong}), 400)
    said = json.dumps(list(AuditEvent.objects.values("before", "after")))
    assert "whsec_" not in said
    problem(api.post("webhooks/other/rotate/"), 404)


def test_the_catalogue_is_served_with_schemas_and_examples(api: Api) -> None:
    found = api.get("webhook-events/").json()
    assert [event["type"] for event in found] == list(TYPES)
    for event in found:
        Draft202012Validator(event["schema"]).validate(event["example"])


def test_who_reads_the_audit_record_learns_no_urls(api: Api, reader: Api) -> None:
    make(api)
    assert "hooks.example.com" in api.get("audit/").content.decode()
    assert "hooks.example.com" not in reader.get("audit/").content.decode()
