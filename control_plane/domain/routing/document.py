"""The routing policy's document: what people write, read and checked, and written again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from control_plane.domain.names import PUBLIC_NAME_RULE, is_public_name
from control_plane.domain.routing.policy import (
    MAX_ARMS,
    MAX_VERSION,
    SLOTS,
    Arm,
    RoutingPolicy,
    percent,
)
from control_plane.domain.stored_json import pointer_part
from control_plane.domain.violations import InvalidInputError, Violation

_MAX_NAME = 63
_MAX_UNKNOWN = 20

_PERCENT = re.compile(r"[0-9]{1,16}(\.[0-9]{1,16})?", re.ASCII)

_ARM_FIELDS = {"name", "model", "version", "weight", "primary"}
_POLICY_FIELDS = {"arms", "mode"}
_LATER_FIELDS = {
    "sticky",
    "rules",
    "shadow",
    "breaker",
    "slow_start",
    "rescue",
    "objective",
}


def to_document(policy: RoutingPolicy) -> dict[str, Any]:
    """The JSON form of API.md; weights are percents again."""
    return {
        "mode": "weighted",
        "arms": [
            {
                "name": arm.name,
                "model": arm.model,
                "version": arm.version,
                "weight": percent(arm.weight),
                "primary": arm.primary,
            }
            for arm in policy.arms
        ],
    }


def default_arm_name(model: str, version: int) -> str:
    """The name of an arm that was given none.

    A model's name may leave no room for `-v<version>`: it is then cut, with a digest of the
    whole name in place of the rest, so that two long names stay apart.

    >>> default_arm_name("digits", 3)
    'digits-v3'
    """
    name = f"{model}-v{version}"
    if len(name) <= _MAX_NAME:
        return name
    ending = f"-{hashlib.sha256(model.encode()).hexdigest()[:8]}-v{version}"
    return model[: _MAX_NAME - len(ending)] + ending


def parse_policy(document: object) -> RoutingPolicy:
    """Reads and checks a policy document.

    Raises:
        InvalidInputError: with one violation per broken rule, each with its JSON pointer.
    """
    if not isinstance(document, Mapping):
        raise InvalidInputError([Violation("", "type", "a policy is a JSON object")])
    found = _unknown_fields(document, _POLICY_FIELDS, "")
    if document.get("mode", "weighted") != "weighted":
        found.append(
            Violation("/mode", "unsupported", "this server knows the mode 'weighted' only")
        )
    raw_arms = document.get("arms")
    if not isinstance(raw_arms, list) or not raw_arms:
        found.append(Violation("/arms", "required", "a policy needs a list of at least one arm"))
        raise InvalidInputError(found)
    if len(raw_arms) > MAX_ARMS:
        # At once: what is wrong with each of a million arms is no answer to anybody.
        detail = f"{len(raw_arms)} arms; at most {MAX_ARMS} are allowed"
        raise InvalidInputError([*found, Violation("/arms", "too_many", detail)])
    arms = [_parse_arm(raw, f"/arms/{i}", found) for i, raw in enumerate(raw_arms)]
    whole = [arm for arm in arms if arm is not None]
    if len(whole) == len(arms):
        whole = _with_primary(whole, found)
        found += _broken_sums(whole)
    if found:
        raise InvalidInputError(found)
    return RoutingPolicy(tuple(whole))


def _unknown_fields(raw: Mapping[Any, Any], known: set[str], where: str) -> list[Violation]:
    found = []
    for key in sorted(str(k) for k in raw.keys() - known)[:_MAX_UNKNOWN]:
        # A field of the contract that this server does not act on yet is refused, not ignored:
        # a caller who sent a breaker must not believe that there is one.
        later = where == "" and key in _LATER_FIELDS
        detail = (
            f"'{key}' is not supported by this server yet"
            if later
            else f"unknown field {_shown(key)}; known here: {', '.join(sorted(known))}"
        )
        found.append(
            Violation(f"{where}/{pointer_part(key)}", "unsupported" if later else "unknown", detail)
        )
    return found


def _parse_arm(raw: object, where: str, found: list[Violation]) -> Arm | None:
    if not isinstance(raw, Mapping):
        found.append(Violation(where, "type", "an arm is a JSON object"))
        return None
    before = len(found)
    found += _unknown_fields(raw, _ARM_FIELDS, where)
    model = _name(raw, "model", where, found)
    version = raw.get("version")
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= MAX_VERSION:
        detail = f"a version is a whole number from 1 to {MAX_VERSION}"
        found.append(Violation(f"{where}/version", "invalid", detail))
        version = 0
    name = _name(raw, "name", where, found, default=default_arm_name(model, version))
    weight = _weight(raw.get("weight"), f"{where}/weight", found)
    primary = raw.get("primary", False)
    if not isinstance(primary, bool):
        found.append(Violation(f"{where}/primary", "type", "primary is true or false"))
    if len(found) > before:
        return None
    return Arm(name=name, model=model, version=int(str(version)), weight=weight, primary=primary)


def _name(
    raw: Mapping[Any, Any],
    field: str,
    where: str,
    found: list[Violation],
    default: str | None = None,
) -> str:
    value = raw.get(field, default)
    if not isinstance(value, str) or not is_public_name(value):
        found.append(
            Violation(f"{where}/{field}", "invalid_name", f"{_shown(value)}: {PUBLIC_NAME_RULE}")
        )
        return ""
    return value


def _weight(value: object, where: str, found: list[Violation]) -> int:
    """A percent as parts per 10,000; a finer value is refused, never rounded."""
    if value is None or isinstance(value, bool) or not isinstance(value, int | float | str):
        found.append(Violation(where, "required", "a weight is a percent from 0 to 100"))
        return 0
    # Decimal alone takes far more than people write: "1_0", Arabic digits, "1e999999".
    if isinstance(value, str) and not _PERCENT.fullmatch(value):
        found.append(Violation(where, "invalid", f"{_shown(value)} is not a percent such as 12.5"))
        return 0
    # Floats are compared before they are converted: NaN compares with nothing.
    in_range = isinstance(value, str) or 0 <= value <= 100
    parts = Decimal(str(value)) * 100 if in_range else Decimal(-1)
    if not 0 <= parts <= SLOTS:
        found.append(Violation(where, "range", f"{_shown(value)} is not a percent from 0 to 100"))
        return 0
    if parts != parts.to_integral_value():
        found.append(Violation(where, "precision", f"{_shown(value)} has more than two decimals"))
        return 0
    return int(parts)


def _with_primary(arms: list[Arm], found: list[Violation]) -> list[Arm]:
    """Arms with exactly one primary: the one arm there is, or the one that was named."""
    named = [arm for arm in arms if arm.primary]
    if len(arms) == 1 and not named:
        only = arms[0]
        return [Arm(only.name, only.model, only.version, only.weight, primary=True)]
    if len(named) != 1:
        found.append(
            Violation(
                "/arms",
                "primary",
                f"exactly one arm is primary, and here {len(named)} are: "
                "mark the one that requests fall back to",
            )
        )
    return arms


def _broken_sums(arms: list[Arm]) -> list[Violation]:
    found = []
    total = sum(arm.weight for arm in arms)
    if total != SLOTS:
        found.append(
            Violation("/arms", "weights", f"the weights add up to {percent(total)}, not to 100")
        )
    for field, values in (
        ("name", [arm.name for arm in arms]),
        ("model and version", [(arm.model, arm.version) for arm in arms]),
    ):
        for i, value in enumerate(values):
            if value in values[:i]:
                found.append(
                    Violation(f"/arms/{i}", "duplicate", f"another arm has the same {field}")
                )
    return found


def _shown(value: object) -> str:
    """A value in a message, cut where it is very long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
