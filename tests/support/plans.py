"""Policies, versions and plans for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from control_plane.adapters.profiles import load_profile
from control_plane.domain.pipelines.document import read_pipeline
from control_plane.domain.pipelines.members import Key
from control_plane.domain.planning.compiling import compile_plan
from control_plane.domain.planning.pipelines import PipelineSpec
from control_plane.domain.planning.plan import Plan, VersionSpec
from control_plane.domain.routing.policy import Arm, RoutingPolicy
from control_plane.domain.signature import Signature, Tensor

DIGITS = Signature(
    inputs=(Tensor("image", "FP32", (-1, 1, 8, 8)),),
    outputs=(Tensor("logits", "FP32", (-1, 10)),),
)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def version(
    number: int,
    *,
    model: str = "digits",
    signature: Signature = DIGITS,
    profile: str = "realtime",
    content: bytes | None = None,
) -> VersionSpec:
    """A ready version whose artifact is `content` (by default its own number)."""
    data = content if content is not None else f"artifact {number}".encode()
    return VersionSpec(model, number, "onnx", sha256(data), signature, load_profile(profile))


def policy(*weights: tuple[int, int], model: str = "digits") -> RoutingPolicy:
    """A policy from (version, parts per 10,000); the first arm is the primary."""
    arms = [
        Arm(f"{model}-v{number}", model, number, weight, primary=i == 0)
        for i, (number, weight) in enumerate(weights)
    ]
    return RoutingPolicy(tuple(arms))


def plan(generation: int, *weights: tuple[int, int], endpoint: str = "digits") -> Plan:
    """A compiled plan over the versions that the weights name."""
    return compile_plan(
        endpoint=endpoint,
        generation=generation,
        policy=policy(*weights),
        versions={("digits", number): version(number) for number, _ in weights},
    )


def pipeline(*steps: tuple[str, int], number: int = 1, name: str = "line") -> PipelineSpec:
    """A pipeline whose steps, (model, version), hand `y` on to the next one's `x`."""
    last = len(steps) - 1
    document = {
        "steps": [
            {
                "name": f"s{i}",
                "model": model,
                "version": version_number,
                "inputs": {"x": "x" if i == 0 else f"t{i}"},
                "outputs": {"y": "y" if i == last else f"t{i + 1}"},
            }
            for i, (model, version_number) in enumerate(steps)
        ]
    }
    return PipelineSpec(name, number, read_pipeline(name, document))


def pipeline_plan(
    generation: int,
    *specs: PipelineSpec,
    versions: Mapping[Key, VersionSpec],
    inner: Sequence[PipelineSpec] = (),
    **more: Any,
) -> Plan:
    """A plan whose arms are pipelines, the first the primary with all of the traffic.

    `inner` are those that steps of theirs run.
    """
    arms = tuple(
        Arm(f"r{s.number}", s.name, s.number, 0 if i else 10_000, primary=not i, pipeline=True)
        for i, s in enumerate(specs)
    )
    return compile_plan(
        endpoint=more.pop("endpoint", "line"),
        generation=generation,
        policy=RoutingPolicy(arms),
        versions=versions,
        pipelines={(s.name, s.number): s for s in (*specs, *inner)},
        **more,
    )
