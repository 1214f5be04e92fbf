"""Versions of all models: which were rejected, whose they are, what tag they have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext

from control_plane.access.models import Grant
from control_plane.registry.models import Model, ModelVersion
from tests.integration.api.conftest import Api, token_of
from tests.integration.api.test_registry_api import problem

PATH = "versions/"


def made(model: str, number: int, **values: Any) -> ModelVersion:
    owner, _ = Model.objects.get_or_create(name=model, defaults={"created_by": "ada"})
    values.setdefault("state", "rejected")
    values.setdefault("state_reason", "opset 99")
    return ModelVersion.objects.create(
        model=owner, number=number, framework="onnx", profile="realtime", **values
    )


def pages(api: Api, query: str) -> Iterator[dict[str, Any]]:
    path = f"{PATH}?{query}"
    while path:
        page = api.get(path).json()
        yield from page["results"]
        path = PATH + "?" + page["next"].partition("?")[2] if page["next"] else ""


def names(api: Api, query: str = "") -> list[str]:
    return [f"{row['model']}:{row['version']}" for row in pages(api, query)]


@pytest.fixture
def registry(api: Api) -> Api:
    made("digits", 1, created_by="ada", tags={"stage": "trial"})
    made("faces", 1, created_by="ben", state="uploading", tags={"stage": "live"})
    made("faces", 2, created_by="ada", metrics={"accuracy": 0.9})
    made("words", 1, created_by="ben", state="archived", tags={"stage": "trial", "team": "nlp"})
    return api


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["words:1", "faces:2", "faces:1", "digits:1"]),
        ("ordering=created_at", ["digits:1", "faces:1", "faces:2", "words:1"]),
        ("limit=1", ["words:1", "faces:2", "faces:1", "digits:1"]),
        ("state=rejected", ["faces:2", "digits:1"]),
        ("state=rejected&created_by=ada&tag=stage:trial", ["digits:1"]),
        ("created_by=ben", ["words:1", "faces:1"]),
        ("tag=stage", ["words:1", "faces:1", "digits:1"]),
        ("tag=stage:trial&tag=team", ["words:1"]),
        ("model=faces", ["faces:2", "faces:1"]),
        ("model=nowhere", []),
        ("search=ACE", ["faces:2", "faces:1"]),
        ("metric=accuracy>=0.9", ["faces:2"]),
    ],
)
def test_versions_are_found_across_models(registry: Api, query: str, found: list[str]) -> None:
    assert names(registry, query) == found


def test_what_is_no_filter_is_refused(registry: Api) -> None:
    assert problem(registry.get(f"{PATH}?color=red"), 400) == {"/color": "unknown"}
    assert problem(registry.get(f"{PATH}?ordering=number"), 400) == {"/ordering": "invalid"}
    problem(registry.get(f"{PATH}?state=happy"), 400)


def test_a_grant_shows_its_model_alone(registry: Api) -> None:
    gus = Api(token_of("gus"))
    problem(gus.get(PATH), 403)
    user = get_user_model().objects.get(username="gus")
    Grant.objects.create(user=user, kind="model", name="faces", role="viewer", created_by="ada")
    assert names(gus) == ["faces:2", "faces:1"]


def test_a_long_list_takes_as_many_queries_as_a_short_one(registry: Api) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as caught:
            assert registry.get(f"{PATH}?limit=200").status_code == 200
        return len(caught)

    queries()
    few = queries()
    for number in range(3, 60):
        made("faces", number, created_by="ada")
    assert queries() == few
