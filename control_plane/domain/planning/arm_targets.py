"""What answers for each arm: the physical model of a version, or a pipeline with its members."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from control_plane.domain.names import TWIN
from control_plane.domain.pipelines.members import Key
from control_plane.domain.planning.compiled_version import physical_directory
from control_plane.domain.planning.model_config import ACCELERATORS
from control_plane.domain.planning.pipelines import Parts, compile_pipeline
from control_plane.domain.planning.plan import ModelDirectory, Plan, PlannedStep
from control_plane.domain.routing.policy import Arm, RoutingPolicy
from control_plane.domain.signature import Signature
from control_plane.domain.violations import InvalidInputError, Violation


@dataclass(frozen=True)
class ArmTarget:
    """What an arm's requests reach; `members` and `steps` are those of a pipeline."""

    directory: ModelDirectory
    members: tuple[ModelDirectory, ...] = ()
    steps: tuple[PlannedStep, ...] = ()

    @property
    def capacity(self) -> int:
        """How many rows it works on at once: a pipeline as many as its narrowest member."""
        return min(_capacity(one) for one in self.members or (self.directory,))


def targets_of(plan: Plan) -> dict[Key, ArmTarget]:
    """By the arms' places, what a plan has compiled already."""
    directories = {model.name: model for model in plan.models}
    found = {}
    for planned in plan.arms:
        steps = plan.pipelines.get(planned.physical, ())
        members = dict.fromkeys(step.physical for step in steps)
        found[planned.arm.place] = ArmTarget(
            directories[planned.physical], tuple(directories[name] for name in members), steps
        )
    return found


def pipeline_arms(
    policy: RoutingPolicy, parts: Parts, loaded: Mapping[Key, ArmTarget]
) -> tuple[dict[Key, ArmTarget], dict[Key, Signature], list[Violation]]:
    """The arms that are pipelines: what answers, what callers meet, and what is wrong.

    Args:
        loaded: what goes on serving as it is.
    """
    targets: dict[Key, ArmTarget] = {}
    signatures: dict[Key, Signature] = {}
    found: list[Violation] = []
    for i, arm in enumerate(policy.arms):
        if not arm.pipeline:
            continue
        spec = parts.pipelines.get(arm.key)
        if spec is None:
            detail = f"there is no pipeline {arm.model} with a revision {arm.version}"
            found.append(Violation(f"/arms/{i}/revision", "not_found", detail))
            continue
        try:
            compiled = compile_pipeline(spec, parts)
        except InvalidInputError as error:
            found.append(Violation(f"/arms/{i}/revision", "pipeline", f"{arm}: {error}"))
            continue
        signatures[arm.key] = compiled.wiring.signature
        targets[arm.key] = loaded.get(arm.key) or ArmTarget(
            compiled.directory, compiled.members, compiled.steps
        )
    return targets, signatures, found


def target_of(arm: Arm, parts: Parts, ready: Mapping[Key, ArmTarget]) -> ArmTarget:
    """What answers for an arm that was checked; `ready` has what is compiled already."""
    if known := ready.get(arm.place):
        return known
    directory = physical_directory(parts.versions[arm.key])
    return ArmTarget(replace(directory, name=directory.name + TWIN) if arm.twin else directory)


def directories_of(targets: Sequence[ArmTarget]) -> tuple[ModelDirectory, ...]:
    """Every directory once, members before the pipelines that need them."""
    return _once(
        [*(one for target in targets for one in target.members), *(t.directory for t in targets)]
    )


def _once(directories: Iterable[ModelDirectory]) -> tuple[ModelDirectory, ...]:
    return tuple({directory.name: directory for directory in directories}.values())


def _capacity(model: ModelDirectory) -> int:
    config = model.variants[ACCELERATORS[0]]
    instances = sum(int(group["count"]) for group in config["instance_group"])
    return instances * max(1, int(config["max_batch_size"]))
