"""What served when, in the console."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from control_plane.endpoints.generations import retire_name
from control_plane.endpoints.models import Endpoint, Revision

TEN = datetime(2026, 1, 1, 10, tzinfo=UTC)


def ask(client: Client, endpoint: str, at: str) -> str:
    there = reverse("admin:endpoints_revision_what_served")
    answer = client.get(there, {"endpoint": endpoint, "at": at})
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.fixture
def history(digits: Endpoint) -> Endpoint:
    """Revision 1 served from ten o'clock, revision 2 from eleven."""
    for number in (1, 2):
        then = TEN + timedelta(hours=number - 1)
        Revision.objects.filter(number=number).update(switched_from=then, served_from=then)
    return digits


def test_it_says_what_served_and_links_there(history: Endpoint, admin: Client) -> None:
    page = ask(admin, "digits", "2026-01-01T10:30")
    first = Revision.objects.get(number=1)
    assert reverse("admin:endpoints_revision_change", args=[first.pk]) in page
    assert "2026-01-01 10:00:00 to 2026-01-01 11:00:00 UTC" in page
    assert "2026-01-01 11:00:00 to now UTC" in ask(admin, "digits", "2026-01-01T11:00")
    early = ask(admin, "digits", "2026-01-01T09:59")
    assert "Nothing served digits at 2026-01-01 09:59:00 UTC" in early


def test_it_knows_an_endpoint_that_is_gone(history: Endpoint, admin: Client) -> None:
    retire_name(history, TEN + timedelta(hours=2))
    assert "11:00:00 to 2026-01-01 12:00:00 UTC" in ask(admin, "digits", "2026-01-01T11:30")


def test_a_wrong_question_is_answered_with_what_is_wrong(digits: Endpoint, admin: Client) -> None:
    assert "is no time" in ask(admin, "digits", "noon")
    assert "in the future" in ask(admin, "digits", "9999-01-01T10:00")
    assert "never was" in ask(admin, "<b>cats", "2026-01-01T10:00")
    assert "<b>cats" not in ask(admin, "<b>cats", "2026-01-01T10:00")


def test_whoever_may_not_see_revisions_sees_nothing(digits: Endpoint, stranger: Client) -> None:
    there = reverse("admin:endpoints_revision_what_served")
    assert stranger.get(there, {"endpoint": "digits"}).status_code == 403
    assert Client().get(there, {"endpoint": "digits"}).status_code == 302
