"""The linter of serving profiles: every finding has a case that has it and one that has not."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from control_plane.domain.serving.lint import Hardware, Subject, lint
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.signature import Signature, Tensor
from tests.support.plans import DIGITS
from tests.support.profiles import profiles

FIXED = Signature((Tensor("x", "FP32", (1, 4)),), (Tensor("y", "FP32", (1, 2)),))
CORES = Hardware(cores=2, gpus=0, response_cache=False, rate_limiter=False)
LIMITED = {"rate_limiter": {"resources": [{"name": "R"}]}}


def batching(**values: Any) -> dict[str, Any]:
    return {"max_batch_size": 8, "dynamic_batching": values}


def codes(
    values: dict[str, Any],
    *,
    signature: Signature = DIGITS,
    framework: str = "onnx",
    p99_ms: float | None = None,
    hardware: Hardware = CORES,
) -> dict[str, str]:
    profile = ServingProfile.from_values("p", values)
    found = lint(Subject(profile, signature, framework, p99_ms), hardware)
    return {finding.code: finding.severity for finding in found}


@pytest.mark.parametrize(
    ("code", "bad", "good"),
    [
        (
            "batching-without-batches",
            {"values": {"dynamic_batching": {}}},
            {"values": batching()},
        ),
        ("fixed-batch", {"values": batching(), "signature": FIXED}, {"values": batching()}),
        (
            "preferred-without-delay",
            {"values": batching(preferred_batch_size=[8])},
            {"values": batching(preferred_batch_size=[8], max_queue_delay_microseconds=10)},
        ),
        (
            "preferred-below-max",
            {"values": batching(preferred_batch_size=[4], max_queue_delay_microseconds=10)},
            {"values": batching(preferred_batch_size=[4, 8], max_queue_delay_microseconds=10)},
        ),
        (
            "delay-over-sla",
            {"values": batching(max_queue_delay_microseconds=5000), "p99_ms": 10.0},
            {"values": batching(max_queue_delay_microseconds=4999), "p99_ms": 10.0},
        ),
        (
            "queue-timeout-stall",
            {"values": batching(default_queue_policy={"default_timeout_microseconds": 1})},
            {"values": batching(default_queue_policy={"max_queue_size": 1})},
        ),
        (
            "endless-queue",
            {"values": batching(), "p99_ms": 10.0},
            {"values": batching(default_queue_policy={"max_queue_size": 9}), "p99_ms": 10.0},
        ),
        (
            "sequences-one-by-one",
            {"values": {"max_batch_size": 4, "sequence_batching": {"direct": {}}}},
            {
                "values": {
                    "max_batch_size": 4,
                    "sequence_batching": {"direct": {"max_queue_delay_microseconds": 5}},
                }
            },
        ),
        (
            "instances-over-cores",
            {"values": {"instance_group": {"count": 3}}},
            {"values": {"instance_group": {"count": 2}}},
        ),
        (
            "no-such-gpu",
            {"values": {"instance_group": {"gpus": [0]}}},
            {"values": {"instance_group": {"count": 1}}},
        ),
        (
            "rate-limiter-off",
            {"values": {"instance_group": LIMITED}},
            {"values": {"instance_group": LIMITED}, "hardware": Hardware(rate_limiter=True)},
        ),
        (
            "cold-start",
            {"values": {}, "framework": "pytorch"},
            {"values": {"model_warmup": {}}, "framework": "pytorch"},
        ),
        (
            "cache-may-be-wrong",
            {"values": {"response_cache": {"enable": True}}, "framework": "python"},
            {"values": {"response_cache": {"enable": True}}},
        ),
        (
            "cache-without-server",
            {"values": {"response_cache": {"enable": True}}},
            {"values": {"response_cache": {"enable": False}}},
        ),
    ],
)
def test_each_finding_is_made_where_it_holds_and_not_beside_it(
    code: str, bad: dict[str, Any], good: dict[str, Any]
) -> None:
    assert code in codes(**bad)
    assert code not in codes(**good)


def test_a_delay_beyond_the_promise_is_an_error() -> None:
    values = batching(max_queue_delay_microseconds=10_000)
    assert codes(values, p99_ms=10.0)["delay-over-sla"] == "error"
    assert codes(values, p99_ms=15.0)["delay-over-sla"] == "warning"


def test_threads_of_an_execution_count_with_its_instances() -> None:
    values = {"instance_group": {"count": 2}, "parameters": {"intra_op_thread_count": "2"}}
    assert "instances-over-cores" in codes(values)


@given(profiles())
def test_every_finding_names_what_to_do_and_a_place_in_the_document(values: dict[str, Any]) -> None:
    subject = Subject(ServingProfile.from_values("p", values), FIXED, "python", p99_ms=1.0)
    for finding in lint(subject, CORES):
        assert finding.severity in ("error", "warning", "info")
        assert finding.fix
        assert finding.pointer.startswith("/")


def test_every_finding_is_explained() -> None:
    source = Path("control_plane/domain/serving/lint.py").read_text()
    explained = Path("docs/lint.md").read_text()
    made = set(re.findall(r'"(?:error|warning|info)"[^\n]*,\s+"([a-z0-9-]+)"', source))
    assert len(made) >= 14
    assert {code for code in made if f"`{code}`" not in explained} == set()
