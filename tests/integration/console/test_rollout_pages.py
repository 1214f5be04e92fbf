"""A rollout's page, its controls, the form that starts one, and where else it is told of."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from control_plane import wiring
from control_plane.access.models import Grant
from control_plane.analysis.measuring import stop_run
from control_plane.analysis.models import AnalysisRun, AnalysisTemplate
from control_plane.analysis.templates import put_template
from control_plane.audit.models import AuditEvent
from control_plane.domain.rollout.states import Event
from control_plane.endpoints.models import Endpoint
from control_plane.registry.models import Model
from control_plane.rollouts.models import Rollout
from control_plane.rollouts.recording import happen
from tests.integration.console.conftest import logged_in, ready_version
from tests.support.fakes import FakeQueue
from tests.support.rollouts import Made, analysing, measured, started


def page(rollout: Rollout, name: str = "change") -> str:
    return reverse(f"admin:rollouts_rollout_{name}", args=[rollout.pk])


def start_page(endpoint: Endpoint) -> str:
    return reverse("admin:endpoints_endpoint_start_rollout", args=[endpoint.pk])


def buttons(answer: Any) -> list[str]:
    return [button.text for button in answer.context["buttons"] if not button.off]


FORM = {
    "to": "digits:3",
    "kind": "canary",
    "step.kind": ["setWeight", "analysis"],
    "step.value": ["5", "default"],
    "harm": "10",
    "watch": "10m",
    "watched_by": "default",
    "deadline": "10m",
    "reason": "better on the holdout set",
}


@pytest.fixture
def third(digits: Endpoint) -> Endpoint:
    """The endpoint, and a third version of its model that is ready to come."""
    ready_version(Model.objects.get(name="digits"), 3)
    return digits


@pytest.fixture
def rollout(third: Endpoint, queue: FakeQueue) -> Rollout:
    return analysing(started("digits", 3, queue=queue, reason="better"), budget_spent=4)


def test_it_says_where_it_stands_what_it_spends_and_what_is_known(
    rollout: Rollout, admin: Client
) -> None:
    began = rollout.created_at - timedelta(minutes=2)
    run = measured(rollout, began=began, looks=90)
    answer = admin.get(page(rollout))
    text = answer.content.decode()
    assert [step.kind for step in answer.context["steps"]][:3] == ["done", "now", "ahead"]
    assert [step.name for step in answer.context["steps"]][-2:] == ["promotion", "watch"]
    assert answer.context["share"] == 5.0
    assert (answer.context["harm"].spent, answer.context["harm"].left) == (4, 16)
    assert buttons(answer) == ["Pause", "Skip step", "Promote now", "Abort"]
    [metric] = answer.context["runs"][0].metrics
    last = run.looks.get(number=run.looks_taken).document["metrics"][0]
    assert [arm.of for arm in metric.arms] == [last["candidate"]["of"], last["baseline"]["of"]]
    assert metric.limit == "+0.5 points"
    assert metric.reason in text
    assert metric.chart.band
    assert f'hx-get="{reverse("admin:live_rollout", args=[rollout.pk])}"' in text


def test_small_figures_of_blocks_are_told_as_they_are(rollout: Rollout, admin: Client) -> None:
    cost = {"name": "cost", "kind": "promql", "query": 'cost{arm="{{arm}}"}', "block": "5s"}
    put_template(name="cost", document={"metrics": [cost]}, actor="ada")
    began, made = rollout.created_at - timedelta(minutes=2), Made(told={"cost": (0.0004, 0.0002)})
    run = measured(rollout, began=began, looks=30, template="cost", made=made)
    [metric] = admin.get(page(rollout)).context["runs"][0].metrics
    assert (metric.trials, metric.measured) == ("Blocks", "Mean")
    candidate, baseline = metric.arms
    assert (candidate.of, candidate.count, baseline.count) == (6, 6, None)
    assert [arm.estimate[:6] for arm in metric.arms] == ["0.0004", "0.0002"]
    assert metric.phase == "Running"
    stop_run(run, reason="ada skipped a step", now=run.began_at + timedelta(minutes=1))
    [metric] = admin.get(page(rollout)).context["runs"][0].metrics
    assert metric.phase == "Undecided", "it runs no more"


def test_the_evidence_is_read_in_one_query_however_many_looks(
    rollout: Rollout, admin: Client
) -> None:
    def read() -> tuple[int, int]:
        with CaptureQueriesContext(connection) as caught:
            shown = admin.get(page(rollout))
        return len(caught), len(shown.context["runs"][0].metrics[0].chart.columns)

    began = rollout.created_at - timedelta(minutes=20)
    measured(rollout, began=began, looks=5)
    read()
    few = read()[0]
    AnalysisRun.objects.all().delete()
    run = measured(rollout, began=began, looks=900, made=Made(requests=(1, 1)))
    assert run.looks_taken == 900
    many, drawn = read()
    assert many == few
    assert drawn <= 120


def test_its_part_is_live_until_it_has_ended(rollout: Rollout, admin: Client) -> None:
    there = reverse("admin:live_rollout", args=[rollout.pk])
    answer = admin.get(there)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    assert b"<html" not in answer.content
    admin.post(page(rollout, "abort"), {"reason": "enough"})
    happen(Rollout.objects.get(), Event.RETURNED_ABORTED, reason="back", now=wiring.clock().now())
    answer = admin.get(there)
    assert answer.status_code == 286, "htmx shows it and asks no more"
    assert buttons(answer) == ["Try again"]
    gone = admin.get(reverse("admin:live_rollout", args=[uuid4()]))
    assert gone["HX-Redirect"] == reverse("admin:rollouts_rollout_changelist")
    assert "login" in Client().get(there)["HX-Redirect"]


def test_each_control_asks_says_what_it_does_and_is_audited(
    rollout: Rollout, admin: Client
) -> None:
    asked = admin.get(page(rollout, "pause"))
    assert b"Traffic stays split as it is now" in asked.content
    assert Rollout.objects.get().state == "analysing", "asking does nothing"
    answer = admin.post(page(rollout, "pause"), {"reason": "lunch"}, follow=True)
    assert b"ada paused it: lunch" in answer.content
    assert buttons(answer) == ["Resume", "Skip step", "Promote now", "Abort"]
    done = AuditEvent.objects.get(action="rollout.pause")
    assert (done.actor, done.reason) == ("ada", "lunch")
    for name in ("resume", "skip", "promote"):
        assert admin.post(page(rollout, name), {"reason": ""}).status_code == 302
    assert Rollout.objects.get().state == "promoting"


def test_what_its_state_forbids_is_refused_with_the_reason(rollout: Rollout, admin: Client) -> None:
    asked = admin.get(page(rollout, "approve"))
    assert b"Not possible now" in asked.content
    assert b'type="submit" class="n-button' not in asked.content
    refused = admin.post(page(rollout, "approve"), {})
    assert refused.status_code == 409
    assert "it waits for nobody" in refused.content.decode()


def test_another_person_approves_under_four_eyes(third: Endpoint, queue: FakeQueue) -> None:
    Endpoint.objects.update(four_eyes=True)
    User.objects.filter(username="ada").update(is_superuser=True)
    ada, bo = Client(), logged_in("bo", is_staff=True, is_superuser=True)
    ada.force_login(User.objects.get(username="ada"))
    rollout = started("digits", 3, queue=queue)
    own = ada.get(page(rollout))
    assert buttons(own) == ["Abort"]
    assert "you started rollout 1 of digits yourself" in own.content.decode()
    assert ada.post(page(rollout, "approve"), {}).status_code == 409
    assert "somebody else has to approve" in ada.get("/console/").content.decode()
    assert buttons(bo.get(page(rollout))) == ["Approve", "Abort"]
    assert "Review the rollout" in bo.get("/console/").content.decode()
    assert bo.post(page(rollout, "approve"), {"reason": "read it"}).status_code == 302
    rollout.refresh_from_db()
    assert (rollout.state, rollout.approved_by) == ("pending", "bo")


def test_a_viewer_sees_it_and_a_grant_on_the_endpoint_lets_them_act(
    rollout: Rollout, queue: FakeQueue
) -> None:
    see = ("rollouts.view_rollout", "endpoints.view_endpoint")
    vera = logged_in("vera", *see, is_staff=True)
    assert buttons(vera.get(page(rollout))) == []
    assert vera.post(page(rollout, "abort"), {}).status_code == 403
    assert vera.get(start_page(Endpoint.objects.get())).status_code == 403
    user = User.objects.get(username="vera")
    Grant.objects.create(
        user=user, role="operator", kind="endpoint", name="digits", created_by="ada"
    )
    assert "Abort" in buttons(vera.get(page(rollout)))
    assert vera.get(start_page(Endpoint.objects.get())).status_code == 200


def test_it_is_foreseen_before_it_is_started(third: Endpoint, admin: Client) -> None:
    there = start_page(third)
    assert admin.get(there).context["draft"].texts["to"] == "digits:3", "the newest is offered"
    foreseen = admin.post(there, {**FORM, "preview": "1"})
    said = foreseen.content.decode()
    assert "Step 1: it gets 5 % of the requests that the primary had." in said
    assert "At most 10 failed attempts may come of it" in said
    assert "digits.v3" in said, "its first move is planned"
    assert not Rollout.objects.exists(), "only looking changes nothing"
    assert not AuditEvent.objects.filter(action="rollout.start").exists()
    sent = {**FORM, "previewed": foreseen.context["previewed"], "start": "1"}
    answer = admin.post(there, sent)
    rollout = Rollout.objects.get()
    assert answer.url == page(rollout)
    assert (rollout.harm_budget, rollout.why, rollout.state) == (10, FORM["reason"], "pending")
    assert AuditEvent.objects.get(action="rollout.start").reason == FORM["reason"]


def test_what_was_edited_after_the_preview_is_foreseen_anew(third: Endpoint, admin: Client) -> None:
    foreseen = admin.post(start_page(third), {**FORM, "preview": "1"})
    sent = {**FORM, "harm": "11", "previewed": foreseen.context["previewed"], "start": "1"}
    answer = admin.post(start_page(third), sent)
    assert "edited after the preview" in answer.content.decode()
    assert not Rollout.objects.exists()


def test_what_is_wrong_is_said_where_it_stands(third: Endpoint, admin: Client) -> None:
    wrong = {
        **FORM,
        "to": "",
        "step.kind": ["setWeight", "pause", "analysis"],
        "step.value": ["101", "long", "nobody"],
        "harm": "none",
        "watch": "soon",
    }
    answer = admin.post(start_page(third), {**wrong, "preview": "1"})
    assert answer.status_code == 400
    draft = answer.context["draft"]
    assert [bool(row.errors) for row in draft.steps] == [True, True, False]
    assert draft.errors.keys() == {"to", "harm", "watch"}
    assert draft.texts["harm"] == "none", "nothing that was entered is lost"
    unknown = {**FORM, "step.value": ["5", "nobody"]}
    answer = admin.post(start_page(third), {**unknown, "preview": "1"})
    assert "the analysis templates are default" in answer.content.decode()


def test_with_progressive_the_evidence_chooses_the_shares(third: Endpoint, admin: Client) -> None:
    sent = {**FORM, "kind": "progressive", "from": "60", "most": "2,5", "preview": "1"}
    refused = admin.post(start_page(third), sent)
    assert refused.context["draft"].errors.keys() == {"most"}
    foreseen = admin.post(start_page(third), {**sent, "from": "2"}).content.decode()
    assert "it begins with 2 %, and gets more, up to 2.5 %" in foreseen


def test_on_copies_first_then_in_steps(third: Endpoint, admin: Client) -> None:
    sent = {**FORM, "kind": "shadowFirst", "copies": "0", "preview": "1"}
    refused = admin.post(start_page(third), {**sent, "step.value": ["5", "no such"]})
    assert refused.context["draft"].errors.keys() == {"copies"}
    assert not any(row.errors for row in refused.context["draft"].steps[:1])
    foreseen = admin.post(start_page(third), {**sent, "copies": "12,5"})
    said = foreseen.content.decode()
    assert "Step 1: it gets copies of 12.5 % of the requests, which no caller sees." in said
    assert "Step 2: shadow measures until it is sure" in said
    assert "Step 4: it gets 5 % of the requests that the primary had." in said


def test_one_at_a_time_unless_it_supersedes(rollout: Rollout, admin: Client) -> None:
    ready_version(Model.objects.get(name="digits"), 4)
    endpoint = Endpoint.objects.get()
    sent = {**FORM, "to": "digits:4", "preview": "1"}
    refused = admin.post(start_page(endpoint), sent)
    assert refused.status_code == 400
    assert "rollout 1 of digits is under way" in refused.content.decode()
    foreseen = admin.post(start_page(endpoint), {**sent, "supersede": "on"})
    assert "rollout 1 of digits is taken back first" in foreseen.content.decode()
    rollout.refresh_from_db()
    assert rollout.state == "analysing"


def test_home_and_the_endpoint_tell_of_it(rollout: Rollout, admin: Client) -> None:
    endpoint = Endpoint.objects.get()
    card = reverse("admin:endpoints_endpoint_change", args=[endpoint.pk])
    for there in ("/console/", card, reverse("admin:live_endpoint", args=[endpoint.pk])):
        text = admin.get(there).content.decode()
        assert page(rollout) in text, there
        assert "harm 4 of 20" in text
    assert admin.get("/console/").context["concerns"] == []


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"state": "inconclusive"}, "inconclusive"),
        ({"state": "paused"}, "paused"),
        ({"late": 120}, "stuck"),
    ],
)
def test_what_does_not_go_on_by_itself_needs_attention(
    change: dict[str, Any], state: str, rollout: Rollout, admin: Client
) -> None:
    late = change.pop("late", 0)
    Rollout.objects.update(**change, look_at=wiring.clock().now() - timedelta(seconds=late))
    [concern] = admin.get("/console/").context["concerns"]
    assert (concern.state, concern.url) == (state, page(rollout))


def test_a_template_is_made_like_the_one_that_comes_with_nereid(
    digits: Endpoint, admin: Client
) -> None:
    built_in = reverse("admin:analysis_analysistemplate_built_in", args=["default"])
    assert "bad when worse by more than 0.5 points" in admin.get(built_in).content.decode()
    add = f"{reverse('admin:analysis_analysistemplate_add')}?like=default"
    document = admin.get(add).context["adminform"].form.initial["document"]
    wrong = document.replace('"margin": 0.005', '"margin": 7')
    refused = admin.post(add, {"name": "strict", "document": wrong})
    assert "metrics.0.margin" in refused.content.decode()
    stricter = document.replace('"margin": 0.005', '"margin": 0.001')
    assert admin.post(add, {"name": "strict", "document": stricter}).status_code == 302
    template = AnalysisTemplate.objects.get()
    there = reverse("admin:analysis_analysistemplate_change", args=[template.pk])
    assert "bad when worse by more than 0.1 points" in admin.get(there).content.decode()
    late = admin.post(there, {"document": document, "seen": "7"})
    assert "somebody saved revision 1 meanwhile" in late.content.decode()
