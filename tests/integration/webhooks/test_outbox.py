"""The outbox: who is told of what, in the transaction of the deed, and what is documented."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from jsonschema import Draft202012Validator

from control_plane import wiring
from control_plane.access.services import issue_token, revoke_token
from control_plane.domain.planning.reconcile import Decision, Status
from control_plane.domain.webhooks import payload
from control_plane.domain.webhooks.catalogue import BY_NAME
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.services import create_endpoint, delete_endpoint
from control_plane.endpoints.telling import tell_condition
from control_plane.fleet.models import Server
from control_plane.fleet.services import heartbeat, notice_lost_servers, register_server
from control_plane.registry.services import create_model, delete_model
from control_plane.webhooks.models import Delivery, State, Webhook
from control_plane.webhooks.outbox import tell
from control_plane.webhooks.services import delete_webhook
from tests.integration.webhooks.conftest import Hooks
from tests.support.fakes import FakeQueue

Commits = Callable[..., Any]


def told(**which: Any) -> list[str]:
    rows = Delivery.objects.filter(**which).order_by("created_at", "event")
    return list(rows.values_list("event", flat=True))


def test_a_deed_is_told_in_its_transaction_to_those_who_want_it(hooks: Hooks) -> None:
    wanting = hooks.make("wanting", events=["model.*"])
    everything = hooks.make("everything", names=["digits"])
    hooks.make("other", events=["version.*"])
    hooks.make("elsewhere", names=["letters"])
    hooks.make("off", enabled=False)
    with transaction.atomic():
        create_model(name="digits", actor="ada")
        assert len(told()) == 2
        transaction.set_rollback(True)
    assert told() == []
    create_model(name="digits", actor="ada")
    rows = Delivery.objects.all()
    assert {row.webhook_id for row in rows} == {wanting.id, everything.id}
    assert len({row.event_id for row in rows}) == 1, "one event has one id, whoever is told"
    [body] = {row.body for row in rows}
    document = json.loads(body)
    Draft202012Validator(payload.schema(BY_NAME["model.created"])).validate(document)
    assert document["data"]["actor"] == "ada"
    assert document["id"] == rows[0].event_id


def test_the_workers_are_told_after_the_commit(
    hooks: Hooks, django_capture_on_commit_callbacks: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = FakeQueue()
    monkeypatch.setattr(wiring, "queue", lambda: queue)
    webhook = hooks.make()
    with django_capture_on_commit_callbacks(execute=True):
        create_model(name="digits", actor="ada")
        assert queue.deliveries == []
    assert queue.deliveries == [webhook.id]
    with django_capture_on_commit_callbacks() as callbacks:
        Webhook.objects.update(events=["version.*"])
        create_model(name="letters", actor="ada")
    assert callbacks == [], "nobody wants it"


def test_a_broker_that_is_down_fails_no_deed(
    hooks: Hooks, django_capture_on_commit_callbacks: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Down(FakeQueue):
        def deliver(self, **_: Any) -> None:
            raise ConnectionError("no broker")

    monkeypatch.setattr(wiring, "queue", Down)
    hooks.make()
    with django_capture_on_commit_callbacks(execute=True):
        create_model(name="digits", actor="ada")
    assert told(state=State.PENDING) == ["model.created"]


def test_what_outsiders_do_not_care_about_is_not_told(hooks: Hooks) -> None:
    webhook = hooks.make()
    hooks.make("second")
    delete_webhook(name="second", actor="ada")
    assert told(webhook=webhook) == []


def test_deeds_of_all_kinds_fit_their_schemas(hooks: Hooks) -> None:
    hooks.make()
    queue, now, user = FakeQueue(), hooks.now, User.objects.create_user("ada")
    create_model(name="digits", actor="ada")
    create_endpoint(name="digits", actor="ada", queue=queue, print_config=wiring.print_config)
    register_server(
        name="lab", http="h:1", grpc="h:2", metrics="http://h:3", accelerator="cpu", actor="ada"
    )
    token = issue_token(user=user, name="nightly", actor="ada", now=now)[0]
    revoke_token(token=token, actor="ada", now=now)
    delete_endpoint(name="digits", actor="ada", queue=queue, clock=hooks.clock)
    delete_model(name="digits", actor="ada")
    for row in Delivery.objects.all():
        Draft202012Validator(payload.schema(BY_NAME[row.event])).validate(json.loads(row.body))
    assert sorted(told()) == sorted(
        [
            *("model.created", "endpoint.created", "server.registered", "token.created"),
            *("token.revoked", "endpoint.deleted", "model.deleted"),
        ]
    )


def test_a_condition_is_told_once_until_it_changes(hooks: Hooks) -> None:
    hooks.make(events=["revision.*"])
    create_endpoint(name="e", actor="ada", queue=FakeQueue(), print_config=wiring.print_config)

    def found(status: Status, generation: int, *, refused: bool = False) -> None:
        endpoint = Endpoint.objects.get()
        if endpoint.generation != generation:
            Endpoint.objects.update(generation=generation, policy={})
            endpoint.refresh_from_db()
        with transaction.atomic():
            decision = Decision(status, "so it is", refused=refused)
            tell_condition(endpoint, decision, timezone.now())

    for _ in range(2):
        found(Status.PROGRESSING, 1)
        found(Status.HEALTHY, 1)
    assert told() == ["revision.healthy"]
    found(Status.DEGRADED, 1)
    found(Status.PROGRESSING, 1)
    found(Status.DEGRADED, 1)
    found(Status.HEALTHY, 1)
    found(Status.HEALTHY, 2)
    found(Status.DEGRADED, 3, refused=True)
    found(Status.UNCONFIGURED, 3)
    assert told() == [
        *("revision.healthy", "revision.degraded", "revision.healthy"),
        *("revision.healthy", "revision.failed"),
    ]
    last = json.loads(Delivery.objects.order_by("-created_at")[0].body)
    Draft202012Validator(payload.schema(BY_NAME["revision.failed"])).validate(last)
    assert last["data"]["generation"] == 3
    assert last["data"]["reason"] == "so it is"
    Endpoint.objects.update(deleted_at=timezone.now())
    found(Status.DEGRADED, 3)
    assert len(told()) == 5, "what is being removed has no condition"


def test_a_server_is_lost_once_and_comes_back_once(hooks: Hooks) -> None:
    hooks.make(events=["server.lost", "server.back"])
    for name in ("lab", "never-seen"):
        Server.objects.create(name=name, http="h:1", grpc="h:2", metrics="http://h:3")

    def alive() -> None:
        assert heartbeat(
            name="lab", now=hooks.now, ready=True, reason="", triton_version="2", held=[]
        )

    alive()
    assert notice_lost_servers(now=hooks.now + timedelta(seconds=14)) == 0
    hooks.clock.pass_time(seconds=15)
    assert notice_lost_servers(now=hooks.now) == 1
    hooks.clock.pass_time(seconds=15)
    assert notice_lost_servers(now=hooks.now) == 0
    alive()
    alive()
    assert told() == ["server.lost", "server.back"]
    for row in Delivery.objects.all():
        Draft202012Validator(payload.schema(BY_NAME[row.event])).validate(json.loads(row.body))
        assert json.loads(row.body)["data"]["server"] == "lab"


@pytest.mark.django_db(transaction=True)
def test_a_webhook_that_is_deleted_at_this_moment_fails_no_deed(hooks: Hooks) -> None:
    """The row is looked at, deleted by somebody else, and then written for."""
    hooks.make()
    from control_plane.webhooks import outbox

    plain = outbox._wanting

    def deleted_meanwhile(event: str) -> list[Webhook]:
        found = plain(event)
        Webhook.objects.all().delete()
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, "_wanting", deleted_meanwhile)
        with transaction.atomic():
            tell("server.lost", at=hooks.now, subject={"server": "lab"}, reason="gone")
    assert told() == []
