"""An endpoint's traffic, changed by hand: edit, preview, apply, roll back, delete."""

from __future__ import annotations

from typing import Any

from django.test import Client
from django.urls import reverse

from control_plane.audit.models import AuditEvent
from control_plane.console.policy_draft import PolicyDraft
from control_plane.endpoints.intent import set_policy
from control_plane.endpoints.models import Endpoint
from control_plane.registry.models import ModelVersion
from control_plane.wiring import print_config
from tests.integration.console.conftest import policy
from tests.support.fakes import FakeQueue


def there(endpoint: Endpoint, page: str = "edit_policy") -> str:
    return reverse(f"admin:endpoints_endpoint_{page}", args=[endpoint.pk])


def rows(*arms: tuple[str, str], primary: int = 1, generation: int = 2, **more: Any) -> dict:
    """The form's fields for arms given as (version, weight)."""
    fields: dict[str, Any] = {
        "arm": [str(i + 1) for i in range(len(arms))],
        "primary": str(primary),
        "generation": str(generation),
        **more,
    }
    for i, (version, weight) in enumerate(arms):
        fields |= {f"arm.{i + 1}.version": version, f"arm.{i + 1}.weight": weight}
    return fields


def previewed(admin: Client, endpoint: Endpoint, fields: dict) -> dict:
    """The fields as the page sends them after a preview."""
    page = admin.post(there(endpoint), {**fields, "preview": "1"})
    assert page.status_code == 200
    return {**fields, "previewed": page.context["previewed"]}


def test_shows_the_present_policy_and_only_ready_versions(digits: Endpoint, admin: Client) -> None:
    ModelVersion.objects.filter(number=2).update(state="rejected", state_reason="x")
    page = admin.get(there(digits))
    assert [row["weight"].value for row in page.context["draft"].rows] == ["90", "10"]
    assert [choice.label for choice in page.context["choices"]] == [
        "digits:2 (not ready)",
        "digits v1 (accuracy 0.91)",
    ]


def test_preview_shows_the_plan_and_changes_nothing(digits: Endpoint, admin: Client) -> None:
    page = admin.post(there(digits), rows(("digits:1", "75"), ("digits:2", "25"), preview="1"))
    text = page.content.decode()
    assert "90 % -&gt; 75 %" in text
    assert "slots 0:7500 1:2500" in text
    assert "data-apply" in text
    digits.refresh_from_db()
    assert digits.generation == 2


def test_apply_goes_through_the_service(
    digits: Endpoint, admin: Client, queue: FakeQueue, django_capture_on_commit_callbacks: Any
) -> None:
    fields = previewed(admin, digits, rows(("digits:1", "75"), ("digits:2", "25")))
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        answer = admin.post(there(digits), {**fields, "apply": "1", "reason": "more trust"})
    assert answer.status_code == 302
    digits.refresh_from_db()
    assert digits.generation == 3
    assert [arm["weight"] for arm in digits.policy["arms"]] == [75, 25]
    event = AuditEvent.objects.first()
    assert (event.actor, event.action, event.reason) == ("ada", "endpoint.policy", "more trust")
    assert len(callbacks) == 1, "a reconcile is asked for once it is committed"


def test_apply_without_the_preview_of_this_very_draft_shows_it(
    digits: Endpoint, admin: Client
) -> None:
    fields = previewed(admin, digits, rows(("digits:1", "75"), ("digits:2", "25")))
    fields |= {"arm.1.weight": "50", "arm.2.weight": "50"}
    page = admin.post(there(digits), {**fields, "apply": "1"})
    assert page.status_code == 200
    assert "edited after the preview" in page.content.decode()
    digits.refresh_from_db()
    assert digits.generation == 2


