"""Aliases in a policy document: numbers take their place before anything else is read.

An alias is resolved once, at the moment of the write: what is stored, compiled, shown and gone
back to has numbers, so moving an alias later moves no traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from control_plane.domain.registry.aliases import alias_in
from control_plane.domain.routing.policy import MAX_ARMS
from control_plane.domain.violations import Violation

Aliases = Mapping[tuple[str, str], int]
"""(model, alias) -> the number of the version that bears it."""


def named_aliases(document: object) -> set[tuple[str, str]]:
    """Every (model, alias) that an arm of the document names its version by."""
    found = set()
    for arm in _arms(document):
        alias = _alias_of(arm)
        if alias is not None:
            found.add((str(arm["model"]), alias))
    return found


def with_numbers(document: object, aliases: Aliases) -> tuple[object, list[Violation]]:
    """The document with a number in place of each alias, and what is wrong with the others.

    An arm whose alias is not there stays as it is.
    """
    if not isinstance(document, Mapping) or not named_aliases(document):
        return document, []
    arms, missing = [], []
    for i, arm in enumerate(document["arms"]):
        alias = _alias_of(arm)
        if alias is None:
            arms.append(arm)
        elif (number := aliases.get((arm["model"], alias))) is not None:
            arms.append({**arm, "version": number})
        else:
            arms.append(arm)
            missing.append(_missing(i, arm["model"], alias))
    return {**document, "arms": arms}, missing


def _missing(i: int, model: str, alias: str) -> Violation:
    detail = (
        f"model {model[:80]!r} has no alias {alias[:80]!r}: give it one to a version first, or "
        "name the version by its number"
    )
    return Violation(f"/arms/{i}/version", "not_found", detail)


def _arms(document: object) -> list[Any]:
    arms = document.get("arms") if isinstance(document, Mapping) else None
    if not isinstance(arms, list) or len(arms) > MAX_ARMS:  # the reader refuses it
        return []
    return [arm for arm in arms if isinstance(arm, Mapping)]


def _alias_of(arm: object) -> str | None:
    if not isinstance(arm, Mapping) or not isinstance(arm.get("model"), str):
        return None
    return alias_in(arm.get("version"))
