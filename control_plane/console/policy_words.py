"""A policy in words, for the pages that show it: what is in force, part by part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from control_plane.domain.routing.document import arm_document, parse_policy
from control_plane.domain.routing.policy import Arm, RoutingPolicy
from control_plane.domain.routing.words import parts_in_words
from control_plane.domain.violations import InvalidInputError

LABELS = {
    "mode": "Mode",
    "sticky": "Sticky",
    "rules": "Rules",
    "shadow": "Shadow",
    "confidence": "Confidence",
    "rescue": "Rescue",
    "breaker": "Breaker",
    "slow_start": "Slow start",
    "sequences": "Sequences",
}
"""The parts in the order in which people ask for them."""

_OFF = ("none", "off")
_PRIMARY = "the-primary"


@dataclass(frozen=True)
class Said:
    """One part of a policy: its name, what it says, and whether that is nothing."""

    label: str
    text: str
    off: bool = False


def policy_in_words(document: Mapping[str, Any] | None) -> list[Said]:
    """Everything but the weights; nothing where there is no policy."""
    policy = _parsed(document)
    if policy is None:
        return []
    words = parts_in_words(policy)
    said = [Said(label, words[part], words[part] in _OFF) for part, label in LABELS.items()]
    limits = ((arm.name, limits_in_words(arm, policy)) for arm in policy.arms)
    return said + [Said(f"Limits of {name}", text) for name, text in limits if text]


def parts_of(document: Mapping[str, Any] | None) -> dict[str, str]:
    """The words of each part by its name in the document, without those that cannot be read."""
    if not document:
        return {}
    policy = _parsed(document)
    if policy:
        return parts_in_words(policy)
    # Something is wrong somewhere: each part is asked alone, among arms that are in order.
    named = [entry.get("arm") for part in ("rules", "shadow") for entry in document.get(part) or ()]
    arms = _stand_ins({name for name in named if name})
    said: dict[str, str] = {}
    for part in LABELS:
        alone = {"arms": arms, part: document.get(part)}
        if part == "mode":
            alone["objective"] = document.get("objective")
        if policy := _parsed(alone):
            said[part] = parts_in_words(policy)[part]
    return said


def limits_of(document: Mapping[str, Any]) -> list[str]:
    """The limits of each arm in their order; `?` for one whose limits cannot be read."""
    policy = _parsed(document)
    if policy:
        return [limits_in_words(arm, policy) for arm in policy.arms]
    return [_limits_alone(arm) for arm in document["arms"]]


def limits_in_words(arm: Arm, policy: RoutingPolicy) -> str:
    """What an arm may and costs: `at most 64 in flight, then digits-v1; timeout 500ms`."""
    document = arm_document(arm)
    said = ["a twin, with a queue of its own"] if arm.twin else []
    if arm.max_in_flight is not None:
        beyond = policy.overflow_of(arm)
        said.append(
            f"at most {arm.max_in_flight} in flight, "
            + (f"then {beyond}" if beyond else "more are refused")
        )
    said += [f"{name} {document[name]}" for name in ("timeout", "capacity") if name in document]
    said += [f"{name} {document[name]:g}" for name in ("cost", "accuracy") if document.get(name)]
    if arm.overrides:
        said.append(f"serving overridden: {', '.join(arm.overrides)}")
    if arm.allowance:
        bounds = document["allowance"]
        words = [
            f"{bounds[name]} {what}"
            for name, what in (("attempts", "attempts"), ("failures", "failures"))
            if name in bounds
        ]
        words += [f"until {bounds['until']}"] if "until" in bounds else []
        granted = f", grant {bounds['grant']!r}" if "grant" in bounds else ""
        where = (
            f"each of {', '.join(bounds['servers'])} alone"
            if "servers" in bounds
            else "each server"
        )
        said.append(f"allowed {' or '.join(words)} on {where}{granted}")
    return "; ".join(said)


def _limits_alone(arm: Mapping[str, Any]) -> str:
    beyond = arm.get("overflow")
    arms = _stand_ins({beyond} if beyond else set())
    own = {key: value for key, value in arm.items() if key not in ("pipeline", "revision")}
    alone = {**own, "name": "this-arm", "model": "m", "version": 99, "weight": 0, "primary": False}
    policy = _parsed({"arms": [*arms, alone]})
    if policy is None:
        return "?"
    return limits_in_words(policy.arms[-1], policy).replace(f"then {_PRIMARY}", "then the primary")


def _stand_ins(names: set[str]) -> list[dict[str, Any]]:
    """Arms of these names beside a primary, with nothing wrong about them."""
    return [
        {"name": name, "model": "m", "version": i + 1, "weight": 0 if i else 100, "primary": not i}
        for i, name in enumerate([_PRIMARY, *sorted(names)])
    ]


def _parsed(document: Mapping[str, Any] | None) -> RoutingPolicy | None:
    try:
        return parse_policy(document) if document else None
    except InvalidInputError:
        return None
