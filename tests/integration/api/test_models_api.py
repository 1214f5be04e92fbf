"""A model's own words, and finding models and versions in long lists."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from control_plane.audit.models import AuditEvent
from control_plane.registry.models import Model, ModelVersion
from tests.integration.api.conftest import Api
from tests.integration.api.test_registry_api import problem

SLA = {"p99_ms": 20.0, "availability_percent": 99.9, "required_qps": 500.0}


def test_a_model_has_a_service_level(api: Api) -> None:
    made = api.post("models/", {"name": "digits", "sla": SLA})
    assert made.status_code == 201, made.content
    assert made.json()["sla"] == SLA
    body = api.call("patch", "models/digits/", {"sla": {"p99_ms": 15, "required_qps": None}})
    assert body.json()["sla"] == {"p99_ms": 15.0, "availability_percent": 99.9}
    assert AuditEvent.objects.first().after == {"sla": body.json()["sla"]}
    assert api.call("patch", "models/digits/", {"sla": None}).json()["sla"] is None
    api.post("models/", {"name": "plain"})
    assert api.get("models/plain").json()["sla"] is None


@pytest.mark.parametrize(
    ("sla", "where"),
    [
        ({"p99_ms": 0}, {"/sla/p99_ms": "range"}),
        ({"p99_ms": "20"}, {"/sla/p99_ms": "range"}),
        ({"p99_ms": True}, {"/sla/p99_ms": "range"}),
        ({"availability_percent": 100.1}, {"/sla/availability_percent": "range"}),
        ({"required_qps": -1}, {"/sla/required_qps": "range"}),
        ({"p95_ms": 1}, {"/sla/p95_ms": "unknown"}),
        ([], {"/sla": "type"}),
        ("fast", {"/sla": "type"}),
    ],
)
def test_a_service_level_that_cannot_be(api: Api, sla: Any, where: dict[str, str]) -> None:
    assert problem(api.post("models/", {"name": "digits", "sla": sla}), 400) == where
    api.post("models/", {"name": "digits"})
    assert problem(api.call("patch", "models/digits/", {"sla": sla}), 400) == where


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_the_database_holds_it_too(api: Api, value: float) -> None:
    api.post("models/", {"name": "digits"})
    with pytest.raises(IntegrityError, match="sla_p99_ms"), transaction.atomic():
        Model.objects.update(sla_p99_ms=value)


def test_tags_are_merged(api: Api) -> None:
    api.post("models/", {"name": "digits", "tags": {"team": "vision", "stage": "trial"}})
    patch = {"tags": {"stage": None, "tier": "1"}}
    body = api.call("patch", "models/digits/", patch).json()
    assert body["tags"] == {"team": "vision", "tier": "1"}
    count = AuditEvent.objects.count()
    assert api.call("patch", "models/digits/", patch).json() == body
    assert AuditEvent.objects.count() == count
    assert "/tags/a" in problem(api.call("patch", "models/digits/", {"tags": {"a": 1}}), 400)


def test_models_show_their_aliases(digits: Api) -> None:
    digits.call("put", "models/digits/aliases/champion/", {"version": 1})
    digits.call("put", "models/digits/aliases/challenger/", {"version": 2})
    [listed] = digits.get("models/").json()["results"]
    assert listed["aliases"] == {"challenger": 2, "champion": 1}
    assert listed["latest_version"] == 2
    assert listed == digits.get("models/digits").json()


def names(api: Api, query: str) -> list[str]:
    response = api.get(f"models/?{query}")
    assert response.status_code == 200, response.content
    return [model["name"] for model in response.json()["results"]]


@pytest.fixture
def shelf(digits: Api) -> Api:
    """`digits` and three models without versions."""
    digits.call("put", "models/digits/aliases/champion/", {"version": 1})
    for name, owner, tags in (
        ("speech", "ada", {"team": "audio"}),
        ("faces", "eve", {"team": "vision", "gpu": ""}),
        ("plain", "eve", {}),
    ):
        digits.post("models/", {"name": name, "owner": owner, "tags": tags})
    return digits


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("owner=eve", ["faces", "plain"]),
        ("tag=team", ["faces", "speech"]),
        ("tag=team:vision", ["faces"]),
        ("tag=team:vision&tag=gpu", ["faces"]),
        ("tag=team:audio&tag=gpu", []),
        ("tag=gpu:", ["faces"]),
        ("alias=champion", ["digits"]),
        ("alias=none", []),
        ("state=ready", ["digits"]),
        ("state=archived", []),
        ("framework=onnx", ["digits"]),
        ("owner=eve&search=fac", ["faces"]),
        ("owner=eve&ordering=-name", ["plain", "faces"]),
    ],
)
def test_models_are_found(shelf: Api, query: str, found: list[str]) -> None:
    assert names(shelf, query) == found


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("state=gone", "/state"),
        ("team=vision", "/team"),
        ("owner=%00", "/owner"),
        ("tag=%00", "/tag"),
        ("tag=a&tag=%00", "/tag"),
        ("&".join(["tag=a"] * 11), "/tag"),
    ],
)
def test_a_filter_that_cannot_be_is_refused(api: Api, query: str, where: str) -> None:
    assert where in problem(api.get(f"models/?{query}"), 400)


def numbers(api: Api, query: str) -> list[int]:
    response = api.get(f"models/digits/versions/?{query}")
    assert response.status_code == 200, response.content
    return [version["version"] for version in response.json()["results"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("metric=accuracy>=0.95", [2]),
        ("metric=accuracy>0.89", [2, 1]),
        ("metric=accuracy<0.95", [1]),
        ("metric=holdout/accuracy>=0.9", [2]),
        ("metric=holdout/accuracy>=0.95", []),
        ("metric=holdout>0", []),
        ("metric=accuracy>0.5&metric=loss<=0.2", [1]),
        ("metric=none>0", []),
        ("state=ready", [2, 1]),
        ("state=rejected", []),
        ("alias=champion", [1]),
        ("tag=stage:trial", [2]),
        ("framework=onnx&ordering=number", [1, 2]),
        ("search=better", [2]),
    ],
)
def test_versions_are_found(digits: Api, query: str, found: list[int]) -> None:
    digits.call("put", "models/digits/aliases/champion/", {"version": 1})
    digits.call("patch", "models/digits/versions/1", {"metrics": {"accuracy": 0.9, "loss": 0.2}})
    metrics = {"accuracy": 0.98, "holdout": {"accuracy": 0.93}}
    words = {"metrics": metrics, "tags": {"stage": "trial"}, "description": "a better one"}
    digits.call("patch", "models/digits/versions/2", words)
    assert numbers(digits, quote(query, safe="=&")) == found


@pytest.mark.parametrize(
    "metric", ["accuracy", "accuracy>=high", ">=1", "a/b/c>1", "a>1e9999", "a>1e999"]
)
def test_a_threshold_that_cannot_be_read(digits: Api, metric: str) -> None:
    path = f"models/digits/versions/?metric={quote(metric)}"
    assert problem(digits.get(path), 400) == {"/metric": "invalid"}


def test_a_list_needs_as_many_queries_for_fifty_models_as_for_one(digits: Api) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as caught:
            assert digits.get("models/?limit=100").status_code == 200
        return len(caught)

    digits.call("put", "models/digits/aliases/champion/", {"version": 1})
    few = queries()
    first = ModelVersion.objects.get(number=1)
    for i in range(50):
        model = Model.objects.create(name=f"m{i}")
        ModelVersion.objects.create(model=model, number=1, artifact=first.artifact)
        digits.call("put", f"models/m{i}/aliases/champion/", {"version": 1})
    assert queries() == few
