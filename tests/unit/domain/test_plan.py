from dataclasses import replace
from pathlib import Path

import pytest

from control_plane.adapters.profiles import load_profile, profile_names
from control_plane.adapters.triton.pbtxt import config_text
from control_plane.domain.planning.changes import changes, loads, unified_diff, unloads
from control_plane.domain.planning.compiling import compile_plan
from control_plane.domain.planning.model_config import (
    ACCELERATORS,
    is_decoupled,
    router_config,
    version_config,
)
from control_plane.domain.planning.plan import ModelDirectory, Plan
from control_plane.domain.routing.document import parse_policy
from control_plane.domain.routing.policy import Arm, Confidence, RoutingPolicy, Scores, Shadow
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.signature import Signature, Tensor, differences
from control_plane.domain.violations import InvalidInputError
from tests.support.plans import DIGITS, plan, policy, version

GOLDEN = Path(__file__).resolve().parents[2] / "golden"


def golden(name: str, text: str) -> None:
    """Holds a text against its golden file; a file that is not there is written, and fails."""
    path = GOLDEN / name
    if not path.exists():
        path.write_text(text)
        pytest.fail(f"{path} was written: look at it, and run again")
    assert text == path.read_text()


@pytest.mark.parametrize("accelerator", ACCELERATORS)
@pytest.mark.parametrize("profile", profile_names())
def test_every_profile_as_config_pbtxt(profile: str, accelerator: str) -> None:
    config = version_config("onnx", DIGITS, load_profile(profile), accelerator)
    golden(f"profile-{profile}-{accelerator}.pbtxt", config_text("digits.v1.000000", config))


def test_a_whole_plan() -> None:
    compiled = plan(6, (1, 9000), (2, 1000))
    golden("plan-90-10.diff", unified_diff(None, compiled, print_cpu))


def print_cpu(directory: ModelDirectory) -> str:
    return config_text(directory.name, directory.variants["cpu"])


def test_a_plan_survives_the_round_trip() -> None:
    compiled = plan(6, (1, 9000), (2, 1000))
    again = Plan.from_document(compiled.to_document())
    assert again == compiled
    assert again.digest == compiled.digest


def test_weights_change_the_router_alone() -> None:
    before, after = plan(1, (1, 9000), (2, 1000)), plan(2, (1, 1000), (2, 9000))
    assert before.models == after.models
    assert before.router != after.router
    assert before.digest != after.digest


def test_a_physical_name_covers_artifact_and_configuration() -> None:
    def name(**kwargs: object) -> str:
        spec = version(1, **kwargs)  # type: ignore[arg-type]
        compiled = compile_plan(
            endpoint="e",
            generation=1,
            policy=policy((1, 10_000)),
            versions={("digits", 1): spec},
        )
        return compiled.models[0].name

    assert name() == name()
    assert name() != name(content=b"another artifact")
    assert name() != name(profile="throughput")


def test_the_same_version_bears_the_same_name_under_every_endpoint() -> None:
    one, other = plan(1, (1, 10_000)), plan(7, (1, 10_000), endpoint="numbers")
    assert one.physical_names == other.physical_names


def test_pinned_versions_follow_the_model_that_bears_the_endpoints_name() -> None:
    assert set(plan(1, (1, 9000), (2, 1000)).router.texts) == {
        "1/policy.txt",
        "2/policy.txt",
        "1000000000/policy.txt",
    }


def test_an_arm_that_is_not_there_is_named() -> None:
    with pytest.raises(InvalidInputError) as caught:
        compile_plan(
            endpoint="digits",
            generation=1,
            policy=policy((1, 9000), (9, 1000)),
            versions={("digits", 1): version(1)},
        )
    assert [v.pointer for v in caught.value.violations] == ["/arms/1/version"]


def test_arms_that_differ_are_refused_with_the_difference() -> None:
    other = Signature(DIGITS.inputs, (Tensor("logits", "FP32", (-1, 11)),))
    with pytest.raises(InvalidInputError, match=r"logits FP32\[-1,11\], not logits FP32\[-1,10\]"):
        compile_plan(
            endpoint="digits",
            generation=1,
            policy=policy((1, 9000), (2, 1000)),
            versions={("digits", 1): version(1), ("digits", 2): version(2, signature=other)},
        )