def test_a_stale_edit_is_refused_and_says_who_was_faster(
    digits: Endpoint, admin: Client, queue: FakeQueue
) -> None:
    fields = previewed(admin, digits, rows(("digits:1", "75"), ("digits:2", "25")))
    set_policy(
        name="digits", document=policy(60, 40), actor="bob", queue=queue, print_config=print_config
    )
    page = admin.post(there(digits), {**fields, "apply": "1"})
    text = page.content.decode()
    assert page.status_code == 400
    assert "bob changed this policy" in text
    assert "data-apply" not in text
    digits.refresh_from_db()
    assert [arm["weight"] for arm in digits.policy["arms"]] == [60, 40]


def test_bad_rows_are_shown_at_their_field_and_nothing_is_stored(
    digits: Endpoint, admin: Client
) -> None:
    events = AuditEvent.objects.count()
    for fields, row, field, words in (
        (rows(("digits:1", "abc"), ("digits:2", "10")), 0, "weight", "not a percent"),
        (rows(("digits:1", "90.005"), ("digits:2", "9.995")), 0, "weight", "two decimals"),
        (rows(("digits:1", "90"), ("digits:7", "10")), 1, "version", "digits"),
        (rows(("digits:1", "90"), ("", "10")), 1, "version", "choose a version"),
        (rows(("digits:1", "90"), ("digits:²", "10")), 1, "version", "whole number"),
        (rows(("digits:1", "90"), ("digits:1", "10")), 1, "", "same"),
    ):
        page = admin.post(there(digits), {**fields, "apply": "1"})
        assert page.status_code == 400, fields
        errors = page.context["draft"].rows[row].errors
        assert any(words in text for text in errors.get(field, [])), errors
    digits.refresh_from_db()
    assert digits.generation == 2
    assert AuditEvent.objects.count() == events


def test_a_broken_sum_and_a_missing_primary_are_said_above(digits: Endpoint, admin: Client) -> None:
    page = admin.post(there(digits), rows(("digits:1", "90"), ("digits:2", "20"), preview="1"))
    assert any("add up to 110" in text for text in page.context["draft"].errors)
    page = admin.post(
        there(digits), rows(("digits:1", "90"), ("digits:2", "10"), primary=9, preview="1")
    )
    assert any("exactly one arm is primary" in text for text in page.context["draft"].errors)
    assert admin.post(there(digits), {"preview": "1"}).status_code == 400


def test_a_draft_survives_the_round_trip(digits: Endpoint) -> None:
    draft = PolicyDraft.from_policy(digits.policy)
    names = [arm["name"] for arm in draft.document()["arms"]]
    assert names == ["digits-v1", "digits-v2"]
    assert draft.digest() == PolicyDraft.from_policy(digits.policy).digest()


def test_rollback_asks_first_and_then_makes_the_old_policy_the_intent(
    digits: Endpoint, admin: Client
) -> None:
    page = admin.get(there(digits, "roll_back"))
    assert page.context["target"].number == 1
    digits.refresh_from_db()
    assert digits.generation == 2, "asking changes nothing"
    assert admin.post(there(digits, "roll_back"), {"revision": "1"}).status_code == 302
    digits.refresh_from_db()
    assert digits.generation == 3
    assert [arm["version"] for arm in digits.policy["arms"]] == [1]


def test_rollback_without_a_way_back_says_so(digits: Endpoint, admin: Client) -> None:
    page = admin.get(there(digits, "roll_back"), {"revision": "99"})
    assert "has no revision 99" in page.content.decode()
    assert admin.post(there(digits, "roll_back"), {"revision": "99"}).status_code == 200
    digits.refresh_from_db()
    assert digits.generation == 2


def test_delete_asks_first_and_goes_through_the_service(digits: Endpoint, admin: Client) -> None:
    page = admin.get(there(digits, "delete"))
    assert "get errors from then on local" not in page.content.decode()
    assert "on local" in page.content.decode()
    assert Endpoint.objects.get().deleted_at is None
    assert admin.post(there(digits, "delete")).status_code == 302
    assert Endpoint.objects.get().deleted_at is not None
    assert AuditEvent.objects.first().action == "endpoint.delete"
    assert admin.get(there(digits)).status_code == 403, "what is going is not edited"
