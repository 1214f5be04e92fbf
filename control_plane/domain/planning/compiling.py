"""Policy and versions -> plan: what is checked, compiled and written for an endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from control_plane.domain.names import physical_name
from control_plane.domain.planning.arm_checks import (
    Versions,
    check_configs,
    check_shadows,
    check_versions,
)
from control_plane.domain.planning.model_config import (
    ACCELERATORS,
    router_config,
    version_config,
)
from control_plane.domain.planning.plan import (
    ModelDirectory,
    Plan,
    PlannedArm,
    VersionSpec,
    digest_of,
)
from control_plane.domain.registry.frameworks import GOLDEN_FILE
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
from control_plane.domain.serving.details import MODEL_FOLDER
from control_plane.domain.serving.sequence_fit import initial_files
from control_plane.domain.violations import InvalidInputError, Violation


def compile_plan(
    *,
    endpoint: str,
    generation: int,
    policy: RoutingPolicy,
    versions: Versions,
    previous: Plan | None = None,
    slots_of: Plan | None = None,
    urgent: bool = False,
) -> Plan:
    """Compiles a policy into the files that serve it.

    Args:
        endpoint: public name of the router.
        generation: of the endpoint's intent.
        policy: as parsed by `domain.routing.document`.
        versions: by (model, number); those the arms name.
        previous: the plan before, whose slots and allowances go on; None begins anew.
        slots_of: the plan that is gone back to, whose slot table is taken up again as it was.
        urgent: everything goes to the primary. The plan's models are taken from `previous` where
            it has them, so that what is loaded already serves, and the switch waits for the
            primary alone; what else the arms agree on or not is not in the way.

    Raises:
        InvalidInputError: an arm names a version that is not there or cannot be served, the
            arms differ in what they take or give, or a shadow compares what cannot be compared.
    """
    loaded = _models_of(previous) if previous and urgent else {}
    check_versions(policy, versions, loaded)
    check_shadows(policy, versions)
    models = [
        loaded.get((arm.model, arm.version)) or physical_directory(versions[arm.model, arm.version])
        for arm in policy.arms
    ]
    if not urgent:
        check_configs(policy, [model.variants[ACCELERATORS[0]] for model in models])
    planned = tuple(
        PlannedArm(arm, model.name, _grant(arm, previous, generation))
        for arm, model in zip(policy.arms, models, strict=True)
    )
    before = slots_of or previous
    slots = runs(next_table(policy, before.slot_table if before else ()), policy)
    texts = _texts(endpoint, generation, policy, planned, models, slots)
    # An arm that gets nothing narrows nothing: callers of an urgent plan meet the primary alone.
    used = [models[policy.index(policy.primary.name)]] if urgent else models
    return Plan(
        endpoint=endpoint,
        generation=generation,
        arms=planned,
        models=tuple(models),
        router=_router_directory(endpoint, generation, policy, versions, used, texts),
        slots=slots,
        policy=to_document(policy),
        urgent=urgent,
        profiles=_profile_revisions(planned, versions),
    )


def physical_directory(version: VersionSpec) -> ModelDirectory:
    """The immutable directory of one version under one serving configuration.

    The digest leaves the name out and covers the variants of every kind of server, so a
    physical name means the same everywhere (DESIGN section 1).
    """
    if version.profile is None:
        raise ValueError(version.profile_error)
    if version.unserved:
        raise InvalidInputError([Violation("/version", "unsupported", version.unserved)])
    variants = {
        accelerator: version_config(
            version.framework,
            version.signature,
            version.profile,
            accelerator,
            main_file=version.main_file,
            parameters=version.parameters,
            details=version.details,
        )
        for accelerator in ACCELERATORS
    }
    links = _links(version)
    digest = digest_of({"variants": variants, "links": links})
    name = physical_name(version.model, version.number, digest)
    return ModelDirectory(name=name, variants=variants, links=links, texts={})


def _links(version: VersionSpec) -> dict[str, str]:
    """The files that come from the artifact store.

    Golden examples, and the files that the states of sequences begin with, lie beside the version's
    folder: there Triton looks for the latter.
    """
    files = version.files or {version.main_file: version.sha256}
    at_the_start = initial_files(version.profile) if version.profile else ()
    links = {}
    for path, sha256 in sorted(files.items()):
        # Of what lies beside the versions only what the configuration names: Triton takes other
        # files there, such as configurations by name, in place of what is compiled here.
        beside = path.removeprefix(MODEL_FOLDER)
        if path in at_the_start:
            links[path] = sha256
        elif beside == path:
            links[f"1/{path}"] = sha256
        elif beside in version.details.files:
            links[beside] = sha256
    if version.golden_sha256:
        links[GOLDEN_FILE] = version.golden_sha256
    return links


def _profile_revisions(planned: Sequence[PlannedArm], versions: Versions) -> dict[str, int]:
    given = {p.physical: versions[p.arm.model, p.arm.version].profile_revision for p in planned}
    return {physical: number for physical, number in given.items() if number is not None}


def _models_of(plan: Plan) -> dict[tuple[str, int], ModelDirectory]:
    by_name = {model.name: model for model in plan.models}
    return {(p.arm.model, p.arm.version): by_name[p.physical] for p in plan.arms}


def _grant(arm: Arm, previous: Plan | None, generation: int) -> str:
    """The word that an allowance is counted under.

    As long as the same allowance stands, however the rest changes, what was used of it stays
    used; a changed one starts anew, and so does the same one given again later. One that no
    longer says its `grant` goes on with what there is: leaving a word out must not grant anything.
    """
    if arm.allowance is None:
        return ""
    for planned in previous.arms if previous else ():
        same = (planned.arm.model, planned.arm.version) == (arm.model, arm.version)
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
    models: Sequence[ModelDirectory],
    slots: Sequence[Run],
) -> dict[str, str]:
    """The router's files: the policy, and one for each version that has a number of its own."""
    served = [
        Served(p.physical, _capacity(p.arm, model), p.grant)
        for p, model in zip(planned, models, strict=True)
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


def _capacity(arm: Arm, model: ModelDirectory) -> int:
    """How many requests the arm works on at once: as given, else what its instances take."""
    if given := arm.capacity or arm.max_in_flight:
        return given
    config = model.variants[ACCELERATORS[0]]
    instances = sum(int(group["count"]) for group in config["instance_group"])
    return instances * max(1, int(config["max_batch_size"]))


def _router_directory(
    endpoint: str,
    generation: int,
    policy: RoutingPolicy,
    versions: Versions,
    models: Sequence[ModelDirectory],
    texts: Mapping[str, str],
) -> ModelDirectory:
    primary = policy.primary
    signature = versions[primary.model, primary.version].callers
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
    return [arm for arm in policy.arms if arm.model == numbered]
