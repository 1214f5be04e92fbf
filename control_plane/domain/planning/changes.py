"""What a new plan changes against the one that serves, for people to read first."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from control_plane.domain.planning.plan import ModelDirectory, Plan, PlannedArm
from control_plane.domain.routing.policy import percent


@dataclass(frozen=True)
class Change:
    """One difference: `action` is add, remove, weight, primary or replace."""

    action: str
    arm: str
    detail: str


def changes(before: Plan | None, after: Plan) -> list[Change]:
    """The differences in the order of the new policy, removals last."""
    old = {p.arm.name: p for p in before.arms} if before else {}
    new = {p.arm.name: p for p in after.arms}
    found: list[Change] = []
    for name, planned in new.items():
        found += _arm_changes(old.get(name), planned)
    for name in old.keys() - new.keys():
        found.append(Change("remove", name, f"{old[name].physical} gets no more requests"))
    return found


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
        return [Change("add", name, f"{new.physical} gets {weight} % of the requests")]
    found = []
    if old.physical != new.physical:
        found.append(Change("replace", name, f"{old.physical} -> {new.physical}"))
    if old.arm.weight != new.arm.weight:
        found.append(Change("weight", name, f"{percent(old.arm.weight)} % -> {weight} %"))
    if old.arm.primary != new.arm.primary:
        role = "becomes the primary" if new.arm.primary else "is no longer the primary"
        found.append(Change("primary", name, f"{new.physical} {role}"))
    return found


def _files(plan: Plan, print_config: Callable[[ModelDirectory], str]) -> dict[str, str]:
    files: dict[str, str] = {}
    for directory in (*plan.models, plan.router):
        files[f"{directory.name}/config.pbtxt"] = print_config(directory)
        for path, sha256 in directory.links.items():
            files[f"{directory.name}/{path}"] = f"sha256:{sha256}\n"
        for path, text in directory.texts.items():
            files[f"{directory.name}/{path}"] = text
    return files
