"""What a new plan changes against the one that serves, for people to read first."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from dataclasses import dataclass

from control_plane.domain.planning.plan import ModelDirectory, Plan, PlannedArm
from control_plane.domain.routing.document import arm_document
from control_plane.domain.routing.policy import Arm, RoutingPolicy, percent
from control_plane.domain.routing.words import parts_in_words

LIMITS = (
    *("cost", "accuracy", "capacity", "max_in_flight", "overflow", "timeout", "allowance"),
    "overrides",
)
"""What an arm may be given beside its share."""


@dataclass(frozen=True)
class Change:
    """One difference, in words.

    `action` is add, remove, weight, primary, replace or limits for what concerns one arm, and
    policy for the rest: `arm` is empty then, and `part` names the field of the document. Limits
    without an arm are those of the endpoint.
    """

    action: str
    arm: str
    detail: str
    part: str = ""


def changes(before: Plan | None, after: Plan) -> list[Change]:
    """The differences in the order of the new policy, removals last."""
    old = {p.arm.name: p for p in before.arms} if before else {}
    new = {p.arm.name: p for p in after.arms}
    found: list[Change] = []
    for name, planned in new.items():
        found += _arm_changes(old.get(name), planned)
    for name, planned in old.items():
        if name not in new:
            found.append(Change("remove", name, f"{planned.physical} gets no more requests"))
    return found + _batch_changes(before, after) + _policy_changes(before, after)


def refused_batches(before: Plan | None, after: Plan) -> str:
    """The batches that are taken now and will be refused, in words; empty when none is."""
    largest, left = (before.max_batch_size if before else 0), after.max_batch_size
    if left >= largest:
        return ""
    refused = f"{left + 1} to {largest}" if left + 1 < largest else str(largest)
    return f"batches of {refused} will be refused" if left else "no batches will be taken"


def loads(before: Plan | None, after: Plan) -> list[str]:
    """Physical models that the new plan adds, sorted."""
    return sorted(after.physical_names - (before.physical_names if before else frozenset()))


def unloads(before: Plan | None, after: Plan) -> list[str]:
    """Physical models that only the old plan uses, sorted.

    They stay loaded until the revision after this one, for an instant way back.
    """
    return sorted((before.physical_names if before else frozenset()) - after.physical_names)


def unified_diff(
    before: Plan | None, after: Plan, print_config: Callable[[ModelDirectory], str]
) -> str:
    """A unified diff over every file of both plans, in the order of their paths."""
    old = _files(before, print_config) if before else {}
    new = _files(after, print_config)
    parts: list[str] = []
    for path in sorted(old.keys() | new.keys()):
        parts += difflib.unified_diff(
            old.get(path, "").splitlines(keepends=True),
            new.get(path, "").splitlines(keepends=True),
            fromfile=f"a/{path}" if path in old else "/dev/null",
            tofile=f"b/{path}" if path in new else "/dev/null",
        )
    return "".join(parts)


def _arm_changes(old: PlannedArm | None, new: PlannedArm) -> list[Change]:
    name, weight = new.arm.name, percent(new.arm.weight)
    if old is None:
        found = [Change("add", name, f"{new.physical} gets {weight} % of the requests")]
        return found + _limit_changes(None, new.arm)
    found = []
    if old.physical != new.physical:
        found.append(Change("replace", name, f"{old.physical} -> {new.physical}"))
    if old.arm.weight != new.arm.weight:
        found.append(Change("weight", name, f"{percent(old.arm.weight)} % -> {weight} %"))
    if old.arm.primary != new.arm.primary:
        role = "becomes the primary" if new.arm.primary else "is no longer the primary"
        found.append(Change("primary", name, f"{new.physical} {role}"))
    return found + _limit_changes(old.arm, new.arm)


def _limit_changes(old: Arm | None, new: Arm) -> list[Change]:
    before = _limits(old) if old else {}
    after = _limits(new)
    words = [
        f"{name} {before.get(name, 'none')} -> {after.get(name, 'none')}"
        for name in LIMITS
        if before.get(name) != after.get(name)
    ]
    return [Change("limits", new.name, ", ".join(words))] if words else []


def _limits(arm: Arm) -> dict[str, str]:
    """The arm's limits as people write them; those it has not been given are left out."""
    found = {}
    for name, value in arm_document(arm).items():
        if name == "overflow":
            found[name] = value or "refused"
        elif name == "allowance":
            found[name] = " and ".join(
                f"{key} {', '.join(bound) if isinstance(bound, list) else bound}"
                for key, bound in value.items()
            )
        elif name == "overrides":
            found[name] = json.dumps(value, ensure_ascii=False)
        elif name in LIMITS and (name != "cost" or value):
            found[name] = f"{value:g}" if isinstance(value, float) else str(value)
    return found


def _batch_changes(before: Plan | None, after: Plan) -> list[Change]:
    """What callers' batches may hold belongs to the endpoint: the arms' smallest."""
    if before is None or before.max_batch_size == after.max_batch_size:
        return []
    moved = f"batches of at most {before.max_batch_size} -> {after.max_batch_size}"
    refused = refused_batches(before, after)
    return [Change("limits", "", f"{moved}: {refused}" if refused else moved)]


def _policy_changes(before: Plan | None, after: Plan) -> list[Change]:
    """One change for each part of the policy that says something else now."""
    new = after.routing
    # For a first policy the defaults are what one would expect: only what differs is said.
    old = before.routing if before else RoutingPolicy(new.arms)
    said, says = parts_in_words(old), parts_in_words(new)
    return [
        Change("policy", "", f"{part}: {said[part]} -> {says[part]}", part)
        for part, was, becomes in _parts(old, new)
        if was != becomes
    ]


def _parts(old: RoutingPolicy, new: RoutingPolicy) -> list[tuple[str, object, object]]:
    return [
        ("mode", old.objective, new.objective),
        ("sticky", old.sticky, new.sticky),
        ("rules", old.rules, new.rules),
        ("shadow", old.shadows, new.shadows),
        ("confidence", old.confidence, new.confidence),
        ("breaker", old.breaker, new.breaker),
        ("slow_start", old.slow_start, new.slow_start),
        ("rescue", old.rescue, new.rescue),
        ("sequences", old.sequences, new.sequences),
    ]


def _files(plan: Plan, print_config: Callable[[ModelDirectory], str]) -> dict[str, str]:
    files: dict[str, str] = {}
    for directory in (*plan.models, plan.router):
        files[f"{directory.name}/config.pbtxt"] = print_config(directory)
        for path, sha256 in directory.links.items():
            files[f"{directory.name}/{path}"] = f"sha256:{sha256}\n"
        for path, text in directory.texts.items():
            files[f"{directory.name}/{path}"] = text
    return files
