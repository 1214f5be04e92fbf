"""Policy and versions -> plan: what is checked, compiled and written for an endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from control_plane.domain.pipelines.members import Key
from control_plane.domain.planning.arm_checks import (
    Versions,
    check_confidence,
    check_configs,
    check_shadows,
    check_versions,
)
from control_plane.domain.planning.arm_targets import (
    ArmTarget,
    directories_of,
    pipeline_arms,
    target_of,
    targets_of,
)
from control_plane.domain.planning.effective import effective_versions
from control_plane.domain.planning.model_config import ACCELERATORS, router_config
from control_plane.domain.planning.pipelines import Parts, PipelineSpec
from control_plane.domain.planning.plan import (
    ModelDirectory,
    Plan,
    PlannedArm,
    digest_of,
    in_use,
)
from control_plane.domain.routing.compact import (
    FILE_NAME,
    PINNED_LIMIT,
    Served,
    compact_policy,
    pinned_policy,
)
from control_plane.domain.routing.document import allowance_document, to_document
from control_plane.domain.routing.policy import Allowance, Arm, RoutingPolicy
from control_plane.domain.routing.slots import Run, next_table, runs
from control_plane.domain.signature import Signature


def compile_plan(
    *,
    endpoint: str,
    generation: int,
    policy: RoutingPolicy,
    versions: Versions,
    pipelines: Mapping[tuple[str, int], PipelineSpec] = MappingProxyType({}),
    previous: Plan | None = None,
    slots_of: Plan | None = None,
    urgent: bool = False,
    keep: bool = False,
) -> Plan:
    """Compiles a policy into the files that serve it.

    Args:
        endpoint: public name of the router.
        generation: of the endpoint's intent.
        policy: as parsed by `domain.routing.document`.
        versions: by (model, number); those the arms name, and those in their pipelines.
        pipelines: by (name, number); those the arms name, and those in them.
        previous: the plan before, whose slots and allowances go on; None begins anew.
        slots_of: the plan that is gone back to, whose slot table is taken up again as it was.
        urgent: a way out. The plan's models are taken from `previous` where it has them, so that
            what is loaded already serves, and the switch waits only for the arms that get
            requests; what else the arms agree on or not is not in the way.
        keep: the plan's models are taken from `previous` where it has them: what serves is not
            compiled anew, whatever became of its serving profile since.

    Raises:
        InvalidInputError: an arm names what is not there or cannot be served, its overrides do not
            fit its serving profile, the arms differ in what they take or give, or a shadow
            compares what cannot be compared.
    """
    loaded = _loaded(previous, policy, urgent=urgent) if previous and (urgent or keep) else {}
    targets, signature = _answering(policy, Parts(versions, pipelines), loaded)
    models = [target.directory for target in targets]
    if not urgent:
        check_configs(policy, [model.variants[ACCELERATORS[0]] for model in models])
    planned = tuple(
        PlannedArm(arm, model.name, _grant(arm, previous, generation))
        for arm, model in zip(policy.arms, models, strict=True)
    )
    before = slots_of or previous
    slots = runs(next_table(policy, before.slot_table if before else ()), policy)
    texts = _texts(endpoint, generation, policy, planned, targets, slots)
    used = _met(planned, policy, models) if urgent else models
    plan = Plan(
        endpoint=endpoint,
        generation=generation,
        arms=planned,
        models=directories_of(targets),
        router=_router_directory(endpoint, generation, signature, used, texts),
        slots=slots,
        policy=to_document(policy),
        urgent=urgent,
        pipelines={t.directory.name: t.steps for t in targets if t.steps},
    )
    return replace(plan, profiles=_profile_revisions(plan, versions))


def _met(
    planned: Sequence[PlannedArm], policy: RoutingPolicy, models: Sequence[ModelDirectory]
) -> list[ModelDirectory]:
    """What callers may meet: an arm that gets nothing narrows nothing."""
    busy = in_use(planned, to_document(policy))
    return [model for model in models if model.name in busy]


def _loaded(previous: Plan, policy: RoutingPolicy, *, urgent: bool) -> dict[Key, ArmTarget]:
    """What the plan before has compiled of the policy's arms.

    A way out takes it as it is; else only what is to be served as it is.
    """
    overrides = {arm.place: arm.overrides for arm in policy.arms}
    before = {planned.arm.place: planned.arm.overrides for planned in previous.arms}
    return {
        key: target
        for key, target in targets_of(previous).items()
        if urgent or key not in overrides or overrides[key] == before[key]
    }


def _answering(
    policy: RoutingPolicy, parts: Parts, loaded: Mapping[Key, ArmTarget]
) -> tuple[list[ArmTarget], Signature]:
    """What answers for each arm, and what callers of the endpoint meet.

    The overrides are the arms' own: a pipeline's step meets the version as it is.
    """
    own = effective_versions(policy, parts.versions, loaded)
    ready, signatures, told = pipeline_arms(policy, parts, loaded)
    callers = check_versions(policy, own, loaded, signatures, told)
    signature = callers[policy.primary.key]
    check_shadows(policy, signature)
    check_confidence(policy, signature)
    given = Parts(own, parts.pipelines)
    return [target_of(arm, given, {**loaded, **ready}) for arm in policy.arms], signature


def _profile_revisions(plan: Plan, versions: Versions) -> dict[str, int]:
    given = {name: versions[key].profile_revision for key, name in plan.versions.items()}
    return {physical: number for physical, number in given.items() if number is not None}


def _grant(arm: Arm, previous: Plan | None, generation: int) -> str:
    """The word that an allowance is counted under.

    As long as the same allowance stands, however the rest changes, what was used of it stays
    used; a changed one starts anew, and so does the same one given again later. One that no
    longer says its `grant` goes on with what there is: leaving a word out must not grant anything.
    """
    if arm.allowance is None:
        return ""
    for planned in previous.arms if previous else ():
        same = planned.arm.place == arm.place
        if same and planned.arm.allowance and _goes_on(planned.arm.allowance, arm.allowance):
            return planned.grant
    return f"{digest_of(allowance_document(arm.allowance))[:8]}-{generation}"


def _goes_on(before: Allowance, after: Allowance) -> bool:
    return after == (before if after.grant is not None else replace(before, grant=None))


def _texts(
    endpoint: str,
    generation: int,
    policy: RoutingPolicy,
    planned: Sequence[PlannedArm],
    targets: Sequence[ArmTarget],
    slots: Sequence[Run],
) -> dict[str, str]:
    """The router's files: the policy, and one for each version that has a number of its own."""
    served = [
        # How many requests an arm works on at once: as given, else what its instances take.
        Served(p.physical, p.arm.capacity or p.arm.max_in_flight or target.capacity, p.grant)
        for p, target in zip(planned, targets, strict=True)
    ]
    texts = {
        f"{PINNED_LIMIT}/{FILE_NAME}": compact_policy(
            endpoint=endpoint, generation=generation, policy=policy, served=served, slots=slots
        )
    }
    physical = {p.arm.name: p.physical for p in planned}
    for arm in _pinned(endpoint, policy):
        texts[f"{arm.version}/{FILE_NAME}"] = pinned_policy(
            endpoint=endpoint,
            generation=generation,
            arm=arm,
            physical=physical[arm.name],
            policy=policy,
        )
    return texts


def _router_directory(
    endpoint: str,
    generation: int,
    signature: Signature,
    models: Sequence[ModelDirectory],
    texts: Mapping[str, str],
) -> ModelDirectory:
    variants = {
        accelerator: router_config(
            signature, [model.variants[accelerator] for model in models], endpoint, generation
        )
        for accelerator in ACCELERATORS
    }
    return ModelDirectory(name=endpoint, variants=variants, links={}, texts=texts)


def _pinned(endpoint: str, policy: RoutingPolicy) -> Sequence[Arm]:
    """The arms that callers can reach by version number.

    Numbers belong to one model: the one that bears the endpoint's name, else the primary's.
    """
    models = [arm.model for arm in policy.arms]
    numbered = endpoint if endpoint in models else policy.primary.model
    return [arm for arm in policy.arms if arm.model == numbered and not arm.twin]
