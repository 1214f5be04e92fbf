"""The audit record: nobody changes it, every write is in it with its request, all can be found."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.db import DatabaseError, connection, transaction

from control_plane.audit.models import AuditEvent
from tests.integration.api.conftest import Api
from tests.integration.api.test_registry_api import problem


@pytest.fixture
def guarded(db: None) -> None:
    """The guard against TRUNCATE, which tests with real commits have to go without."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditevent ENABLE ALWAYS TRIGGER audit_event_no_truncate")


@pytest.mark.parametrize(
    "deed",
    [
        "UPDATE audit_auditevent SET actor = 'nobody'",
        "UPDATE audit_auditevent SET at = at",
        "DELETE FROM audit_auditevent",
        "TRUNCATE audit_auditevent",
        "TRUNCATE audit_auditevent CASCADE",
        "SET LOCAL session_replication_role = replica; DELETE FROM audit_auditevent",
        "INSERT INTO audit_auditevent SELECT * FROM audit_auditevent"
        " ON CONFLICT (id) DO UPDATE SET actor = 'nobody'",
        "MERGE INTO audit_auditevent a USING audit_auditevent b ON a.id = b.id"
        " WHEN MATCHED THEN DELETE",
    ],
)
def test_the_database_refuses_tampering(api: Api, guarded: None, deed: str) -> None:
    api.post("models/", {"name": "digits"})
    before = list(AuditEvent.objects.values())
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        connection.cursor().execute(deed)
    assert list(AuditEvent.objects.values()) == before != []


def test_the_orm_is_refused_too(api: Api) -> None:
    api.post("models/", {"name": "digits"})
    event = AuditEvent.objects.get()
    for deed in (event.delete, event.save, AuditEvent.objects.all().delete):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            deed()


def test_an_event_has_the_request_that_it_belongs_to(api: Api) -> None:
    made = api.call("post", "models/", {"name": "digits"}, **{"X-Request-Id": "deploy-7"})
    assert made["X-Request-Id"] == "deploy-7"
    fresh = api.call("patch", "models/digits/", {"owner": "eve"})["X-Request-Id"]
    events = api.get("audit/").json()["results"]
    assert [(e["action"], e["request_id"]) for e in events] == [
        ("model.update", fresh),
        ("model.create", "deploy-7"),
    ]
    assert events[0]["before"] == {"owner": "ada"}
    assert events[0]["after"] == {"owner": "eve"}


def test_what_is_deleted_is_kept_in_its_event(api: Api) -> None:
    api.post("models/", {"name": "digits", "owner": "eve"})
    api.call("delete", "models/digits/")
    assert AuditEvent.objects.get(action="model.delete").before["owner"] == "eve"


def found(api: Api, **query: Any) -> list[str]:
    text = "&".join(f"{name}={quote(str(value))}" for name, value in query.items())
    return [event["object_name"] for event in api.get(f"audit/?{text}").json()["results"]]


def test_events_are_found_by_everything_they_have(api: Api) -> None:
    for name in ("a", "b"):
        api.call("post", "models/", {"name": name}, **{"X-Request-Id": f"make-{name}"})
    api.post("endpoints/", {"name": "a"})
    b = AuditEvent.objects.get(object_name="b")
    assert found(api, object_name="a") == ["a", "a"]
    assert found(api, object_type="model") == ["b", "a"]
    assert found(api, object_type="model", object_name="a") == ["a"]
    assert found(api, object_id=b.object_id) == ["b"]
    assert found(api, action="endpoint.create") == ["a"]
    assert found(api, request_id="make-b") == ["b"]
    assert found(api, actor="ada", ordering="id") == ["a", "b", "a"]
    assert found(api, actor="eve") == []
    assert found(api, since=b.at.isoformat()) == ["a", "b"]
    assert found(api, until=b.at.isoformat()) == ["a"]
    assert found(api, since=(b.at + timedelta(hours=1)).isoformat()) == []


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("since=noon", "/since"), ("until=2026-01-01", "/until"), ("actor=%00", "/actor")],
)
def test_a_filter_that_means_nothing(api: Api, query: str, pointer: str) -> None:
    assert pointer in problem(api.get(f"audit/?{query}"), 400)


def test_events_about_people_are_for_who_may_see_people(api: Api, reader: Api) -> None:
    api.post("tokens/", {"name": "ada's", "role": "viewer"})
    reader.post("tokens/", {"name": "ben's", "role": "viewer"})
    api.post("models/", {"name": "digits"})
    assert found(api) == ["digits", "ben's", "ada's"]
    assert found(reader) == ["digits", "ben's"]
