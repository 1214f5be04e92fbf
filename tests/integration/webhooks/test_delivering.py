"""Deliveries to a real receiver: verified as it would, retried, given up, sent again."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from control_plane.audit.models import AuditEvent
from control_plane.console.webhook_page import webhook_context
from control_plane.domain.violations import ConflictError
from control_plane.domain.webhooks.retrying import ATTEMPTS
from control_plane.registry.services import create_model
from control_plane.webhooks.delivering import LEASE, sweep
from control_plane.webhooks.forgetting import KEPT_FOR, forget_old_deliveries
from control_plane.webhooks.models import Delivery, State, Webhook
from control_plane.webhooks.pinging import ping
from control_plane.webhooks.selectors import deliveries_of, in_trouble
from control_plane.webhooks.services import (
    Wish,
    redeliver,
    rotate_secret,
    update_webhook,
)
from nereid import webhooks as sdk
from tests.integration.webhooks.conftest import HERE, Hooks
from tests.support.fakes import FakeClock
from tests.support.receiver import Received, saying


@pytest.fixture
def hooks(hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> Hooks:
    """With the time of day: the receiver's own library compares timestamps with it."""
    from django.utils import timezone

    start = timezone.now().replace(microsecond=0)
    hooks.clock._now = start
    return hooks


def verified(received: Received, secret: str) -> Any:
    """What a receiver makes of it, with the specification's own library and with our SDK."""
    document = Verifier(secret).verify(received.body, received.headers)
    assert sdk.verify(received.headers, received.body, secret) == document
    return document


def event(hooks: Hooks, name: str = "digits") -> None:
    create_model(name=name, actor="ada")
    Delivery.objects.filter(state=State.PENDING, tries=0).update(due_at=hooks.now)


