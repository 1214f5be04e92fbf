"""Rules: what a request carries decides where it goes, before every other way of choosing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.backends.arms import Stage, version_of

ALL_PRIMARY = [10_000, 0, 0]


@pytest.fixture(scope="module")
def ruled(stage: Stage) -> str:
    """Testers to 2, one tenant's robots to 3, a region to 2, and a first rule above them all."""
    stage.endpoint(
        "ruled",
        ALL_PRIMARY,
        "rule 0 parameter force equals primary",
        "rule 1 header x-user-group in testers staff%20%C3%BC",
        "rule 2 header x-tenant-id equals blue",
        "and parameter agent prefix robot-",
        "rule 1 parameter region prefix eu-",
        "rule 2 parameter n equals 42",
        "rule 2 parameter truth equals true",
        'rule 1 parameter nothing equals ""',
    )
    return "ruled"


@pytest.mark.parametrize(
    ("headers", "parameters", "version"),
    [
        ({}, {}, 1),
        ({"x-user-group": "testers"}, {}, 2),
        ({"X-User-Group": "testers"}, {}, 2),
        ({"x-user-group": "Testers"}, {}, 1),
        ({"x-user-group": "tester"}, {}, 1),
        ({"x-user-group": "testers2"}, {}, 1),
        ({"x-tenant-id": "blue"}, {}, 1),
        ({"x-tenant-id": "blue"}, {"agent": "robot-7"}, 3),
        ({"x-tenant-id": "blue"}, {"agent": "robot-"}, 3),
        ({"x-tenant-id": "blue"}, {"agent": "robot"}, 1),
        ({"x-tenant-id": "green"}, {"agent": "robot-7"}, 1),
        ({}, {"agent": "robot-7"}, 1),
        ({}, {"region": "eu-west"}, 2),
        ({}, {"region": "us-eu-west"}, 1),
        ({}, {"Region": "eu-west"}, 1),
        ({}, {"n": 42}, 3),
        ({}, {"n": "42"}, 3),
        ({}, {"n": 421}, 1),
        ({}, {"truth": True}, 3),
        ({}, {"truth": False}, 1),
        ({}, {"nothing": ""}, 2),
        ({}, {"nothing": "x"}, 1),
        # The first rule that holds decides.
        ({"x-user-group": "testers"}, {"force": "primary"}, 1),
        ({"x-user-group": "testers", "x-tenant-id": "blue"}, {"agent": "robot-1"}, 2),
        ({"x-tenant-id": "blue"}, {"agent": "robot-1", "region": "eu-1"}, 3),
    ],
)
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_the_first_rule_that_holds_decides(
    stage: Stage,
    ruled: str,
    protocol: str,
    headers: dict[str, str],
    parameters: dict[str, Any],
    version: int,
) -> None:
    if protocol == "grpc":
        # gRPC metadata are in lower case by definition.
        lower = {name.lower(): value for name, value in headers.items()}
        answer = stage.ask(ruled, parameters, headers=lower)
        assert version_of(answer) == version
    else:
        assert version_of(stage.ask_http(ruled, parameters, headers=headers)) == version


def test_a_text_of_other_than_ascii_is_matched_byte_by_byte(stage: Stage) -> None:
    stage.endpoint("bytes", [10_000, 0], "rule 1 parameter name in Zo%C3%AB a%20b")
    for value, version in (("Zoë", 2), ("a b", 2), ("Zoe", 1), ("Zoe\u0308", 1)):
        assert version_of(stage.ask("bytes", {"name": value})) == version
        assert version_of(stage.ask_http("bytes", {"name": value})) == version


def test_headers_that_are_not_forwarded_do_not_count(stage: Stage) -> None:
    stage.endpoint("secret", [10_000, 0], "rule 1 header authorization prefix Bearer")
    headers = {"authorization": "Bearer x"}
    assert version_of(stage.ask("secret", headers=headers)) == 1
    assert version_of(stage.ask_http("secret", headers={"Authorization": "Bearer x"})) == 1


def test_a_header_rule_holds_for_a_parameter_of_that_name(stage: Stage, ruled: str) -> None:
    # Triton hands headers over as parameters: there is no telling them apart.
    assert version_of(stage.ask(ruled, {"x-user-group": "testers"})) == 2


def test_an_arm_without_slots_gets_what_a_rule_sends(stage: Stage, ruled: str) -> None:
    before = stage.outcomes(ruled).get("v3 ok", 0)
    assert stage.arms(ruled, 10, {"n": 42}) == {3: 10}
    stage.expect(ruled, stage.outcomes(ruled) | {"v3 ok": before + 10})


def test_a_pinned_version_knows_no_rules(stage: Stage, ruled: str) -> None:
    for version in (1, 2, 3):
        answered = stage.arms(ruled, 5, {"n": 42}, model_version=str(version))
        assert answered == {version: 5}


def test_a_new_policy_has_its_own_rules_at_once(stage: Stage) -> None:
    stage.endpoint("switched", [10_000, 0], "rule 1 parameter a equals 1")
    assert version_of(stage.ask("switched", {"a": 1})) == 2
    stage.route("switched", [10_000, 0], "rule 1 parameter a equals 2")
    assert version_of(stage.ask("switched", {"a": 1})) == 1
    assert version_of(stage.ask("switched", {"a": 2})) == 2
    stage.route("switched", [10_000, 0])  # everything back to the primary
    assert version_of(stage.ask("switched", {"a": 2})) == 1


def test_a_policy_with_a_word_nobody_knows_is_refused_and_the_old_one_stays(stage: Stage) -> None:
    stage.endpoint("refused", [10_000, 0], "rule 1 parameter a equals 1")
    with pytest.raises(RuntimeError, match=r"policy\.txt: line 7: "):
        stage.route("refused", [10_000, 0], "rule 1 parameter a resembles 1")
    assert version_of(stage.ask("refused", {"a": 1})) == 2
    stage.route("refused", [10_000, 0])


def test_rules_match_on_a_stream_too(stage: Stage, ruled: str) -> None:
    answers = stage.stream(ruled, [{"n": 42}, {}, {"region": "eu-1"}])
    assert sorted(version_of(answer) for answer in answers) == [1, 2, 3]


def test_many_rules(stage: Stage) -> None:
    rules = [f"rule {number % 3} parameter n equals {number}" for number in range(300)]
    stage.endpoint("many", ALL_PRIMARY, *rules)
    for number in range(0, 300, 7):
        assert version_of(stage.ask("many", {"n": number})) == number % 3 + 1
