"""The console's pages of webhooks: made, mended, rotated, and what was sent looked at."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from control_plane.domain.webhooks.addresses import Allowed
from control_plane.webhooks.models import Attempt, Delivery, State, Webhook
from control_plane.webhooks.services import disable
from tests.integration.console.conftest import logged_in
from tests.support.fakes import FakeClock

ADD = "admin:webhooks_webhook_add"
FIELDS = {
    "name": "deploys",
    "url": "https://hooks.example.com/x",
    "events": "version.* server.lost",
}


def page_of(record: Any, page: str = "change") -> str:
    return reverse(f"admin:webhooks_{record._meta.model_name}_{page}", args=[record.pk])


@pytest.fixture
def deploys(admin: Client) -> Webhook:
    answer = admin.post(reverse(ADD), {**FIELDS, "enabled": "on", "names": "digits, letters"})
    assert answer.status_code == 200
    return Webhook.objects.get()


def test_the_secret_is_shown_once(admin: Client) -> None:
    answer = admin.post(reverse(ADD), {**FIELDS, "enabled": "on", "names": "digits, letters"})
    found = re.search(r'id="secret">(whsec_[^<]+)<', answer.content.decode())
    assert found
    assert "no-store" in answer["Cache-Control"]
    webhook = Webhook.objects.get()
    assert (webhook.events, webhook.names) == (["version.*", "server.lost"], ["digits", "letters"])
    page = admin.get(page_of(webhook)).content.decode()
    assert found[1] not in page
    assert 'value="version.* server.lost"' in page
    rotated = admin.post(page_of(webhook, "rotate"))
    assert "whsec_" in rotated.content.decode()
    assert "no-store" in rotated["Cache-Control"]
    assert b"A secret is being rotated" in admin.get(page_of(webhook)).content


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"url": "http://127.0.0.1/"}, "no public address"),
        ({"url": "ftp://x/"}, "https://"),
        ({"events": "version.* nothing.*"}, "is no event"),
        ({"names": "No"}, "a name has"),
        ({"name": "Deploys"}, "a name has"),
    ],
)
def test_what_is_refused_is_said_at_its_field(
    admin: Client, fields: dict[str, str], words: str
) -> None:
    answer = admin.post(reverse(ADD), {**FIELDS, **fields})
    [name] = fields
    [error] = answer.context["adminform"].form.errors[name]
    assert words in error
    assert Webhook.objects.count() == 0


def test_it_is_changed_and_deleted(admin: Client, deploys: Webhook) -> None:
    form = {"url": FIELDS["url"], "events": "*", "names": ""}
    assert admin.post(page_of(deploys), form).status_code == 302
    deploys.refresh_from_db()
    assert (deploys.events, deploys.names, deploys.enabled) == (["*"], [], False)
    assert deploys.disabled_reason == "switched off by ada"
    refused = admin.post(page_of(deploys, "send_test"))
    assert b"is disabled: enable it" in refused.content
    assert admin.post(page_of(deploys, "delete")).status_code == 302
    assert not Webhook.objects.exists()


def test_a_delivery_is_looked_at_and_sent_again(admin: Client, deploys: Webhook) -> None:
    assert admin.post(page_of(deploys, "send_test")).status_code == 302
    delivery = Delivery.objects.get()
    log = admin.get(reverse("admin:live_webhook", args=[deploys.pk])).content.decode()
    assert page_of(delivery) in log
    assert "pending" in log
    assert b"Send again" not in admin.get(page_of(delivery)).content, "it is on its way"
    now = FakeClock().now()
    Attempt.objects.create(
        delivery=delivery, at=now, duration_ms=12, status=500, error="bad", answer="<script>x"
    )
    Delivery.objects.update(state=State.FAILED, due_at=None, ended_at=now)
    page = admin.get(page_of(delivery)).content.decode()
    for words in ("Send again", "12 ms", "&lt;script&gt;x", "webhook.ping", delivery.event_id):
        assert words in page
    assert "<script>x" not in page
    assert admin.post(page_of(delivery, "send_again")).status_code == 302
    delivery.refresh_from_db()
    assert delivery.state == State.PENDING


def test_one_that_its_receiver_had_disabled_needs_attention(
    admin: Client, deploys: Webhook, settings: Any
) -> None:
    settings.NEREID_WEBHOOK_ALLOW = Allowed()
    home = reverse("admin:index")
    assert b"webhook deploys" not in admin.get(home).content
    disable(deploys, "it answered 410", FakeClock().now())
    content = admin.get(home).content.decode()
    assert "webhook deploys" in content
    assert "it answered 410" in content
    viewer = logged_in("vera", "registry.view_model", "fleet.view_server", is_staff=True)
    assert b"webhook deploys" not in viewer.get(home).content


def test_the_live_part_is_for_those_who_may_look(deploys: Webhook, stranger: Client) -> None:
    there = reverse("admin:live_webhook", args=[deploys.pk])
    assert stranger.get(there).status_code == 403
    assert "HX-Redirect" in Client().get(there).headers