def test_a_delivery_is_signed_verified_and_logged(hooks: Hooks) -> None:
    webhook = hooks.make()
    event(hooks)
    assert hooks.work(webhook) == 1
    [received] = hooks.receiver.got
    document = verified(received, hooks.secrets["deploys"])
    assert document["type"] == "model.created"
    assert received.headers["webhook-id"] == document["id"]
    assert received.headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        Verifier("whsec_" + "A" * 43 + "=").verify(received.body, received.headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(hooks.secrets["deploys"]).verify(received.body + b" ", received.headers)
    delivery = hooks.only()
    assert (delivery.state, delivery.tries, delivery.due_at) == (State.DELIVERED, 1, None)
    attempt = delivery.attempts.get()
    assert (attempt.status, attempt.error) == (204, "")
    assert hooks.work(webhook) == 0


def test_the_secret_is_not_in_the_table(hooks: Hooks) -> None:
    webhook = hooks.make()
    stored = bytes(Webhook.objects.get(pk=webhook.pk).secret)
    secret = hooks.secrets["deploys"]
    assert secret.encode() not in stored
    assert secret.removeprefix("whsec_").encode() not in stored
    event_text = json.dumps(list(AuditEvent.objects.values("before", "after")))
    assert secret not in event_text


def test_two_secrets_sign_while_one_is_rotated(hooks: Hooks) -> None:
    webhook = hooks.make()
    old = hooks.secrets["deploys"]
    overlap = timedelta(hours=1)
    _, new = rotate_secret(name="deploys", actor="ada", now=hooks.now, overlap=overlap)
    event(hooks)
    hooks.work(webhook)
    for secret in (old, new):
        verified(hooks.receiver.got[0], secret)
    Webhook.objects.update(old_secret_until=hooks.now)
    event(hooks, "letters")
    hooks.work(webhook)
    verified(hooks.receiver.got[1], new)
    with pytest.raises(WebhookVerificationError):
        verified(hooks.receiver.got[1], old)
    forget_old_deliveries(hooks.now)
    assert Webhook.objects.get().old_secret is None
    _, newest = rotate_secret(name="deploys", actor="ada", now=hooks.now, overlap=timedelta())
    event(hooks, "more")
    hooks.work(webhook)
    verified(hooks.receiver.got[2], newest)
    with pytest.raises(WebhookVerificationError):
        verified(hooks.receiver.got[2], new)


def test_a_failing_receiver_is_asked_again_with_the_same_id(hooks: Hooks) -> None:
    webhook = hooks.make()
    event(hooks)
    hooks.receiver.answers = [saying(500, b"on fire"), saying(302, Location="/x"), saying(400)]
    for tries, needle in ((1, "500"), (2, "redirect"), (3, "400")):
        assert hooks.work(webhook) == 1
        delivery = hooks.only()
        assert (delivery.state, delivery.tries) == (State.PENDING, tries)
        assert needle in delivery.reason
        assert delivery.due_at is not None
        assert hooks.work(webhook) == 0, "not before its time"
        assert sweep(clock=hooks.clock, queue=hooks.queue) == 0
        hooks.clock._now = delivery.due_at
        assert sweep(clock=hooks.clock, queue=hooks.queue) == 1
    assert hooks.work(webhook) == 1
    assert hooks.only().state == State.DELIVERED
    assert len({received.headers["webhook-id"] for received in hooks.receiver.got}) == 1
    assert len({received.body for received in hooks.receiver.got}) == 1
    assert [a.status for a in hooks.only().attempts.all()] == [500, 302, 400, 204]
    assert hooks.only().attempts.all()[0].answer == "on fire"
    webhook.refresh_from_db()
    assert (webhook.failures, webhook.failing_since) == (0, None)


def test_a_receiver_that_says_when_is_left_alone_until_then(hooks: Hooks) -> None:
    webhook = hooks.make()
    event(hooks)
    event(hooks, "letters")
    hooks.receiver.answers = [saying(429, Retry_After="600")]
    assert hooks.work(webhook) == 1, "nor is it asked about the other event"
    began = hooks.now
    assert sweep(clock=hooks.clock, queue=hooks.queue) == 0
    hooks.clock.pass_time(seconds=599)
    assert hooks.work(webhook) == 0
    hooks.clock.pass_time(seconds=1)
    assert sweep(clock=hooks.clock, queue=hooks.queue) == 1
    assert hooks.work(webhook) == 2
    assert min(r.due_at or began for r in Delivery.objects.all()) == began


def test_410_ends_it(hooks: Hooks) -> None:
    webhook = hooks.make()
    event(hooks)
    event(hooks, "letters")
    hooks.receiver.answers = [saying(410)]
    assert hooks.work(webhook) == 1
    webhook.refresh_from_db()
    assert not webhook.enabled
    assert "410" in webhook.disabled_reason
    assert list(in_trouble()) == [webhook]
    states = sorted(Delivery.objects.values_list("state", flat=True))
    assert states == [State.ABANDONED, State.FAILED]
    assert AuditEvent.objects.get(action="webhook.disable").actor == "nereid"
    event(hooks, "more")
    assert Delivery.objects.count() == 2, "it is told of nothing more"


def run_out(hooks: Hooks, webhook: Webhook) -> None:
    for _ in range(ATTEMPTS):
        pending = Delivery.objects.filter(state=State.PENDING).order_by("due_at").first()
        assert pending is not None
        hooks.clock._now = max(hooks.now, pending.due_at)
        assert hooks.work(webhook) == 1


def test_one_that_keeps_failing_is_disabled_with_its_reason(hooks: Hooks) -> None:
    webhook = hooks.make()
    event(hooks)
    began = hooks.now
    hooks.receiver.always = saying(404)
    run_out(hooks, webhook)
    assert timedelta(hours=18) < hooks.now - began < timedelta(hours=30)
    assert hooks.only().state == State.FAILED
    webhook.refresh_from_db()
    assert not webhook.enabled
    assert "nothing arrived for 10 attempts" in webhook.disabled_reason
    assert "404" in webhook.disabled_reason
    with pytest.raises(ConflictError, match="disabled"):
        redeliver(delivery=hooks.only(), actor="ada", now=hooks.now)
    with pytest.raises(ConflictError, match="disabled"):
        ping(name="deploys", actor="ada", now=hooks.now)
    wish = Wish(enabled=True)
    update_webhook(name="deploys", wish=wish, actor="ada", now=hooks.now, allowed=HERE)
    hooks.receiver.always = None
    first = hooks.receiver.got[0].headers["webhook-id"]
    redeliver(delivery=hooks.only(), actor="ada", now=hooks.now)
    with pytest.raises(ConflictError, match="on its way"):
        redeliver(delivery=hooks.only(), actor="ada", now=hooks.now)
    assert hooks.work(webhook) == 1
    assert hooks.only().state == State.DELIVERED
    assert hooks.receiver.got[-1].headers["webhook-id"] == first
    assert hooks.only().attempts.count() == ATTEMPTS + 1
    assert list(in_trouble()) == []


def test_one_event_that_nobody_can_take_does_not_end_a_receiver_that_works(hooks: Hooks) -> None:
    webhook = hooks.make()
    event(hooks)
    hooks.receiver.answers = [saying(400)]
    assert hooks.work(webhook) == 1
    event(hooks, "letters")
    assert hooks.work(webhook) == 1, "the other event arrives meanwhile"
    hooks.receiver.always = saying(400)
    for _ in range(ATTEMPTS - 1):
        hooks.clock._now = Delivery.objects.get(state=State.PENDING).due_at or hooks.now
        assert hooks.work(webhook) == 1
    assert sorted(Delivery.objects.values_list("state", flat=True)) == ["delivered", "failed"]
    webhook.refresh_from_db()
    assert webhook.enabled


def test_switched_off_by_hand_abandons_what_is_on_its_way(hooks: Hooks) -> None:
    webhook = hooks.make()
    event(hooks)
    off = Wish(enabled=False)
    update_webhook(name="deploys", wish=off, actor="ada", now=hooks.now, allowed=HERE)
    assert (hooks.only().state, hooks.only().reason) == (State.ABANDONED, "switched off by ada")
    assert list(in_trouble()) == [], "whoever switched it off knows"
    # Written by a deed that began before.
    Delivery.objects.update(state=State.PENDING, due_at=hooks.now, ended_at=None)
    assert hooks.work(webhook) == 1
    assert hooks.receiver.got == []
    assert hooks.only().state == State.ABANDONED


def test_a_server_that_lost_its_own_secret_says_so(hooks: Hooks, settings: Any) -> None:
    webhook = hooks.make()
    event(hooks)
    settings.SECRET_KEY = "another"
    hooks.work(webhook)
    webhook.refresh_from_db()
    assert "rotate it" in webhook.disabled_reason
    assert hooks.receiver.got == []


@pytest.mark.django_db(transaction=True)
def test_one_worker_at_a_time_and_a_dead_ones_lease_ends(hooks: Hooks) -> None:
    webhook = hooks.make()
    event(hooks)
    Webhook.objects.update(lease_owner="killed", lease_expires_at=hooks.now + LEASE)
    assert hooks.work(webhook) == 0
    assert sweep(clock=hooks.clock, queue=hooks.queue) == 0
    hooks.clock.pass_time(seconds=LEASE.total_seconds())
    assert sweep(clock=hooks.clock, queue=hooks.queue) == 1
    assert hooks.work(webhook) == 1
    webhook.refresh_from_db()
    assert webhook.lease_expires_at is None


@pytest.mark.django_db(transaction=True)
def test_a_slow_receiver_delays_nobody_else(hooks: Hooks) -> None:
    """Its worker is stuck in a POST; a second one is not, and the other webhook is served."""
    slow = hooks.make("slow", url=hooks.receiver.url + "/slow")
    quick = hooks.make("quick")
    answered = threading.Event()

    def hang(request: Any) -> None:
        if request.path.endswith("/slow"):
            answered.wait(20)
        saying(204)(request)

    hooks.receiver.always = hang
    event(hooks)

    def stuck() -> None:
        hooks.work(slow, timeout_s=20)
        connection.close()

    worker = threading.Thread(target=stuck)
    worker.start()
    hooks.receiver.wait_for(1)
    assert hooks.work(slow) == 0, "a second worker leaves it alone at once"
    assert hooks.work(quick) == 1
    assert Delivery.objects.get(webhook=quick).state == State.DELIVERED
    assert Delivery.objects.get(webhook=slow).state == State.PENDING
    answered.set()
    worker.join()
    assert Delivery.objects.get(webhook=slow).state == State.DELIVERED


def test_a_ping_comes_whatever_is_wanted(hooks: Hooks) -> None:
    webhook = hooks.make(events=["server.*"], names=["digits"])
    delivery = ping(name="deploys", actor="ada", now=hooks.now)
    assert hooks.work(webhook) == 1
    document = verified(hooks.receiver.got[0], hooks.secrets["deploys"])
    assert (document["type"], document["data"]["actor"]) == ("webhook.ping", "ada")
    assert document["id"] == delivery.event_id


def test_a_url_that_came_to_lead_inside_is_refused_at_sending(
    hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    from control_plane.adapters.receivers import HttpReceivers
    from control_plane.domain.webhooks.addresses import Allowed
    from control_plane.webhooks.delivering import deliver

    webhook = hooks.make(url="http://localhost:1/")
    event(hooks)
    nothing = HttpReceivers(Allowed())
    clock: FakeClock = hooks.clock
    assert deliver(webhook_id=webhook.id, clock=clock, queue=hooks.queue, receivers=nothing) == 1
    assert "no public address" in hooks.only().reason
    assert hooks.only().attempts.get().status is None


def test_payloads_are_read_for_no_list_and_no_forgetting(hooks: Hooks, admin_user: Any) -> None:
    webhook = hooks.make()
    event(hooks)
    hooks.work(webhook)
    with CaptureQueriesContext(connection) as seen:
        assert [row.event for row in deliveries_of(webhook)] == ["model.created"]
        shown = webhook_context(admin_user, webhook)
        assert [row.webhook_id for row in shown["deliveries"]] == [webhook.id]
        assert shown["last"].event == "model.created"
        assert forget_old_deliveries(hooks.now + KEPT_FOR) == 1
    assert not [query["sql"] for query in seen if '"body"' in query["sql"]]


def test_the_log_has_an_end(hooks: Hooks) -> None:
    webhook = hooks.make()
    event(hooks)
    hooks.work(webhook)
    event(hooks, "letters")
    assert forget_old_deliveries(hooks.now + KEPT_FOR - timedelta(seconds=1)) == 0
    assert forget_old_deliveries(hooks.now + KEPT_FOR) == 1
    assert Delivery.objects.get().state == State.PENDING, "what is on its way stays"
