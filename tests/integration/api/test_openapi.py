"""The OpenAPI document: without a warning, with examples everywhere, and true of what is served."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
import yaml
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import given, settings
from hypothesis.strategies import one_of
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode, openapi
from schemathesis.checks import CHECKS

from control_plane.api.document import operations
from tests.integration.api.conftest import Api

# A value may fit the document and still break a rule that no schema can say: that weights add up
# to 100, that a version exists. Its refusal is what is wanted, and has its own tests.
UNSAID = ("positive_data_acceptance",)

pytestmark = pytest.mark.usefixtures("telemetry_there")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    written = io.StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=written)
    loaded: dict[str, Any] = yaml.safe_load(written.getvalue())
    return loaded


def test_every_operation_is_explained_and_says_how_it_refuses(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        assert operation.get("summary"), f"{method} {path} has no summary"
        if operation.get("security") and path != "/api/v1/health/":
            assert {"400", "401", "403", "429"} <= operation["responses"].keys(), path
        for status, response in operation["responses"].items():
            if status >= "400" and path != "/api/v1/health/":
                assert list(response["content"]) == ["application/problem+json"]


def test_every_body_has_an_example_that_its_schema_allows(document: dict[str, Any]) -> None:
    components = with_null(document["components"])
    for path, method, operation in operations(document):
        bodies = [("request", operation.get("requestBody", {}))]
        bodies += list(operation["responses"].items())
        for where, body in bodies:
            for kind, content in body.get("content", {}).items():
                if "json" not in kind:
                    continue
                shown = [example["value"] for example in content.get("examples", {}).values()]
                shown += [content["example"]] if "example" in content else []
                assert shown, f"{method} {path} {where} has no example"
                for value in shown:
                    problem = wrong(value, content["schema"], components)
                    assert not problem, f"{method} {path} {where}: {problem}"


def wrong(value: Any, schema: dict[str, Any], components: dict[str, Any]) -> str:
    """What is wrong with a value, in words; the components are JSON Schema's already."""
    whole = {**with_null(schema), "components": components}
    found = next(Draft202012Validator(whole).iter_errors(value), None)
    return "" if found is None else f"{found.json_path}: {found.message[:300]}"


def with_null(schema: Any) -> Any:
    """OpenAPI 3.0's `nullable` and limits as JSON Schema says them."""
    if isinstance(schema, list):
        return [with_null(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    mended = {key: with_null(part) for key, part in schema.items() if key != "nullable"}
    if mended.get("exclusiveMinimum") is True:
        mended["exclusiveMinimum"] = mended.pop("minimum")
    return {"anyOf": [mended, {"type": "null"}]} if schema.get("nullable") is True else mended


served = openapi.from_wsgi("/api/schema/", get_wsgi_application())
# These are refusals too: of a precondition, and of what is too large.
served.config.checks.negative_data_rejection.expected_statuses += ["412", "413"]

# Whether all is well is another question: without a broker, as here, /health/ rightly says 503.
OPERATIONS = {
    operation.label: operation
    for operation in (found.ok() for found in served.get_all_operations())
    if operation.path != "/api/v1/health/"
}


@contextmanager
def one_connection() -> Iterator[None]:
    """The test's transaction outlives its requests, as with Django's own test client."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)


@schemathesis.serializer("application/offset+octet-stream")
def part_of_an_upload(context: Any, value: Any) -> bytes:
    """A part as it goes on the wire: bytes that mean nothing by themselves."""
    return value if isinstance(value, bytes) else str(value).encode()


def hold(label: str, api: Api, examples: int) -> None:
    """Sends requests that the document allows, and ones that it does not, and checks answers."""
    excluded = CHECKS.get_by_names(UNSAID)
    cases = one_of(
        OPERATIONS[label].as_strategy(generation_mode=mode)
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    )

    @settings(max_examples=examples, deadline=None, database=None)
    @given(case=cases)
    def holds(case: Any) -> None:
        case.call_and_validate(headers=dict(api._headers), excluded_checks=excluded)

    with one_connection():
        holds()


@pytest.mark.parametrize("label", OPERATIONS)
def test_the_document_is_true(digits: Api, label: str) -> None:
    hold(label, digits, examples=3)


@pytest.mark.long
@pytest.mark.parametrize("label", OPERATIONS)
def test_the_document_is_true_of_many_requests(digits: Api, label: str) -> None:
    hold(label, digits, examples=150)