def test_the_order_of_tensors_is_no_difference() -> None:
    a, b = Tensor("a", "FP32", (-1,)), Tensor("b", "INT64", (-1, 2))
    assert differences(Signature((a, b), (a,)), Signature((b, a), (a,))) == []
    assert differences(Signature((a,), (a,)), Signature((b,), (a,))) == [
        "input a FP32[-1] is missing",
        "input b INT64[-1,2] is new",
    ]


def test_the_router_takes_what_every_arm_takes() -> None:
    compiled = compile_plan(
        endpoint="digits",
        generation=1,
        policy=policy((1, 9000), (2, 1000)),
        versions={("digits", 1): version(1), ("digits", 2): version(2, profile="throughput")},
    )
    assert compiled.router.variants["cpu"]["max_batch_size"] == 64


def test_a_model_without_a_free_first_dimension_is_not_batched() -> None:
    fixed = Signature((Tensor("x", "FP32", (1, 4)),), (Tensor("y", "FP32", (1,)),))
    config = version_config("onnx", fixed, load_profile("realtime"), "cpu")
    assert config["max_batch_size"] == 0
    assert "dynamic_batching" not in config
    assert config["input"][0]["dims"] == ["1", "4"]


def test_a_scalar_per_row_is_reshaped_for_the_arm_and_not_by_the_router() -> None:
    scalar = Signature((Tensor("x", "FP32", (-1, 4)),), (Tensor("y", "FP32", (-1,)),))
    compiled = compile_plan(
        endpoint="digits",
        generation=1,
        policy=policy((1, 10_000)),
        versions={("digits", 1): version(1, signature=scalar)},
    )
    assert compiled.models[0].variants["cpu"]["output"][0]["reshape"] == {"shape": []}
    assert "reshape" not in compiled.router.variants["cpu"]["output"][0]


def test_changes_in_words() -> None:
    before, after = plan(1, (1, 10_000)), plan(2, (1, 9000), (2, 1000))
    assert [(c.action, c.arm) for c in changes(before, after)] == [
        ("weight", "digits-v1"),
        ("add", "digits-v2"),
    ]
    assert [(c.action, c.arm) for c in changes(after, before)] == [
        ("weight", "digits-v1"),
        ("remove", "digits-v2"),
    ]
    assert len(loads(before, after)) == 1
    assert loads(before, after) == unloads(after, before)
    assert changes(before, before) == []


@pytest.mark.parametrize(("endpoint", "reached"), [("other", "other"), ("front", "digits")])
def test_version_numbers_belong_to_the_endpoints_namesake_or_else_to_the_primarys_model(
    endpoint: str, reached: str
) -> None:
    arms = (
        Arm("stable", "digits", 1, 9000, primary=True),
        Arm("candidate", "other", 1, 1000),
    )
    compiled = compile_plan(
        endpoint=endpoint,
        generation=1,
        policy=RoutingPolicy(arms),
        versions={("digits", 1): version(1), ("other", 1): version(1, model="other")},
    )
    assert f"arm {reached}.v1." in compiled.router.texts["1/policy.txt"]


def test_the_names_of_versions_that_serve_are_what_they_were() -> None:
    """They are digests: were they to change, an upgrade would load every model once more."""
    assert plan(1, (1, 9000), (2, 1000)).physical_names == {"digits.v1.fe3795", "digits.v2.c23d95"}


PRIORITIES = {
    "max_queue_delay_microseconds": 500,
    "priority_levels": 3,
    "default_priority_level": 2,
}


def test_priorities_of_a_profile_are_declared_by_the_arm_and_its_router() -> None:
    values = {"max_batch_size": 8, "dynamic_batching": PRIORITIES}
    arm = version_config("onnx", DIGITS, ServingProfile.from_values("p", values), "cpu")
    plain = version_config("onnx", DIGITS, load_profile("realtime"), "cpu")
    router = router_config(DIGITS, [arm, arm], "digits", 1)
    assert router["dynamic_batching"] == {"priority_levels": "3", "default_priority_level": "2"}
    assert "priority_levels: 3" in config_text("digits", router)
    assert "dynamic_batching" not in router_config(DIGITS, [plain], "digits", 1)


