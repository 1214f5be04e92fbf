"""The kill switch in the console: who may, what it says first, what it does, the way back."""

from __future__ import annotations

from typing import Any

from django.test import Client
from django.urls import reverse

from control_plane.audit.models import AuditEvent
from control_plane.endpoints.intent import set_policy
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.services import create_endpoint
from control_plane.wiring import print_config
from tests.integration.console.conftest import apply, logged_in, policy
from tests.integration.console.test_policy_page import there
from tests.support.fakes import FakeQueue

LABEL = "Everything to the primary"


def reload(endpoint: Endpoint) -> Endpoint:
    endpoint.refresh_from_db()
    return endpoint


def test_it_says_what_it_does_and_asking_changes_nothing(
    digits: Endpoint, admin: Client, queue: FakeQueue
) -> None:
    rules = [{"when": {"header:x-tenant-id": {"equals": "acme"}}, "arm": "digits-v2"}]
    shadow = [{"arm": "digits-v2", "percent": 5}]
    apply("digits", {**policy(90, 10), "rules": rules, "shadow": shadow}, queue)
    page = admin.get(there(digits, "kill_switch"))
    text = page.content.decode()
    assert "digits-v1 <b>100 %</b>" in text
    assert "digits-v2 gets no more requests" in text
    assert "1 rule, the shadow" in text
    assert "called off" not in text
    assert reload(digits).generation == 3


def test_it_goes_through_the_service_with_its_reason(
    digits: Endpoint, admin: Client, queue: FakeQueue, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        answer = admin.post(there(digits, "kill_switch"), {"reason": " p99 doubled "}, follow=True)
    assert [arm["weight"] for arm in reload(digits).policy["arms"]] == [100, 0]
    event = AuditEvent.objects.first()
    assert (event.actor, event.action, event.reason) == ("ada", "endpoint.kill", "p99 doubled")
    assert len(callbacks) == 1, "a reconcile is asked for once it is committed"
    text = answer.content.decode()
    assert "goes to the primary, as generation 3" in text
    assert f'href="{there(digits, "roll_back")}"' in text, "the way back is one click away"


def test_a_change_that_hangs_is_called_off_and_it_says_so(
    digits: Endpoint, admin: Client, queue: FakeQueue
) -> None:
    set_policy(
        name="digits", document=policy(10, 90), actor="bob", queue=queue, print_config=print_config
    )
    assert "generation 3 is called off" in admin.get(there(digits, "kill_switch")).content.decode()


def test_it_says_that_live_sequences_elsewhere_end(digits: Endpoint, admin: Client) -> None:
    page = admin.get(there(digits, "kill_switch")).content.decode()
    assert "Live sequences on digits-v2 are cut" in page


def test_a_second_time_changes_nothing(digits: Endpoint, admin: Client) -> None:
    admin.post(there(digits, "kill_switch"))
    events = AuditEvent.objects.count()
    answer = admin.post(there(digits, "kill_switch"), follow=True)
    assert "goes to the primary already" in answer.content.decode()
    assert AuditEvent.objects.count() == events


def test_without_a_policy_there_is_nothing_to_press(admin: Client, queue: FakeQueue) -> None:
    new = create_endpoint(name="new", actor="ada", queue=queue, print_config=print_config)
    for page in (admin.get(there(new, "kill_switch")), admin.post(there(new, "kill_switch"))):
        assert page.status_code == 200
        assert "there is nothing to" in page.content.decode()
        assert "n-danger" not in page.content.decode()


def test_only_who_may_change_the_endpoint_may(digits: Endpoint) -> None:
    looker = logged_in("lou", "endpoints.view_endpoint", is_staff=True)
    for answer in (
        looker.get(there(digits, "kill_switch")),
        looker.post(there(digits, "kill_switch")),
        Client().post(there(digits, "kill_switch")),
    ):
        assert answer.status_code in (302, 403)
    assert reload(digits).generation == 2
    assert LABEL not in looker.get(reverse("admin:index")).content.decode()
    assert LABEL not in looker.get(there(digits, "change")).content.decode()
    changer = logged_in(
        "cho", "endpoints.view_endpoint", "endpoints.change_endpoint", is_staff=True
    )
    assert LABEL in changer.get(reverse("admin:index")).content.decode()
    assert LABEL in changer.get(there(digits, "change")).content.decode()


def test_a_forged_request_is_refused(digits: Endpoint, admin: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = admin.cookies
    assert strict.post(there(digits, "kill_switch")).status_code == 403
    assert reload(digits).generation == 2


def test_the_endpoints_page_says_the_policy_in_words(
    digits: Endpoint, admin: Client, queue: FakeQueue
) -> None:
    document = policy(90, 10)
    document["arms"][1] |= {"max_in_flight": 64, "timeout": "500ms"}
    document |= {"sticky": {"key": "header:x-user-id"}, "breaker": None}
    apply("digits", document, queue)
    card = admin.get(there(digits, "change")).context["card"]
    said = {words.label: words for words in card.policy_words}
    assert said["Sticky"].text == "by header:x-user-id"
    assert said["Breaker"].off
    assert "20 %" in said["Rescue"].text
    assert said["Limits of digits-v2"].text == (
        "at most 64 in flight, then digits-v1; timeout 500ms"
    )
    assert "Limits of digits-v1" not in said
    live = admin.get(reverse("admin:live_endpoint", args=[digits.pk])).content.decode()
    assert "by header:x-user-id" in live, "it follows the policy by itself"
