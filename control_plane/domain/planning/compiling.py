"""Policy and versions -> plan: what is checked, compiled and written for an endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from control_plane.domain.names import physical_name
from control_plane.domain.planning.model_config import (
    ACCELERATORS,
    is_decoupled,
    onnx_config,
    router_config,
)
from control_plane.domain.planning.plan import (
    ModelDirectory,
    Plan,
    PlannedArm,
    VersionSpec,
    digest_of,
)
from control_plane.domain.routing.compact import (
    FILE_NAME,
    PINNED_LIMIT,
    Served,
    compact_policy,
    pinned_policy,
)
from control_plane.domain.routing.document import allowance_document, to_document
from control_plane.domain.routing.policy import Arm, RoutingPolicy
from control_plane.domain.routing.slots import Run, next_table, runs
from control_plane.domain.signature import differences
from control_plane.domain.violations import InvalidInputError, Violation

Versions = Mapping[tuple[str, int], VersionSpec]


def compile_plan(
    *,
    endpoint: str,
    generation: int,
    policy: RoutingPolicy,
    versions: Versions,
    previous: Plan | None = None,
    urgent: bool = False,
) -> Plan:
    """Compiles a policy into the files that serve it.

    Args:
        endpoint: public name of the router.
        generation: of the endpoint's intent.
        policy: as parsed by `domain.routing.document`.
        versions: by (model, number); those the arms name.
        previous: the plan before, whose slots and allowances go on; None begins anew.
        urgent: the plan's models are taken from `previous` where it has them, so that what is
            loaded already serves, and the switch waits for the primary alone.

    Raises:
        InvalidInputError: an arm names a version that is not there, the arms differ in what
            they take or give, or a shadow compares what cannot be compared.
    """
    _check_arms(policy, versions)
    _check_shadows(policy, versions)
    loaded = _models_of(previous) if previous and urgent else {}
    models = [
        loaded.get((arm.model, arm.version)) or physical_directory(versions[arm.model, arm.version])
        for arm in policy.arms
    ]
    _check_decoupled(policy, models)
    planned = tuple(
        PlannedArm(arm, model.name, _grant(arm, previous, generation))
        for arm, model in zip(policy.arms, models, strict=True)
    )
    slots = runs(next_table(policy, previous.slot_table if previous else ()), policy)
    texts = _texts(endpoint, generation, policy, planned, versions, slots)
    return Plan(
        endpoint=endpoint,
        generation=generation,
        arms=planned,
        models=tuple(models),
        router=_router_directory(endpoint, generation, policy, versions, models, texts),
        slots=slots,
        policy=to_document(policy),
        urgent=urgent,
    )


def physical_directory(version: VersionSpec) -> ModelDirectory:
    """The immutable directory of one version under one serving configuration.

    The digest leaves the name out and covers the variants of every kind of server, so a
    physical name means the same everywhere (DESIGN section 1).
    """
    if version.framework != "onnx":
        raise InvalidInputError(
            [Violation("/framework", "unsupported", f"cannot serve {version.framework!r} yet")]
        )
    variants = {
        accelerator: onnx_config(version.signature, version.profile, accelerator)
        for accelerator in ACCELERATORS
    }
    links = {"1/model.onnx": version.sha256}
    digest = digest_of({"variants": variants, "links": links})
    name = physical_name(version.model, version.number, digest)
    return ModelDirectory(name=name, variants=variants, links=links, texts={})


def _check_arms(policy: RoutingPolicy, versions: Versions) -> None:
    found: list[Violation] = []
    first: Arm | None = None
    for i, arm in enumerate(policy.arms):
        spec = versions.get((arm.model, arm.version))
        if spec is None:
            detail = f"{arm.model} has no version {arm.version} that is ready to serve"
            found.append(Violation(f"/arms/{i}/version", "not_found", detail))
            continue
        if first is None:
            first = arm
            continue
        reference = versions[first.model, first.version].signature
        if differing := differences(reference, spec.signature):
            detail = (
                f"{arm.model} version {arm.version} differs from {first.model} version "
                f"{first.version}: {'; '.join(differing)}. Arms of one endpoint take and give "
                "the same tensors; serve the other on an endpoint of its own"
            )
            found.append(Violation(f"/arms/{i}", "signature", detail))
    if found:
        raise InvalidInputError(found)


def _check_shadows(policy: RoutingPolicy, versions: Versions) -> None:
    """What a shadow compares is an output of the model, and made of numbers."""
    signature = versions[policy.primary.model, policy.primary.version].signature
    outputs = {tensor.name: tensor.datatype for tensor in signature.outputs}
    found: list[Violation] = []
    for i, shadow in enumerate(policy.shadows):
        name = shadow.compare
        if name is None:
            continue
        if name not in outputs:
            detail = f"there is no output {name!r}; there are: {', '.join(outputs)}"
        elif outputs[name] == "BYTES":
            detail = f"the output {name!r} holds texts: only numbers are compared"
        else:
            continue
        found.append(Violation(f"/shadow/{i}/compare", "output", detail))
    if found:
        raise InvalidInputError(found)


def _check_decoupled(policy: RoutingPolicy, models: Sequence[ModelDirectory]) -> None:
    first = is_decoupled(models[0].variants[ACCELERATORS[0]])
    words = {True: "any number of responses", False: "one response per request"}
    found = [
        Violation(
            f"/arms/{i}",
            "decoupled",
            f"arm {arm.name} gives {words[not first]}, and {policy.arms[0].name} gives "
            f"{words[first]}: serve it on an endpoint of its own",
        )
        for i, (arm, model) in enumerate(zip(policy.arms, models, strict=True))
        if is_decoupled(model.variants[ACCELERATORS[0]]) != first
    ]
    if found:
        raise InvalidInputError(found)


def _models_of(plan: Plan) -> dict[tuple[str, int], ModelDirectory]:
    by_name = {model.name: model for model in plan.models}
    return {(p.arm.model, p.arm.version): by_name[p.physical] for p in plan.arms}


def _grant(arm: Arm, previous: Plan | None, generation: int) -> str:
    """The word that an allowance is counted under.

    As long as the same allowance stands, however the rest changes, what was used of it stays
    used; a changed one starts anew, and so does the same one given again later.
    """
    if arm.allowance is None:
        return ""
    for planned in previous.arms if previous else ():
        same = (planned.arm.model, planned.arm.version) == (arm.model, arm.version)
        if same and planned.arm.allowance == arm.allowance:
            return planned.grant
    return f"{digest_of(allowance_document(arm.allowance))[:8]}-{generation}"


def _texts(
    endpoint: str,
    generation: int,
    policy: RoutingPolicy,
    planned: Sequence[PlannedArm],
    versions: Versions,
    slots: Sequence[Run],
) -> dict[str, str]:
    """The router's files: the policy, and one for each version that has a number of its own."""
    served = [
        Served(p.physical, _capacity(p.arm, versions[p.arm.model, p.arm.version]), p.grant)
        for p in planned
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


def _capacity(arm: Arm, version: VersionSpec) -> int:
    """How many requests the arm works on at once: as given, else what its instances take."""
    if given := arm.capacity or arm.max_in_flight:
        return given
    rows = version.profile.max_batch_size if version.signature.batched else 1
    return version.profile.instance_count * max(1, rows)


def _router_directory(
    endpoint: str,
    generation: int,
    policy: RoutingPolicy,
    versions: Versions,
    models: Sequence[ModelDirectory],
    texts: Mapping[str, str],
) -> ModelDirectory:
    primary = policy.primary
    signature = versions[primary.model, primary.version].signature
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
