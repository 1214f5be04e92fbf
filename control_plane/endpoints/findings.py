"""What is worth knowing of a policy before it is applied; none of it is forbidden."""

from __future__ import annotations

from collections.abc import Iterator

from control_plane.domain.findings import Finding
from control_plane.domain.planning.changes import changes, refused_batches
from control_plane.domain.planning.plan import Plan
from control_plane.domain.routing.policy import RoutingPolicy, Source, percent


def findings(before: Plan | None, after: Plan) -> list[Finding]:
    """What to look at twice of the policy, in the order of the document."""
    policy = after.routing
    found = []
    if before and not changes(before, after):
        found.append(_warning("no_change", "this policy is the one that serves", ""))
    found += _batches(before, after)
    found += _shares(policy)
    found += _protection(policy)
    found += _shadows(policy)
    return found


def _batches(before: Plan | None, after: Plan) -> Iterator[Finding]:
    """The router takes what every arm takes, so one small arm narrows all callers at once."""
    if not (refused := refused_batches(before, after)):
        return
    directories = {model.name: model for model in after.models}
    models = [directories[planned.physical] for planned in after.arms]
    smallest = min(models, key=lambda model: model.max_batch_size)
    i = models.index(smallest)
    detail = (
        f"{refused}, whichever arm they go to: {after.arms[i].arm.name} takes at most "
        f"{smallest.max_batch_size} rows. Give what it serves a serving profile with a larger "
        "max_batch_size, or have callers send smaller batches first"
    )
    yield Finding("error", "smaller_batches", detail, f"/arms/{i}")


def _shares(policy: RoutingPolicy) -> Iterator[Finding]:
    named = {rule.arm for rule in policy.rules} | {shadow.arm for shadow in policy.shadows}
    named |= {arm.overflow for arm in policy.arms if arm.overflow}
    for i, arm in enumerate(policy.arms):
        where = f"/arms/{i}/weight"
        if arm.weight == 0 and not arm.primary and arm.name not in named:
            detail = f"arm {arm.name} is loaded and gets no requests"
            yield _warning("idle_arm", detail, where)
        if arm.primary and arm.weight < 5000 and len(policy.arms) == 2 and not policy.objective:
            detail = "the primary gets less than half of the requests"
            yield _warning("small_primary", detail, where)
    if policy.sticky and policy.sticky.source is Source.SEQUENCE and len(policy.arms) > 1:
        detail = "requests that belong to no sequence have no key: they are shared out one by one"
        yield _warning("sticky_sequence", detail, "/sticky/key")


def _protection(policy: RoutingPolicy) -> Iterator[Finding]:
    if len(policy.arms) < 2:
        return
    if policy.breaker is None and not policy.rescue.enabled:
        detail = (
            "without breaker and rescue callers see every failure of every arm, for as long as "
            "it lasts"
        )
        yield _warning("unprotected", detail, "/breaker")
    elif policy.breaker is None and policy.rescue.enabled:
        detail = (
            "without a breaker an arm that always fails stays in use: rescues beyond the budget "
            "fail callers"
        )
        yield _warning("no_breaker", detail, "/breaker")
    limit = policy.primary.max_in_flight
    if limit is not None and policy.overflow_of(policy.primary) is None:
        detail = (
            f"what other arms give back goes to the primary, which refuses more than {limit} "
            "at a time"
        )
        where = f"/arms/{policy.index(policy.primary.name)}/max_in_flight"
        yield _warning("limited_primary", detail, where)


def _shadows(policy: RoutingPolicy) -> Iterator[Finding]:
    weights = {arm.name: arm.weight for arm in policy.arms}
    for i, shadow in enumerate(policy.shadows):
        if weights[shadow.arm]:
            detail = (
                f"arm {shadow.arm} answers {percent(weights[shadow.arm])} % of the requests and "
                "gets copies of others beside them"
            )
            yield _warning("busy_shadow", detail, f"/shadow/{i}/arm")


def _warning(code: str, detail: str, pointer: str) -> Finding:
    return Finding("warning", code, detail, pointer)
