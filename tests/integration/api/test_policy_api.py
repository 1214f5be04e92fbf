"""The whole policy document over the API: taken, refused, previewed, and described."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
import yaml
from django.test import Client
from hypothesis import given

from control_plane.api.policy_schema import EXAMPLES, POLICY
from control_plane.domain.routing.document import parse_policy, to_document
from control_plane.domain.routing.headers import ForwardedHeaders
from control_plane.domain.violations import InvalidInputError
from control_plane.endpoints.models import Endpoint, Revision
from control_plane.registry.models import ModelVersion
from tests.integration.api.conftest import Api
from tests.integration.api.test_endpoints_api import Weights, served
from tests.integration.api.test_registry_api import problem
from tests.support.policies import documents

EVERYTHING = EXAMPLES["everything"]


def router_text() -> str:
    """policy.txt of the present intent."""
    revision = Revision.objects.get(generation=Endpoint.objects.get().generation)
    assert revision.compiled
    return revision.compiled.router.texts["1000000000/policy.txt"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_of_the_docs_page_is_taken(digits: Api, name: str) -> None:
    for version, headers in ((1, {}), (2, {"If-Match": "*"})):
        document = {"steps": [{"model": "digits", "version": version}]}
        assert digits.call("put", "pipelines/digits-png/", document, **headers).status_code < 300
    response = digits.put_policy("digits", EXAMPLES[name])
    assert response.status_code == 202, response.content
    read = digits.get("endpoints/digits/policy")
    assert read.json() == response.json()["policy"]
    assert digits.put_policy("digits", read.json(), if_match=read["ETag"]).status_code == 202
    assert digits.get("endpoints/digits/policy").json() == read.json()


def test_a_policy_with_everything_reaches_the_routers_file(digits: Api) -> None:
    digits.put_policy("digits", EVERYTHING)
    words = [line.split()[0] for line in router_text().splitlines()]
    assert words == [
        "nereid-traffic",
        "endpoint",
        "generation",
        "arm",
        "arm",
        "allowance",
        "slots",
        "sticky",
        "rule",
        "shadow",
        "confidence",
        "breaker",
        "slow_start",
        "rescue",
        "sequences",
    ]
    assert "sticky header x-user-id salt digits" in router_text()


def test_the_slots_of_a_change_go_on_from_the_policy_before(digits: Api, weights: Weights) -> None:
    slots = []
    for percents in ((90, 10), (75, 25), (90, 10)):
        digits.put_policy("digits", weights(*percents))
        slots.append(next(x for x in router_text().splitlines() if x.startswith("slots")))
    assert slots == ["slots 0:9000 1:1000", "slots 0:7500 1:2500", "slots 0:9000 1:1000"]


def test_an_allowance_goes_on_over_changes_of_the_rest(digits: Api) -> None:
    def grant() -> str:
        [line] = [x for x in router_text().splitlines() if x.startswith("allowance")]
        return line.split()[3]

    digits.put_policy("digits", EVERYTHING)
    first = grant()
    digits.put_policy("digits", EVERYTHING | {"sticky": None})
    assert grant() == first
    changed = copy.deepcopy(EVERYTHING)
    changed["arms"][1]["allowance"]["attempts"] = 1  # type: ignore[index]
    digits.put_policy("digits", changed)
    second = grant()
    assert second != first
    # The same numbers once more, by a word of the caller's own.
    changed["arms"][1]["allowance"]["grant"] = "second try"  # type: ignore[index]
    digits.put_policy("digits", changed)
    third = grant()
    assert third not in (first, second)
    digits.put_policy("digits", changed)
    assert grant() == third


def as_throughput(number: int) -> None:
    ModelVersion.objects.filter(number=number).update(profile="throughput")


def test_a_dry_run_tells_of_batches_that_will_be_refused(digits: Api, weights: Weights) -> None:
    as_throughput(1)
    digits.put_policy("digits", weights(100))
    served()
    plan = digits.post("endpoints/digits/plan/", weights(99, 1)).json()
    [finding] = plan["findings"]
    assert (finding["severity"], finding["code"], finding["pointer"]) == (
        "error",
        "smaller_batches",
        "/arms/1",
    )
    assert "batches of 65 to 256 will be refused" in finding["detail"]
    assert "digits-v2 takes at most 64 rows" in finding["detail"]
    assert {
        "action": "limits",
        "arm": "",
        "part": "",
        "detail": "batches of at most 256 -> 64: batches of 65 to 256 will be refused",
    } in plan["changes"]
    digits.put_policy("digits", weights(99, 1))
    served()
    assert digits.post("endpoints/digits/plan/", weights(90, 10)).json()["findings"] == []
    # The kill gives the primary's callers back what the primary takes.
    digits.post("endpoints/digits/kill/")
    killed = Revision.objects.get(generation=3).compiled
    assert killed
    assert killed.max_batch_size == 256


@pytest.mark.parametrize(
    ("change", "pointer", "says"),
    [
        (
            lambda p: p["shadow"][0].update(compare="logit"),
            "/shadow/0/compare",
            "there is no output 'logit'; there are: logits",
        ),
        (
            lambda p: p.update(sticky={"key": "header:authorization"}),
            "/sticky/key",
            "never forwarded",
        ),
        (
            lambda p: p.update(sticky={"key": "header:x-region"}),
            "/sticky/key",
            "add it to NEREID_FORWARD_HEADERS",
        ),
        (lambda p: p["rules"][0].update(arm="nobody"), "/rules/0/arm", "stable, candidate"),
        (
            lambda p: p["arms"][0].update(allowance={"attempts": 1}),
            "/arms/0/allowance",
            "leave it out here",
        ),
        (lambda p: p.update(mode="adaptive"), "/objective", '"alpha": 1'),
        (
            lambda p: p.update(mode="adaptive", objective={"alpha": 1, "explore": 0}, sticky=None),
            "/objective/explore",
            "an arm that was slow once would never be tried again",
        ),
        (lambda p: p["breaker"].update(window=10), "/breaker/window", '"90s"'),
    ],
)
def test_what_is_refused_says_where_and_what_to_do(
    digits: Api, change: Callable[[Any], None], pointer: str, says: str
) -> None:
    policy = copy.deepcopy(EVERYTHING)
    change(policy)
    for response in (
        digits.put_policy("digits", policy),
        digits.post("endpoints/digits/plan/", policy),
    ):
        assert pointer in problem(response, 400)
        [error] = [e for e in response.json()["errors"] if e["pointer"] == pointer]
        assert says in error["detail"]
    assert Endpoint.objects.get().generation == 0


def test_a_header_that_the_operator_lets_through_is_taken(digits: Api, settings: Any) -> None:
    policy = EVERYTHING | {"sticky": {"key": "header:x-region"}}
    problem(digits.put_policy("digits", policy), 400)
    settings.NEREID_FORWARDED_HEADERS = ForwardedHeaders.of("x-region")
    assert digits.put_policy("digits", policy).status_code == 202
    served()
    digits.put_policy("digits", EVERYTHING)
    served()
    # The way back is open, whatever has become of the setting since.
    settings.NEREID_FORWARDED_HEADERS = ForwardedHeaders()
    assert digits.post("endpoints/digits/rollback/").status_code == 202


def test_a_dry_run_says_every_part_that_would_change(digits: Api, weights: Weights) -> None:
    digits.put_policy("digits", weights(90, 10))
    served()
    policy = copy.deepcopy(EVERYTHING)
    for i, arm in enumerate(policy["arms"]):  # type: ignore[arg-type,var-annotated]
        arm["name"] = f"digits-v{i + 1}"
    policy["rules"][0]["arm"] = policy["shadow"][0]["arm"] = "digits-v2"  # type: ignore[index]
    plan = digits.post("endpoints/digits/plan/", policy).json()
    assert [(c["action"], c["arm"], c["part"]) for c in plan["changes"]] == [
        ("limits", "digits-v2", ""),
        ("policy", "", "sticky"),
        ("policy", "", "rules"),
        ("policy", "", "shadow"),
        ("policy", "", "confidence"),
        ("policy", "", "slow_start"),
    ]
    assert "+sticky header x-user-id salt digits" in plan["diff"]
    assert plan["loads"] == plan["unloads"] == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, None),
        ({"breaker": None}, "no_breaker"),
        ({"breaker": None, "rescue": None}, "unprotected"),
        ({"sticky": {"key": "sequence"}}, "sticky_sequence"),
        ({"shadow": [{"arm": "digits-v2", "percent": 5}]}, "busy_shadow"),
    ],
)
def test_a_dry_run_warns_of_what_is_rarely_meant(
    digits: Api, weights: Weights, change: dict[str, Any], code: str | None
) -> None:
    plan = digits.post("endpoints/digits/plan/", weights(90, 10) | change).json()
    assert [f["code"] for f in plan["findings"]] == ([code] if code else [])
    assert all(f["severity"] == "warning" and f["detail"] for f in plan["findings"])


def test_a_limited_primary_and_an_idle_arm_are_worth_a_warning(
    digits: Api, weights: Weights
) -> None:
    policy = weights(100, 0)
    policy["arms"][0]["max_in_flight"] = 10
    plan = digits.post("endpoints/digits/plan/", policy).json()
    assert [(f["code"], f["pointer"]) for f in plan["findings"]] == [
        ("idle_arm", "/arms/1/weight"),
        ("limited_primary", "/arms/0/max_in_flight"),
    ]
    # An arm without a share that a rule sends requests to is not idle.
    rule = {"when": {"parameter:tester": {"equals": True}}, "arm": "digits-v2"}
    plan = digits.post("endpoints/digits/plan/", weights(100, 0) | {"rules": [rule]}).json()
    assert plan["findings"] == []


def as_json_schema(schema: Any) -> Any:
    """OpenAPI 3.0's `nullable` in the words of JSON Schema."""
    if isinstance(schema, list):
        return [as_json_schema(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: as_json_schema(value) for key, value in schema.items() if key != "nullable"}
    if schema.get("nullable"):
        found["type"] = [schema["type"], "null"]
    return found


VALIDATOR = jsonschema.Draft202012Validator(as_json_schema(POLICY))


@given(documents(grants=True))
def test_the_schema_describes_what_is_taken_and_what_is_shown(document: dict[str, Any]) -> None:
    for rule in document.get("rules", ()):  # numbers and truth values are taken as texts
        for tests in rule["when"].values():
            if "in" in tests:
                tests["in"] = [str(value) for value in tests["in"]]
    VALIDATOR.validate(document)
    VALIDATOR.validate(to_document(parse_policy(document)))


@pytest.mark.parametrize("part", ["breaker", "rescue", "sequences"])
def test_the_defaults_of_the_schema_are_those_in_force(part: str) -> None:
    shown = to_document(parse_policy({"arms": [{"model": "m", "version": 1, "weight": 100}]}))
    described = POLICY["properties"][part]["properties"]
    assert {k: v["default"] for k, v in described.items() if "default" in v} == shown[part]


def test_the_schema_explores_as_much_as_the_domain() -> None:
    document = {**EXAMPLES["adaptive"], "objective": {"alpha": 1}}
    shown = to_document(parse_policy(document))["objective"]
    described = POLICY["properties"]["objective"]["properties"]
    assert {key: value["default"] for key, value in described.items()} == shown | {"alpha": 0}
    least = described["explore"]["minimum"]
    parse_policy({**document, "objective": {"alpha": 1, "explore": least}}, ForwardedHeaders())
    with pytest.raises(InvalidInputError, match="tried again"):
        parse_policy(
            {**document, "objective": {"alpha": 1, "explore": least / 2}}, ForwardedHeaders()
        )


def test_the_docs_page_has_the_policy_and_the_kill_switch() -> None:
    document = yaml.safe_load(Client().get("/api/schema/").content)
    assert set(document["components"]["schemas"]["RoutingPolicy"]["properties"]) == set(
        POLICY["properties"]
    )
    paths = {path.rstrip("/"): methods for path, methods in document["paths"].items()}
    put = paths["/api/v1/endpoints/{name}/policy"]["put"]["requestBody"]["content"]
    body = put["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/RoutingPolicy"}
    assert {"sticky", "rules", "shadow"} <= set(body["examples"]["Everything"]["value"])
    kill = paths["/api/v1/endpoints/{name}/kill"]["post"]
    assert kill["requestBody"]["content"]["application/json"]["examples"]
    assert "202" in kill["responses"]