@pytest.mark.parametrize(
    ("batching", "says"),
    [
        ({"priority_levels": 2}, "default_priority_level"),
        ({"priority_levels": 2, "default_priority_level": 3}, "default_priority_level"),
        ({"default_priority_level": 1}, "default_priority_level"),
        ({"prority_levels": 2}, "dynamic_batching.prority_levels"),
    ],
)
def test_a_profile_with_priorities_that_cannot_be_is_refused(
    batching: dict[str, int], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        ServingProfile.from_values("p", {"max_batch_size": 8, "dynamic_batching": batching})


def test_a_router_is_decoupled_when_its_arms_are() -> None:
    plain = version_config("onnx", DIGITS, load_profile("realtime"), "cpu")
    streaming = {**plain, "model_transaction_policy": {"decoupled": True}}
    assert is_decoupled(router_config(DIGITS, [streaming, streaming], "digits", 1))
    assert not is_decoupled(router_config(DIGITS, [plain], "digits", 1))
    assert "decoupled: true" in config_text("d", router_config(DIGITS, [streaming], "d", 1))


STREAMS = {"max_batch_size": 8, "model_transaction_policy": {"decoupled": True}}


def test_arms_that_do_not_agree_on_decoupled_are_refused() -> None:
    profile = ServingProfile.from_values("s", STREAMS)
    streams = replace(version(2), framework="python", profile=profile)
    with pytest.raises(InvalidInputError, match="any number of responses") as caught:
        compile_plan(
            endpoint="digits",
            generation=1,
            policy=policy((1, 9000), (2, 1000)),
            versions={("digits", 1): version(1), ("digits", 2): streams},
        )
    assert [(v.pointer, v.code) for v in caught.value.violations] == [("/arms/1", "decoupled")]


@pytest.mark.parametrize(
    ("output", "says"),
    [("logit", "there is no output 'logit'; there are: logits, words"), ("words", "only numbers")],
)
def test_a_shadow_compares_an_output_of_numbers(output: str, says: str) -> None:
    signature = Signature(DIGITS.inputs, (*DIGITS.outputs, Tensor("words", "BYTES", (-1, 1))))
    versions = {("digits", n): version(n, signature=signature) for n in (1, 2)}

    def shadowed(name: str) -> RoutingPolicy:
        arms = policy((1, 10_000), (2, 0)).arms
        return RoutingPolicy(arms, shadows=(Shadow("digits-v2", 100, compare=name),))

    compile_plan(endpoint="digits", generation=1, policy=shadowed("logits"), versions=versions)
    with pytest.raises(InvalidInputError, match=says) as caught:
        compile_plan(endpoint="digits", generation=1, policy=shadowed(output), versions=versions)
    assert [v.pointer for v in caught.value.violations] == ["/shadow/0/compare"]


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("logit", "there is no output 'logit'; there are: logits, label, score"),
        ("label", "not in floating point"),
        ("score", "no dimension for classes"),
    ],
)
def test_confidence_is_read_of_an_output_that_has_classes(output: str, says: str) -> None:
    others = Tensor("label", "INT64", (-1, 10)), Tensor("score", "FP32", (-1,))
    versions = {
        ("digits", 1): version(1, signature=Signature(DIGITS.inputs, (*DIGITS.outputs, *others)))
    }

    def reading(name: str) -> RoutingPolicy:
        return RoutingPolicy(policy((1, 10_000)).arms, confidence=Confidence(name, Scores.LOGITS))

    plan = compile_plan(
        endpoint="digits", generation=1, policy=reading("logits"), versions=versions
    )
    texts = plan.router.texts.values()
    assert sum("confidence logits scores logits\n" in text for text in texts) == 1, (
        "what is asked for by its number is no part of the policy"
    )
    with pytest.raises(InvalidInputError, match=says) as caught:
        compile_plan(endpoint="digits", generation=1, policy=reading(output), versions=versions)
    assert [v.pointer for v in caught.value.violations] == ["/confidence/output"]


