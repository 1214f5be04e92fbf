"""A long list is counted to an end, and asks the database for nothing that it does not show."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from control_plane.console import record_list
from control_plane.console.admin.versions import ModelVersionAdmin
from control_plane.endpoints.models import Endpoint
from control_plane.registry.models import Model
from tests.integration.console.conftest import ready_version

VERSIONS = reverse("admin:registry_modelversion_changelist")
MORE = "and more: search or filter"


def test_a_long_list_is_counted_and_leafed_through_to_an_end(
    digits: Endpoint, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_list, "COUNTED", 4)
    monkeypatch.setattr(ModelVersionAdmin, "list_per_page", 2)
    model = Model.objects.get()
    for number in (3, 4):
        ready_version(model, number)
    page = admin.get(f"{VERSIONS}?p=2")
    assert page.context["cl"].result_count == 4
    assert [row.number for row in page.context["cl"].result_list] == [2, 1]
    assert MORE not in page.content.decode()
    ready_version(model, 5)
    with CaptureQueriesContext(connection) as caught:
        page = admin.get(f"{VERSIONS}?p=2")
    assert page.context["cl"].result_count == 4
    assert [row.number for row in page.context["cl"].result_list] == [3, 2]
    assert MORE in page.content.decode()
    [count] = [one["sql"] for one in caught.captured_queries if "COUNT(" in one["sql"]]
    assert "LIMIT 5" in count


def test_how_many_are_left_is_said_where_something_was_left_out(
    digits: Endpoint, admin: Client
) -> None:
    assert "Show all" not in admin.get(VERSIONS).content.decode()
    assert "Show all" in admin.get(f"{VERSIONS}?q=digits").content.decode()


def test_the_list_reads_what_it_shows_in_one_query(digits: Endpoint, admin: Client) -> None:
    admin.get(VERSIONS)
    with CaptureQueriesContext(connection) as caught:
        assert admin.get(VERSIONS).status_code == 200
    rows = [one["sql"] for one in caught.captured_queries if '"signature"' in one["sql"]]
    assert rows == []
    listed = [
        one for one in caught.captured_queries if 'FROM "registry_modelversion"' in one["sql"]
    ]
    assert len(listed) == 2  # the count and the page
