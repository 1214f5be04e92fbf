"""Changes that wait for a second person, in the console: asked for, looked at, decided."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from control_plane.access.roles import role_group
from control_plane.audit.models import AuditEvent
from control_plane.domain.access import Role
from control_plane.endpoints.changes import approve, reject
from control_plane.endpoints.kill import kill
from control_plane.endpoints.models import ChangeRequest, Endpoint, Revision
from control_plane.endpoints.services import update_endpoint
from control_plane.telemetry.store import TelemetryStore
from control_plane.wiring import print_config
from tests.integration.console.conftest import logged_in
from tests.integration.console.test_policy_page import previewed, rows, there
from tests.support.fakes import FakeQueue


def operator(name: str, role: Role = Role.OPERATOR) -> Client:
    client = logged_in(name, is_staff=True)
    User.objects.get(username=name).groups.add(role_group(role))
    return client


@pytest.fixture
def watched(digits: Endpoint) -> Endpoint:
    return update_endpoint(name="digits", actor="ada", four_eyes=True)


@pytest.fixture
def ann(watched: Endpoint) -> Client:
    return operator("ann")


@pytest.fixture
def ben(watched: Endpoint) -> Client:
    return operator("ben")


@pytest.fixture
def change(watched: Endpoint, ann: Client) -> ChangeRequest:
    """What ann asked for on the policy page."""
    fields = previewed(ann, watched, rows(("digits:1", "75"), ("digits:2", "25")))
    answer = ann.post(there(watched), {**fields, "apply": "1", "reason": "more trust"})
    found = ChangeRequest.objects.get()
    assert answer.status_code == 302
    assert answer.url == page_of(found)
    return found


def page_of(change: ChangeRequest) -> str:
    return reverse("admin:endpoints_changerequest_change", args=[change.pk])


def weights() -> list[float]:
    policy: Any = Endpoint.objects.get().policy
    return [arm["weight"] for arm in policy["arms"]]


def test_the_policy_page_asks_and_moves_nothing(
    change: ChangeRequest, watched: Endpoint, ann: Client
) -> None:
    assert weights() == [90, 10]
    assert (change.asked_by, change.reason, change.state) == ("ann", "more trust", "pending")
    text = ann.get(there(watched)).content.decode()
    assert "has the four-eyes rule" in text
    assert "of ann</a> waits already" in text
    page = ann.post(
        there(watched), {**rows(("digits:1", "70"), ("digits:2", "30")), "preview": "1"}
    )
    assert "Ask for approval</button>" in page.content.decode()


def test_another_persons_change_is_in_the_way_and_says_so(
    change: ChangeRequest, watched: Endpoint, ben: Client
) -> None:
    fields = previewed(ben, watched, rows(("digits:1", "50"), ("digits:2", "50")))
    page = ben.post(there(watched), {**fields, "apply": "1"})
    assert page.status_code == 400
    assert "which ann asked for: approve or reject it first" in page.content.decode()


def test_its_author_sees_why_approving_is_off(change: ChangeRequest, ann: Client) -> None:
    text = ann.get(page_of(change)).content.decode()
    assert "Approve is off: you asked for change 1 of digits yourself" in text
    assert 'value="approve" class="n-button n-primary" disabled' in text
    assert 'value="withdraw"' in text
    assert 'value="reject"' not in text
    # The button is not what holds it.
    refused = ann.post(page_of(change), {"deed": "approve"})
    assert refused.status_code == 409
    assert "you asked for change 1 of digits yourself" in refused.content.decode()
    assert weights() == [90, 10]


def test_another_operator_looks_at_the_diff_and_approves(
    change: ChangeRequest, watched: Endpoint, ben: Client
) -> None:
    text = ben.get(page_of(change)).content.decode()
    for words in ("90 % -&gt; 75 %", "+slots 0:7500 1:2500", "more trust", "ann"):
        assert words in text
    assert "Approve is off" not in text
    answer = ben.post(page_of(change), {"deed": "approve", "reason": "fine"})
    assert answer.status_code == 302
    assert weights() == [75, 25]
    revision = Revision.objects.get(number=3)
    assert (revision.created_by, revision.approved_by) == ("ann", "ben")
    shown = ben.get(reverse("admin:endpoints_revision_change", args=[revision.pk])).content.decode()
    assert f'<a class="n-link" href="{page_of(change)}">ben</a>' in shown
    history = ben.get(
        reverse("admin:endpoints_endpoint_change", args=[watched.pk])
    ).content.decode()
    assert "ann, approved by ben" in history
    late = ben.post(page_of(change), {"deed": "reject"})
    assert late.status_code == 409
    assert b"is approved (ben) and stays so" in late.content


@pytest.mark.parametrize(
    ("deed", "who", "state"), [("reject", "ben", "rejected"), ("withdraw", "ann", "withdrawn")]
)
def test_it_ends_without_moving_anything(
    deed: str, who: str, state: str, change: ChangeRequest, ann: Client, ben: Client
) -> None:
    client = ann if who == "ann" else ben
    assert client.post(page_of(change), {}).status_code == 409
    assert client.post(page_of(change), {"deed": deed, "reason": "no"}).status_code == 302
    change.refresh_from_db()
    assert (change.state, change.decided_by, change.decided_reason) == (state, who, "no")
    assert weights() == [90, 10]


def test_a_stale_change_says_what_to_do(
    change: ChangeRequest,
    watched: Endpoint,
    ben: Client,
    queue: FakeQueue,
    telemetry: TelemetryStore,
) -> None:
    kill(name="digits", actor="cyd", queue=queue, print_config=print_config)
    text = ben.get(page_of(change)).content.decode()
    assert "Approve is off: change 1 of digits was asked for at generation 2" in text
    assert 'value="reject"' in text
    [line] = [row for row in concerns(ben) if "change" in row.what]
    assert (line.state, line.deed) == ("stale", "Review the change")


def concerns(client: Client) -> list[Any]:
    page: Any = client.get(reverse("admin:index"))
    return list(page.context["concerns"])


def test_what_waits_needs_attention_and_stands_on_the_endpoints_page(
    change: ChangeRequest, watched: Endpoint, ann: Client, ben: Client, telemetry: TelemetryStore
) -> None:
    [line] = concerns(ben)
    assert (line.state, line.what) == ("pending", "digits, change 1")
    assert (line.why, line.url) == ("ann asked for it: more trust", page_of(change))
    [own] = concerns(ann)
    assert own.why == "you asked for it, and somebody else has to approve it: more trust"
    page = ben.get(reverse("admin:endpoints_endpoint_change", args=[watched.pk])).content.decode()
    assert "Waiting for a second person" in page
    assert page_of(change) in page
    reject(name="digits", number=1, actor="ben")
    assert concerns(ben) == []


def test_a_viewer_looks_and_decides_nothing(change: ChangeRequest) -> None:
    viewer = operator("vic", Role.VIEWER)
    text = viewer.get(page_of(change)).content.decode()
    assert "Whoever may change digits, and is not ann, decides." in text
    assert 'name="deed"' not in text
    assert viewer.post(page_of(change), {"deed": "approve"}).status_code == 403
    assert weights() == [90, 10]


def test_the_rule_is_switched_on_by_an_operator_and_off_by_an_admin(
    digits: Endpoint, admin: Client
) -> None:
    ann = operator("ann")
    page = there(digits, "four_eyes_rule")
    assert "stay open to one person" in ann.get(page).content.decode()
    assert Endpoint.objects.get().four_eyes is False, "asking changes nothing"
    assert ann.post(page, {"wanted": "on"}).status_code == 302
    assert Endpoint.objects.get().four_eyes is True
    assert "only an admin switches it off" in ann.get(page).content.decode()
    assert ann.post(page, {"wanted": "off"}).status_code == 403
    assert Endpoint.objects.get().four_eyes is True
    assert "Switch it off" in admin.get(page).content.decode()
    assert admin.post(page, {"wanted": "off"}).status_code == 302
    assert Endpoint.objects.get().four_eyes is False
    events = AuditEvent.objects.filter(action="endpoint.four_eyes").values_list("actor", flat=True)
    assert list(events) == ["ada", "ann"]


def test_an_endpoint_is_made_with_the_rule_and_not_deleted_while_it_has_it(
    digits: Endpoint, admin: Client
) -> None:
    made = admin.post(
        reverse("admin:endpoints_endpoint_add"),
        {"name": "safe", "description": "", "four_eyes": "on"},
    )
    assert made.status_code == 302
    safe = Endpoint.objects.get(name="safe")
    assert safe.four_eyes
    asked = admin.get(there(safe, "delete")).content.decode()
    assert "an admin switches that off first" in asked
    refused = admin.post(there(safe, "delete")).content.decode()
    assert "an admin switches the rule off first" in refused
    assert Endpoint.objects.get(name="safe").deleted_at is None


def test_what_never_served_is_no_way_back_for_one_person(
    watched: Endpoint, change: ChangeRequest, ann: Client, queue: FakeQueue
) -> None:
    approve(name="digits", number=1, actor="ada", queue=queue, print_config=print_config)
    never = Revision.objects.get(number=3)
    ask = f"{there(watched, 'roll_back')}?revision=3"
    button = reverse("admin:endpoints_revision_go_back", args=[never.pk])
    shown = reverse("admin:endpoints_revision_change", args=[never.pk])
    asked, revision = ann.get(ask).content.decode(), ann.get(shown).content.decode()
    assert "this revision never served" in asked
    assert ">Roll back</button>" not in asked
    assert "not offered: this revision never served" in revision
    assert button not in revision
    assert ann.get(button).status_code == 403
    Revision.objects.filter(pk=never.pk).update(served_from=never.created_at)
    Endpoint.objects.filter(pk=watched.pk).update(generation=never.generation + 1)
    assert ">Roll back</button>" in ann.get(ask).content.decode()


def test_what_served_when_names_both(change: ChangeRequest, ben: Client, queue: FakeQueue) -> None:
    approve(name="digits", number=1, actor="ben", queue=queue, print_config=print_config)
    now = Revision.objects.get(number=2).served_from
    Revision.objects.filter(number=3).update(served_from=now)
    page = ben.get(reverse("admin:endpoints_revision_what_served"), {"endpoint": "digits"})
    assert "asked for by ann, approved by ben" in page.content.decode()
