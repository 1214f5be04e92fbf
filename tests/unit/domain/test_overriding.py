"""Overrides: how they are laid over a profile, what is refused, and what comes out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from control_plane.adapters.profiles import load_profile
from control_plane.domain.planning.changes import changes
from control_plane.domain.planning.compiling import compile_plan
from control_plane.domain.planning.effective import serving_of
from control_plane.domain.planning.plan import Plan
from control_plane.domain.routing.document import parse_policy, to_document
from control_plane.domain.routing.policy import RoutingPolicy
from control_plane.domain.serving.overriding import merged, overridden
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.violations import InvalidInputError, Violation
from tests.support.plans import plan, policy, version
from tests.support.profiles import profiles

VERSIONS = {("digits", number): version(number) for number in (1, 2)}


def profile_of(**values: Any) -> ServingProfile:
    return ServingProfile.from_values("p", values)


def refused(profile: ServingProfile, overrides: Any) -> list[Violation]:
    with pytest.raises(InvalidInputError) as caught:
        overridden(profile, overrides, "/o")
    return list(caught.value.violations)


@given(profiles())
def test_saying_nothing_changes_nothing(values: dict[str, Any]) -> None:
    profile = ServingProfile.from_values("p", values)
    assert overridden(profile, {}) == profile


@given(profiles(), profiles())
def test_what_is_said_holds_and_the_rest_stays(one: dict[str, Any], two: dict[str, Any]) -> None:
    """Of any two profiles that go together: word by word, saying it twice as saying it once."""
    base = ServingProfile.from_values("p", one)
    said = ServingProfile.from_values("p", two).to_document()
    for name in ("description", "parameters", "optimization"):
        said.pop(name, None)  # what a request may not say of these has tests of its own
    try:
        result = overridden(base, said)
    except InvalidInputError:
        return
    document, before = result.to_document(), base.to_document()
    assert overridden(result, said) == result
    for name, value in said.items():
        if not isinstance(value, dict):
            assert document[name] == value
    displaced = {"dynamic_batching", "sequence_batching"}
    for name in before.keys() - said.keys() - displaced:
        assert document[name] == before[name]


@given(profiles(), profiles(), profiles())
def test_layers_may_be_put_together_first(
    base: dict[str, Any], one: dict[str, Any], two: dict[str, Any]
) -> None:
    """A merge patch after another is their merge patch, as long as neither takes away."""
    assert merged(merged(base, one), two) == merged(base, merged(one, two))


def test_tables_are_merged_lists_replaced_and_null_takes_away() -> None:
    profile = profile_of(
        max_batch_size=8,
        dynamic_batching={"max_queue_delay_microseconds": 100, "preferred_batch_size": [4, 8]},
        instance_group=[{"count": 2}, {"count": 1, "kind": "KIND_GPU"}],
    )
    result = overridden(
        profile,
        {
            "dynamic_batching": {"preferred_batch_size": [8], "max_queue_delay_microseconds": None},
            "instance_group": {"count": 3},
        },
    )
    assert result.max_batch_size == 8
    assert result.dynamic_batching
    assert result.dynamic_batching.preferred_batch_size == (8,)
    assert result.dynamic_batching.max_queue_delay_microseconds == 0
    assert [group.count for group in result.instance_group] == [3]
    assert overridden(profile, {"dynamic_batching": None}).dynamic_batching is None


def test_one_of_two_that_exclude_each_other_takes_the_others_place() -> None:
    batching = profile_of(max_batch_size=8, dynamic_batching={})
    sequences = overridden(batching, {"sequence_batching": {"oldest": {}}})
    assert (sequences.dynamic_batching, sequences.max_batch_size) == (None, 8)
    direct = overridden(sequences, {"sequence_batching": {"direct": {}}})
    assert direct.sequence_batching
    assert direct.sequence_batching.oldest is None
    assert overridden(direct, {"dynamic_batching": {}}).sequence_batching is None
    # Who says both is told, as in a profile.
    both = {"dynamic_batching": {}, "sequence_batching": {}}
    assert "not both" in refused(batching, both)[0].detail


def test_what_comes_out_is_checked_as_a_whole() -> None:
    profile = profile_of(max_batch_size=8, dynamic_batching={"preferred_batch_size": [8]})
    [found] = refused(profile, {"max_batch_size": 4})
    assert found.pointer == "/o/dynamic_batching/preferred_batch_size/0"
    assert "above max_batch_size, which is 4" in found.detail


@pytest.mark.parametrize(
    ("overrides", "pointer"),
    [
        ([], "/o"),
        ({"max_batch": 4}, "/o/max_batch"),
        ({"description": "mine"}, "/o/description"),
        (
            {"parameters": {"EXECUTION_ENV_PATH": "/srv/x.tar.gz"}},
            "/o/parameters/EXECUTION_ENV_PATH",
        ),
        (
            {
                "optimization": {
                    "execution_accelerators": {"gpu_execution_accelerator": [{"name": "mine"}]}
                }
            },
            "/o/optimization/execution_accelerators/gpu_execution_accelerator/0/name",
        ),
        ({"metric_tags": {"a": "b\0"}}, "/o/metric_tags/a"),
        ({"metric_tags": {"a": "b" * 17_000}}, "/o"),
    ],
)
def test_what_is_refused_has_its_place(overrides: Any, pointer: str) -> None:
    assert refused(profile_of(), overrides)[0].pointer == pointer


def test_a_built_in_profiles_own_parameters_are_no_reason_to_refuse() -> None:
    """Who wrote the file may set anything; the request says nothing of it."""
    profile = profile_of(parameters={"EXECUTION_ENV_PATH": "/opt/env.tar.gz"})
    result = overridden(profile, {"parameters": {"intra_op_thread_count": "2"}})
    assert set(result.parameters) == {"EXECUTION_ENV_PATH", "intra_op_thread_count"}


# In a policy


def with_overrides(**overrides: Any) -> RoutingPolicy:
    first, second = policy((1, 9000), (2, 1000)).arms
    return RoutingPolicy((first, replace(second, overrides=overrides or None)))


def compiled(**overrides: Any) -> Plan:
    return compile_plan(
        endpoint="digits", generation=1, policy=with_overrides(**overrides), versions=VERSIONS
    )


def test_an_arms_overrides_are_another_physical_model_of_the_same_version() -> None:
    plain, own = compiled(), compiled(max_batch_size=4)
    assert own.arms[0].physical == plain.arms[0].physical
    assert own.arms[1].physical != plain.arms[1].physical
    assert own.models[1].variants["cpu"]["max_batch_size"] == 4
    # The router takes what every arm takes.
    assert own.router.max_batch_size == 4
    said = [change.detail for change in changes(plain, own) if change.arm == "digits-v2"]
    assert 'overrides none -> {"max_batch_size": 4}' in said


def test_overrides_that_do_not_fit_are_refused_at_their_arm() -> None:
    with pytest.raises(InvalidInputError) as caught:
        compiled(max_batch_size=-1)
    assert caught.value.violations[0].pointer == "/arms/1/overrides/max_batch_size"


def test_a_policy_keeps_them_and_a_plan_survives_the_round_trip() -> None:
    own = compiled(max_batch_size=4)
    assert parse_policy(to_document(own.routing)) == own.routing
    again = Plan.from_document(own.to_document())
    assert (again, again.digest) == (own, own.digest)
    # Plans without any are written as before there were overrides.
    assert "overrides" not in plan(1, (1, 10000)).to_document()["arms"][0]


def test_what_comes_out_is_said_with_what_it_was_made_of() -> None:
    profile = load_profile("realtime")
    of_version = {"metric_tags": {"team": "vision"}}
    spec = replace(version(2), profile=overridden(profile, of_version), overrides=of_version)
    own = compiled(max_batch_size=4)
    [first, second] = serving_of(own, {**VERSIONS, ("digits", 2): spec})
    assert first.effective == profile.to_document()
    assert (second.of_version, second.of_arm) == (of_version, {"max_batch_size": 4})
    assert second.effective == {**profile.to_document(), **of_version, "max_batch_size": 4}


def test_the_kill_switch_asks_nothing_of_overrides() -> None:
    """The profile may have become one that they do not fit: what is loaded serves."""
    before = compiled(max_batch_size=4)
    stricter = {key: replace(spec, profile=profile_of()) for key, spec in VERSIONS.items()}
    narrow = {
        **stricter,
        ("digits", 2): replace(
            VERSIONS["digits", 2],
            profile=profile_of(max_batch_size=8, model_warmup={"batch_sizes": [8]}),
        ),
    }
    urgent = compile_plan(
        endpoint="digits",
        generation=2,
        policy=with_overrides(max_batch_size=4),
        versions=narrow,
        previous=before,
        urgent=True,
    )
    assert urgent.physical_names == before.physical_names
