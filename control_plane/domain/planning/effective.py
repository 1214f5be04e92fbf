"""How arms are really served: the profile, the version's overrides, then the arm's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from control_plane.domain.planning.arm_checks import Versions
from control_plane.domain.planning.plan import Plan, VersionSpec
from control_plane.domain.routing.policy import RoutingPolicy
from control_plane.domain.serving.overriding import overridden
from control_plane.domain.violations import InvalidInputError, Violation


@dataclass(frozen=True)
class ArmServing:
    """An arm's serving: `effective` is what comes out, and what was compiled.

    `revision` None is a profile that comes with Nereid. `of_version` and `of_arm` are the
    overrides that were laid over it, in this order.
    """

    arm: str
    physical: str
    profile: str
    revision: int | None
    of_version: Mapping[str, Any] = field(default_factory=dict)
    of_arm: Mapping[str, Any] = field(default_factory=dict)
    effective: Mapping[str, Any] = field(default_factory=dict)


def effective_versions(
    policy: RoutingPolicy, versions: Versions, loaded: Collection[tuple[str, int]] = ()
) -> dict[tuple[str, int], VersionSpec]:
    """The versions with each arm's own overrides laid over their serving profiles.

    Args:
        loaded: those that serve as they are, whatever their overrides say.

    Raises:
        InvalidInputError: overrides that are none, or that do not fit; with their places.
    """
    found: list[Violation] = []
    result = dict(versions)
    for i, arm in enumerate(policy.arms):
        key = (arm.model, arm.version)
        spec = versions.get(key)
        if arm.overrides is None or spec is None or spec.profile is None:
            continue
        try:
            profile = overridden(spec.profile, arm.overrides, f"/arms/{i}/overrides")
        except InvalidInputError as error:
            if key not in loaded:
                found += error.violations
            continue
        result[key] = replace(spec, profile=profile)
    if found:
        raise InvalidInputError(found)
    return result


def serving_of(plan: Plan, versions: Versions) -> list[ArmServing]:
    """How each arm of a plan is served, in their order.

    Args:
        versions: of the revisions of serving profiles that the plan was compiled with.
    """
    effective = effective_versions(plan.routing, versions, plan.keys)
    found = []
    for planned in plan.arms:
        spec = effective.get((planned.arm.model, planned.arm.version))
        if spec is None or spec.profile is None:
            continue
        found.append(
            ArmServing(
                arm=planned.arm.name,
                physical=planned.physical,
                profile=spec.profile.name,
                revision=spec.profile_revision,
                of_version=dict(spec.overrides),
                of_arm=dict(planned.arm.overrides or {}),
                effective=spec.profile.to_document(),
            )
        )
    return found
