"""What the linter finds in the way that the arms of a plan are served."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from control_plane.domain.findings import Finding
from control_plane.domain.planning.effective import (
    ArmServing,
    effective_versions,
    serving_of,
)
from control_plane.domain.planning.plan import Plan, VersionSpec
from control_plane.domain.serving.lint import Hardware, Subject, lint
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.violations import ConflictError
from control_plane.fleet.models import Server
from control_plane.registry.selectors import get_version, ready_versions, version_specs


def serving_findings(plan: Plan) -> list[Finding]:
    """Of every version that serves, those of one profile once; the places are the policy's."""
    return list(_findings(plan, specs_of(plan), hardware()))


def version_findings(model: str, number: int | str) -> list[Finding]:
    """What the linter finds in one version under its profile.

    Raises:
        NotFoundError: there is no such version.
        ConflictError: it is not ready, or its profile cannot be read.
    """
    version = get_version(model, number)
    key = (version.model.name, version.number)
    spec = version_specs(ready_versions([key])).get(key)
    if spec is None:
        raise ConflictError(f"{model}:{version.number} is {version.state}: it is not ready")
    if spec.profile is None:
        raise ConflictError(spec.profile_error)
    return lint(subject_of(spec.profile, spec), hardware())


def arms_serving(plan: Plan) -> list[ArmServing]:
    """How each arm of the plan is served, and what that was made of."""
    return serving_of(plan, specs_of(plan))


def specs_of(plan: Plan) -> dict[tuple[str, int], VersionSpec]:
    """The plan's versions with the serving profiles that it was compiled with."""
    return version_specs(ready_versions(plan.versions), plan.profile_revisions)


def hardware() -> Hardware:
    """What every server has: the least of what is known of them."""
    servers = list(Server.objects.all())
    cores = [server.cores for server in servers if server.cores]
    return Hardware(
        cores=min(cores, default=None),
        # How many a server with GPUs has, its node does not say.
        gpus=0 if any(server.accelerator == "cpu" for server in servers) else None,
        response_cache=_all(server.response_cache for server in servers),
        rate_limiter=_all(server.rate_limiter for server in servers),
    )


def _all(said: Iterable[bool | None]) -> bool | None:
    """False where a server lacks it; None where nothing is known of any."""
    known = [one for one in said if one is not None]
    return all(known) if known else None


def subject_of(profile: ServingProfile, spec: VersionSpec) -> Subject:
    """A version under its profile, as the linter sees it."""
    warmed = bool(spec.details.model_warmup)
    examples = len(spec.golden_shapes)
    return Subject(profile, spec.signature, spec.framework, spec.p99_ms, warmed, examples)


def _findings(
    plan: Plan, specs: Mapping[tuple[str, int], VersionSpec], servers: Hardware
) -> Iterator[Finding]:
    said: set[tuple[str, str, str]] = set()
    for i, who, spec, own in _served(plan, specs):
        if spec is None or spec.profile is None:
            continue
        subject = subject_of(spec.profile, spec)
        for finding in lint(subject, servers):
            if (key := (spec.profile.name, own, finding.code)) in said:
                continue
            said.add(key)
            where = f"{who}, profile {spec.profile.name} {finding.pointer}"
            yield Finding(
                finding.severity,
                finding.code,
                f"{where}: {finding.detail}",
                f"/arms/{i}",
                finding.fix,
            )


def _served(
    plan: Plan, specs: Mapping[tuple[str, int], VersionSpec]
) -> Iterator[tuple[int, str, VersionSpec | None, str]]:
    """(place of the arm, who serves, what, whose own profile), the steps of pipelines one by one.

    Arms and versions that say otherwise than their profile are told each for itself.
    """
    effective = effective_versions(plan.routing, specs, plan.keys)
    for i, planned in enumerate(plan.arms):
        arm = planned.arm
        if arm.twin:  # is served like another arm, which is told
            continue
        if not arm.pipeline:
            spec = effective.get(arm.key)
            own = arm.name if arm.overrides or (spec and spec.overrides) else ""
            yield i, arm.name, spec, own
        for step in plan.pipelines.get(planned.physical, ()):
            spec = specs.get((step.model, step.version))
            who = f"{arm.name}, step {step.step}"
            yield i, who, spec, who if spec and spec.overrides else ""
