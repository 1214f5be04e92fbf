from pathlib import Path

import pytest

from control_plane.adapters.profiles import load_profile, profile_names
from control_plane.adapters.triton.pbtxt import config_text
from control_plane.domain.planning.changes import changes, loads, unified_diff, unloads
from control_plane.domain.planning.compiling import compile_plan
from control_plane.domain.planning.model_config import ACCELERATORS, onnx_config
from control_plane.domain.planning.plan import ModelDirectory, Plan
from control_plane.domain.routing.policy import Arm, RoutingPolicy
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
    config = onnx_config(DIGITS, load_profile(profile), accelerator)
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
    config = onnx_config(fixed, load_profile("realtime"), "cpu")
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