def with_policy(generation: int, **more: object) -> Plan:
    arms = [
        {"name": "stable", "model": "digits", "version": 1, "weight": 90, "primary": True},
        {"name": "candidate", "model": "digits", "version": 2, "weight": 10, **more.pop("arm", {})},  # type: ignore[dict-item]
    ]
    return compile_plan(
        endpoint="digits",
        generation=generation,
        policy=parse_policy({"arms": arms, **more}),
        versions={("digits", n): version(n) for n in (1, 2)},
    )


@pytest.mark.parametrize(
    ("more", "part", "says"),
    [
        ({"sticky": {"key": "header:x-user-id"}}, "sticky", "none -> by header:x-user-id"),
        (
            {"rules": [{"when": {"parameter:lane": {"in": ["a", "b"]}}, "arm": "candidate"}]},
            "rules",
            "none -> parameter:lane in 'a', 'b' to candidate",
        ),
        (
            {"shadow": [{"arm": "candidate", "percent": 20, "compare": "logits"}]},
            "shadow",
            "none -> 20 % copied to candidate, 8 at most at a time, compared by logits",
        ),
        ({"confidence": {"output": "logits"}}, "confidence", "off -> of logits, probabilities"),
        ({"breaker": None}, "breaker", "within 10s, for 30s to 300s -> off"),
        (
            {"breaker": {"failure_rate": 0, "latency": "250ms"}},
            "breaker",
            "-> opens after 5 failures in a row, slower than 250ms counts as failed, for 30s",
        ),
        ({"slow_start": {}}, "slow_start", "off -> over 30s, aggression 1"),
        ({"rescue": None}, "rescue", "20 % of what is in flight and at least 3 -> off"),
        (
            {"mode": "adaptive", "objective": {"alpha": 1, "explore": 0.02}},
            "mode",
            "weighted -> adaptive by alpha 1, exploring with 2 %",
        ),
        ({"sequences": {"on_change": "cut"}}, "sequences", "-> cut on a change"),
    ],
)
def test_every_part_of_a_policy_that_changes_is_said_in_words(
    more: dict[str, object], part: str, says: str
) -> None:
    plain, changed = with_policy(1), with_policy(2, **more)
    [change] = changes(plain, changed)
    assert (change.action, change.arm, change.part) == ("policy", "", part)
    assert says in change.detail
    assert [c.part for c in changes(changed, plain)] == [part]
    # For a first policy, what is not as one would expect it.
    assert [c.part for c in changes(None, changed)] == ["", "", part]


def test_limits_of_an_arm_that_change_are_said_in_words() -> None:
    limits = {
        "cost": 2,
        "max_in_flight": 64,
        "timeout": "500ms",
        "overflow": None,
        "allowance": {"attempts": 100, "failures": 5},
    }
    plain, limited = with_policy(1), with_policy(2, arm=limits)
    [change] = changes(plain, limited)
    assert (change.action, change.arm) == ("limits", "candidate")
    assert change.detail == (
        "cost none -> 2, max_in_flight none -> 64, overflow none -> refused, "
        "timeout none -> 500ms, allowance none -> attempts 100 and failures 5"
    )
    assert [c.action for c in changes(None, limited)] == ["add", "add", "limits"]


def test_removals_are_said_in_the_order_of_the_policy_before() -> None:
    names = [f"arm{i}" for i in range(12)]
    arms = tuple(Arm(name, "digits", i + 1, 0) for i, name in enumerate(names))
    versions = {("digits", i + 1): version(i + 1) for i in range(12)}
    first = replace(arms[0], weight=10_000, primary=True)
    many, one = (
        compile_plan(endpoint="digits", generation=1, policy=RoutingPolicy(kept), versions=versions)
        for kept in ((first, *arms[1:]), (first,))
    )
    assert [c.arm for c in changes(many, one) if c.action == "remove"] == names[1:]


def test_what_the_first_release_left_open_is_said_once() -> None:
    document = plan(1, (1, 10_000)).to_document()
    del document["policy"]
    old = Plan.from_document(document)
    assert [c.part for c in changes(old, plan(2, (1, 10_000)))] == ["breaker", "rescue"]
