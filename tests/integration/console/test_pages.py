"""Every page of every record, for those who may see it and those who may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from control_plane.analysis.templates import put_template
from control_plane.audit.models import AuditEvent
from control_plane.domain.analysis.template import DEFAULT_DOCUMENT
from control_plane.endpoints.changes import put_policy
from control_plane.endpoints.models import Endpoint, Revision
from control_plane.endpoints.services import update_endpoint
from control_plane.registry.models import Model
from control_plane.registry.pipeline_edits import put_pipeline
from control_plane.registry.profile_edits import put_profile
from control_plane.registry.services import create_model
from control_plane.rollouts.models import Rollout
from control_plane.webhooks.models import Delivery, State, Webhook
from control_plane.wiring import print_config
from tests.integration.console.conftest import logged_in, policy, ready_version
from tests.support.fakes import FakeQueue
from tests.support.perf import perf_run, recording
from tests.support.rollouts import analysing, measured, started
from tests.support.tunes import tune_record

RECORDS = (
    "registry.model",
    "registry.modelversion",
    "registry.artifact",
    "registry.pipeline",
    "endpoints.endpoint",
    "endpoints.changerequest",
    "endpoints.revision",
    "endpoints.placement",
    "rollouts.rollout",
    "analysis.analysistemplate",
    "analysis.analysisrun",
    "fleet.server",
    "tuning.perfrun",
    "tuning.tune",
    "tuning.recording",
    "audit.auditevent",
    "access.apitoken",
    "webhooks.webhook",
    "webhooks.delivery",
    "auth.user",
    "auth.group",
)
READ_ONLY = (
    "rollouts.rollout",
    "analysis.analysisrun",
    "registry.artifact",
    "registry.pipeline",
    "endpoints.revision",
    "endpoints.placement",
    "audit.auditevent",
    "webhooks.delivery",
)
LIST_QUERIES = 12


def url(record: str, page: str, *args: Any) -> str:
    return reverse(f"admin:{record.replace('.', '_')}_{page}", args=args)


def under_way(endpoint: Endpoint) -> Rollout:
    """A rollout at its first analysis, with a minute of evidence."""
    ready_version(Model.objects.get(name=endpoint.name), 3)
    rollout = analysing(started(endpoint.name, 3, queue=FakeQueue()))
    measured(rollout, began=rollout.created_at)
    return rollout


def decided_change() -> None:
    """A change that ended with the rule it waited for."""
    for four_eyes in (True, False):
        update_endpoint(name="digits", actor="ada", four_eyes=four_eyes, may_lift=True)
        if four_eyes:
            put_policy(
                name="digits",
                document=policy(70, 30),
                actor="ann",
                queue=FakeQueue(),
                print_config=print_config,
            )


@pytest.fixture
def everything(digits: Endpoint, admin: Client) -> Callable[[str], Any]:
    """One row of every record, by its name."""
    webhook = {"name": "deploys", "url": "https://hooks.example.com/", "events": "server.*"}
    admin.post(url("webhooks.webhook", "add"), {**webhook, "enabled": "on"})
    admin.post(url("webhooks.webhook", "send_test", Webhook.objects.get().pk))
    Delivery.objects.update(state=State.FAILED, due_at=None, ended_at=timezone.now())
    Group.objects.create(name="operators")
    put_profile(name="patient", document={"max_batch_size": 8}, actor="ada")
    put_pipeline(
        name="reader", document={"steps": [{"model": "digits", "version": 1}]}, actor="ada"
    )
    decided_change()
    put_template(name="strict", document={**DEFAULT_DOCUMENT, "alpha": 0.01}, actor="ada")
    under_way(digits)
    perf_run()
    tune_record()
    recording()
    admin.post(url("access.apitoken", "add"), {"name": "ci", "role": "admin", "lifetime": "30"})
    return lambda record: apps.get_model(record).objects.first()


@pytest.mark.parametrize("record", RECORDS)
def test_list_and_page_answer_to_an_admin(
    record: str, admin: Client, everything: Callable[[str], Any]
) -> None:
    assert admin.get(url(record, "changelist")).status_code == 200
    assert admin.get(url(record, "changelist"), {"q": "digits"}).status_code == 200
    page = admin.get(url(record, "change", everything(record).pk))
    assert page.status_code == 200


@pytest.mark.parametrize("record", RECORDS)
def test_empty_list_says_what_to_do(record: str, admin: Client, queue: FakeQueue) -> None:
    page = admin.get(url(record, "changelist"))
    assert page.status_code == 200
    if record not in ("auth.user", "auth.group"):  # the admin, and the roles
        assert b"n-empty" in page.content
        assert b"Nothing matches" not in page.content


@pytest.mark.parametrize("record", RECORDS)
def test_pages_refuse_who_may_not_look(
    record: str, stranger: Client, everything: Callable[[str], Any]
) -> None:
    pk = everything(record).pk
    for page in ("changelist", "add"):
        # Everybody who may come in has tokens of their own.
        own = record == "access.apitoken"
        assert stranger.get(url(record, page)).status_code == (200 if own else 403)
    for page in ("change", "delete", "history"):
        answer = stranger.get(url(record, page, pk))
        # What somebody may not see is not even there for them.
        gone = answer.status_code == 302 and answer.url == reverse("admin:index")
        assert answer.status_code == 403 or gone


@pytest.mark.parametrize("record", RECORDS)
def test_nobody_is_sent_to_the_login(record: str, everything: Callable[[str], Any]) -> None:
    answer = Client().get(url(record, "changelist"))
    assert answer.status_code == 302
    assert answer.url.startswith(reverse("admin:login"))


@pytest.mark.parametrize("record", READ_ONLY)
def test_what_was_observed_is_never_edited(
    record: str, admin: Client, everything: Callable[[str], Any]
) -> None:
    row = everything(record)
    assert admin.get(url(record, "add")).status_code == 403
    assert admin.post(url(record, "add"), {}).status_code == 403
    assert admin.post(url(record, "change", row.pk), {}).status_code == 403
    assert admin.post(url(record, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert apps.get_model(record).objects.filter(pk=row.pk).exists()


def test_a_reader_sees_and_changes_nothing(digits: Endpoint) -> None:
    reader = logged_in("rita", "endpoints.view_endpoint", is_staff=True)
    page = reader.get(url("endpoints.endpoint", "change", digits.pk))
    assert page.status_code == 200
    assert b"Edit policy" not in page.content
    for name in ("edit_policy", "roll_back"):
        there = url("endpoints.endpoint", name, digits.pk)
        assert reader.get(there).status_code == 403
        assert reader.post(there, {"apply": "1"}).status_code == 403
    assert reader.post(url("endpoints.endpoint", "delete", digits.pk)).status_code == 403
    assert reader.post(url("endpoints.endpoint", "add"), {"name": "x"}).status_code == 403
    assert Endpoint.objects.get().deleted_at is None


@pytest.mark.parametrize(
    "record",
    [
        *("registry.model", "registry.modelversion", "endpoints.revision", "access.apitoken"),
        *("webhooks.webhook", "webhooks.delivery"),
    ],
)
def test_lists_need_as_many_queries_for_many_rows_as_for_one(
    record: str, admin: Client, everything: Callable[[str], Any]
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin.get(url(record, "changelist")).status_code == 200
        return len(captured)

    queries()  # the session and the content types are cached from here on
    few = queries()
    for i in range(15):
        model = create_model(name=f"more-{i}", actor="ada")
        ready_version(model, 1)
        admin.post(
            url("access.apitoken", "add"), {"name": f"more-{i}", "role": "viewer", "lifetime": ""}
        )
        hook = Webhook.objects.create(name=f"more-{i}", url="https://x.y/", events=["*"])
        Delivery.objects.create(
            webhook=hook,
            event="webhook.ping",
            body="{}",
            created_at=hook.created_at,
            due_at=hook.created_at,
        )
        Revision.objects.create(
            endpoint=Endpoint.objects.get(),
            number=10 + i,
            generation=10 + i,
            policy={"arms": []},
            error="made for this test",
        )
    assert queries() == few <= LIST_QUERIES


def test_history_is_the_audit_record(digits: Endpoint, admin: Client) -> None:
    answer = admin.get(url("endpoints.endpoint", "history", digits.pk), follow=True)
    assert answer.status_code == 200
    actions = [event.action for event in answer.context["cl"].result_list]
    assert actions == ["endpoint.policy", "endpoint.policy", "endpoint.create"]


def test_a_model_page_compares_its_versions(digits: Endpoint, admin: Client) -> None:
    page = admin.get(url("registry.model", "change", Model.objects.get().pk)).content.decode()
    assert "accuracy" in page
    assert "0.92" in page
    assert page.count("READY") or page.count("ready") >= 2
    assert url("endpoints.endpoint", "change", digits.pk) in page


def test_events_are_found_by_the_filters_of_the_api(digits: Endpoint, admin: Client) -> None:
    listed = url("audit.auditevent", "changelist")
    admin.post(reverse("admin:endpoints_endpoint_kill_switch", args=[digits.pk]), {"reason": "x"})
    kill = AuditEvent.objects.get(action="endpoint.kill")
    assert kill.request_id
    for query in (
        {"action": "endpoint.kill"},
        {"request_id": kill.request_id},
        {"object_id": str(digits.pk), "object_type": "endpoint", "action": "endpoint.kill"},
        {"at_from_0": f"{kill.at:%Y-%m-%d}", "at_from_1": f"{kill.at:%H:%M:%S}"},
    ):
        rows = admin.get(listed, query).context["cl"].queryset
        assert rows.first() == kill, query
    assert not admin.get(listed, {"actor": "nobody"}).context["cl"].queryset.exists()
    page = admin.get(url("audit.auditevent", "change", kill.pk)).content.decode()
    assert f"request_id={kill.request_id}" in page
