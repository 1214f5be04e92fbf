"""A revision's page: who made it, why, what it changed, when it served, and the way back to it."""

from __future__ import annotations

from typing import Any

from django.test import Client
from django.urls import reverse

from control_plane.endpoints.intent import set_policy
from control_plane.endpoints.models import Endpoint, Revision
from control_plane.endpoints.rollback import rollback
from control_plane.wiring import print_config
from tests.integration.console.conftest import logged_in, policy
from tests.support.fakes import FakeQueue


def page(client: Client, number: int) -> str:
    revision = Revision.objects.get(number=number)
    return client.get(
        reverse("admin:endpoints_revision_change", args=[revision.pk])
    ).content.decode()


def go_back(number: int) -> str:
    revision = Revision.objects.get(number=number)
    return reverse("admin:endpoints_revision_go_back", args=[revision.pk])


def test_says_who_why_and_how_long(digits: Endpoint, admin: Client, queue: FakeQueue) -> None:
    write: dict[str, Any] = {"queue": queue, "print_config": print_config}
    set_policy(name="digits", document=policy(50, 50), actor="bo", reason="v2 is faster", **write)
    rollback(name="digits", revision=1, actor="ada", **write)
    first, second, third, fourth = (page(admin, number) for number in (1, 2, 3, 4))
    began = [f"{r.served_from:%H:%M:%S} UTC" for r in Revision.objects.order_by("number")[:2]]
    assert began[0] in first
    assert began[1] in first, "it served until the second one came"
    assert "it serves now" in second
    assert "v2 is faster" in third
    assert "bo" in third
    assert "it has not served" in third
    assert "rollback to revision 1" in fourth
    assert "to <a" in fourth
    assert "What it changed in the model repository" in third


def test_the_way_back_is_offered_where_it_leads_somewhere(digits: Endpoint, admin: Client) -> None:
    assert go_back(1) in page(admin, 1)
    assert go_back(2) not in page(admin, 2), "it serves"
    answer = admin.get(go_back(1))
    assert answer.status_code == 302
    ask = reverse("admin:endpoints_endpoint_roll_back", args=[digits.pk])
    assert answer["Location"] == f"{ask}?revision=1"
    assert "Take digits back to revision 1" in admin.get(answer["Location"]).content.decode()


def test_a_reader_is_not_offered_it(digits: Endpoint) -> None:
    reader = logged_in("rita", "endpoints.view_revision", "endpoints.view_endpoint", is_staff=True)
    assert go_back(1) not in page(reader, 1)
    assert reader.get(go_back(1)).status_code == 403
