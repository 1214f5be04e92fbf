"""The placement form: what is written, what would become of it, who may, and the way back."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from control_plane.adapters.clock import SystemClock
from control_plane.audit.models import AuditEvent
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.placements import set_placement
from control_plane.fleet.models import Server
from control_plane.fleet.services import register_server
from tests.integration.console.conftest import logged_in
from tests.integration.console.forms import form_fields
from tests.integration.console.test_policy_page import there
from tests.support.fakes import FakeQueue

PAGE = "place_servers"


@pytest.fixture
def fleet(digits: Endpoint) -> Endpoint:
    """Three servers in two zones."""
    for name, zone in (("far", "b"), ("near", "a")):
        register_server(
            name=name,
            http=f"{name}:1",
            grpc=f"{name}:2",
            metrics=f"http://{name}:3/metrics",
            accelerator="cpu",
            actor="ada",
            labels={"zone": zone},
        )
    Server.objects.filter(name="local").update(node_labels={"zone": "a"})
    Server.objects.update(ready=True, last_seen_at=SystemClock().now())
    return digits


def filled(page: Any, **changes: Any) -> dict[str, Any]:
    """The form of a page with other values; `labels` are rows of key, test and values."""
    rows = changes.pop("labels", ())
    fields: dict[str, Any] = form_fields(page)
    if rows:
        names = ("label.key", "label.test", "label.values")
        fields |= dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return {**fields, **changes}


def placed(endpoint: Endpoint) -> Any:
    return Endpoint.objects.get(pk=endpoint.pk).placement


def test_it_is_previewed_applied_and_undone(
    fleet: Endpoint, admin: Client, queue: FakeQueue, django_capture_on_commit_callbacks: Any
) -> None:
    page = there(fleet, PAGE)
    assert page in admin.get(there(fleet, "change")).content.decode()
    rows = [("zone", "in", "a, b"), ("lab", "not_in", "true")]
    asked = filled(admin.get(page), labels=rows, replicas="2", spread="zone", required="on")
    previewed = admin.post(page, {**asked, "preview": "1"})
    standing = {one.server: str(one.standing) for one in previewed.context["plan"].said}
    assert standing == {"far": "placed", "local": "placed", "near": "spare"}
    text = previewed.content.decode()
    assert "2 of the servers with lab not true, zone a or b, never two in one zone" in text
    assert "placed here anew" in text
    assert placed(fleet) is None, "a preview writes nothing"

    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        answer = admin.post(
            page, {**filled(previewed), "reason": "spread it", "apply": "1"}, follow=True
        )
    assert placed(fleet) == {
        "servers": {"lab": {"not_in": ["true"]}, "zone": {"in": ["a", "b"]}},
        "replicas": 2,
        "spread": {"label": "zone", "required": True},
    }
    assert len(callbacks) == 1, "a look is asked for once it is committed"
    deed = AuditEvent.objects.latest("id")
    assert (deed.actor, deed.action, deed.reason) == ("ada", "endpoint.placement", "spread it")
    assert "This was changed a moment ago" in answer.content.decode()
    way_back = f"{page}?undo={deed.pk}"
    assert way_back in answer.content.decode()

    shown = admin.get(way_back)
    assert placed(fleet), "asking changes nothing"
    assert "On all servers." in shown.content.decode()
    admin.post(way_back, {**filled(shown), "apply": "1"})
    assert placed(fleet) is None


def test_what_is_wrong_stands_where_it_is(fleet: Endpoint, admin: Client) -> None:
    page = there(fleet, PAGE)
    rows = [("Zone!", "in", "a"), ("tier", "in", ""), ("lab", "exists", ""), ("lab", "in", "true")]
    asked = filled(admin.get(page), labels=rows, replicas="none", spread="No!")
    answer = admin.post(page, {**asked, "apply": "1"})
    assert answer.status_code == 400
    draft = answer.context["draft"]
    assert [bool(row.errors) for row in draft.rows] == [False, False, False, True]
    asked = filled(admin.get(page), labels=rows[:3], replicas="none", spread="No!")
    answer = admin.post(page, {**asked, "apply": "1"})
    draft = answer.context["draft"]
    assert [bool(row.errors) for row in draft.rows] == [True, True, False]
    assert draft.errors.keys() == {"replicas", "spread"}
    text = answer.content.decode()
    assert "a label&#x27;s name has" in text
    assert 'value="Zone!"' in text, "nothing of it is lost"
    assert "data-apply" not in text
    assert placed(fleet) is None


def test_only_what_was_previewed_is_applied(fleet: Endpoint, admin: Client) -> None:
    page = there(fleet, PAGE)
    previewed = admin.post(page, {**filled(admin.get(page), replicas="1"), "preview": "1"})
    edited = admin.post(page, {**filled(previewed, replicas="2"), "apply": "1"})
    assert "edited after the preview" in edited.content.decode()
    assert placed(fleet) is None


def test_what_somebody_else_said_meanwhile_is_not_overwritten(
    fleet: Endpoint, admin: Client, queue: FakeQueue
) -> None:
    page = there(fleet, PAGE)
    previewed = admin.post(page, {**filled(admin.get(page), replicas="1"), "preview": "1"})
    set_placement(name="digits", document={"replicas": 2}, actor="bob", queue=queue)
    answer = admin.post(page, {**filled(previewed), "apply": "1"})
    assert answer.status_code == 400
    text = answer.content.decode()
    assert "it was changed meanwhile, and is placed on 2 of all servers now" in text
    assert "bob changed this endpoint" in text
    assert placed(fleet)["replicas"] == 2


def test_the_same_again_writes_nothing(fleet: Endpoint, admin: Client, queue: FakeQueue) -> None:
    set_placement(name="digits", document={"replicas": 2}, actor="bob", queue=queue)
    page, deeds = there(fleet, PAGE), AuditEvent.objects.count()
    previewed = admin.post(page, {**filled(admin.get(page)), "preview": "1"})
    answer = admin.post(page, {**filled(previewed), "apply": "1"}, follow=True)
    assert "is placed on 2 of all servers already" in answer.content.decode()
    assert AuditEvent.objects.count() == deeds


def test_only_a_change_of_this_endpoint_is_undone(fleet: Endpoint, admin: Client) -> None:
    other = AuditEvent.objects.exclude(action="endpoint.placement").latest("id")
    for number in (str(other.pk), "0", "-1", "x", "9" * 40):
        assert admin.get(f"{there(fleet, PAGE)}?undo={number}").status_code == 404, number


def test_who_may_not_and_what_is_forged_is_refused(fleet: Endpoint, admin: Client) -> None:
    page = there(fleet, PAGE)
    looker = logged_in("lou", "endpoints.view_endpoint", is_staff=True)
    for answer in (looker.get(page), looker.post(page, {"replicas": "1", "apply": "1"})):
        assert answer.status_code == 403
    assert page not in looker.get(there(fleet, "change")).content.decode()
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = admin.cookies
    assert strict.post(page, {"replicas": "1", "apply": "1"}).status_code == 403
    assert placed(fleet) is None


def test_without_a_server_it_says_so(fleet: Endpoint, admin: Client) -> None:
    Server.objects.all().delete()
    page = there(fleet, PAGE)
    previewed = admin.post(page, {**filled(admin.get(page), replicas="1"), "preview": "1"})
    assert previewed.status_code == 200
    assert reverse("admin:index") in previewed.content.decode()
