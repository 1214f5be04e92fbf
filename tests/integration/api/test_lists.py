"""Orders of lists, the revision that served at a time, and what a removal answers."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from control_plane.endpoints.models import Revision
from tests.integration.api.conftest import Api
from tests.integration.api.test_endpoints_api import served
from tests.integration.api.test_registry_api import ONNX, problem

Weights = Callable[..., dict[str, Any]]


def names(api: Api, query: str) -> list[str]:
    page = api.get(f"models/?{query}").json()
    found = [model["name"] for model in page["results"]]
    while page["next"]:
        page = api.get("models/?" + page["next"].partition("?")[2]).json()
        found += [model["name"] for model in page["results"]]
    return found


def test_lists_are_ordered_by_what_is_allowed(api: Api) -> None:
    for name in ("b", "c", "a"):
        api.post("models/", {"name": name})
    assert names(api, "limit=2") == ["a", "b", "c"]
    assert names(api, "limit=2&ordering=-name") == ["c", "b", "a"]
    assert names(api, "limit=1&ordering=created_at") == ["b", "c", "a"]
    assert names(api, "limit=2&ordering=-created_at") == ["a", "c", "b"]
    for wanted in ("owner", "versions__number", "name,created_at", "--name", "pk"):
        assert problem(api.get(f"models/?ordering={wanted}"), 400) == {"/ordering": "invalid"}


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("models/digits/versions/", "-number"),
        ("endpoints/", "-created_at"),
        ("endpoints/digits/revisions/", "number"),
        ("servers/", "-name"),
        ("audit/", "at"),
    ],
)
def test_every_list_has_orders(digits: Api, path: str, field: str) -> None:
    assert digits.get(f"{path}?ordering={field}").status_code == 200
    problem(digits.get(f"{path}?ordering=colour"), 400)


def test_what_served_at_a_time(digits: Api, weights: Weights) -> None:
    for percents, hour in (((100,), 10), ((50, 50), 12)):
        digits.put_policy("digits", weights(*percents))
        served()
        newest = Revision.objects.order_by("-number").first()
        assert newest is not None
        newest.served_from = datetime.fromisoformat(f"2026-01-01T{hour}:00:00+00:00")
        newest.save()

    def at(time: str) -> list[int]:
        path = f"endpoints/digits/revisions/?at={time}"
        return [revision["number"] for revision in digits.get(path).json()["results"]]

    assert at("2026-01-01T09:59:59Z") == []
    assert at("2026-01-01T10:00:00Z") == [1]
    assert at("2026-01-01T12:30:00%2B01:00") == [1]
    assert at("2026-01-01T23:00:00Z") == [2]
    assert problem(digits.get("endpoints/digits/revisions/?at=9999-01-01T00:00:00Z"), 400) == {
        "/at": "future"
    }
    problem(digits.get("endpoints/cats/revisions/?at=2026-01-01T10:00:00Z"), 404)
    (then,) = digits.get("endpoints/digits/revisions/?at=2026-01-01T11:00:00Z").json()["results"]
    assert then["served_until"] == "2026-01-01T12:00:00Z"
    assert [arm["physical"][:10] for arm in then["arms"]] == ["digits.v1."]
    early = "0001-01-01T00:00:00%2B14:00"
    naive = "2026-01-01T10:00:00"
    for nonsense in ("", "noon", early, naive, "2026-01-01", "2026-13-01T10:00:00Z"):
        path = f"endpoints/digits/revisions/?at={nonsense}"
        assert problem(digits.get(path), 400) == {"/at": "invalid"}


def test_a_removal_says_where_to_look(digits: Api) -> None:
    response = digits.call("delete", "endpoints/digits/")
    assert response.status_code == 202
    assert response["Location"] == response.json()["status_url"]
    assert response["Location"].endswith("/api/v1/endpoints/digits")


def test_a_download_has_the_digest_of_rfc_3230(digits: Api) -> None:
    response = digits.get("models/digits/versions/1/download")
    digest = base64.b64encode(hashlib.sha256(ONNX.read_bytes()).digest()).decode()
    assert response["Digest"] == f"sha-256={digest}"
    response.close()


@pytest.mark.parametrize("limit", ["", "0", "-1", "null", "1.5", "²", "ten"])
def test_a_limit_that_is_none_is_refused(api: Api, limit: str) -> None:
    assert problem(api.get(f"models/?limit={limit}"), 400) == {"/limit": "invalid"}


def test_a_limit_above_the_highest_is_the_highest(api: Api) -> None:
    assert api.get(f"models/?limit={'9' * 50}").status_code == 200
