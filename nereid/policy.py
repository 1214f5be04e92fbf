"""Arm expressions, as people type them, to a policy document.

    digits:1=90 digits:2=10          two versions
    digits:1                         one version, all traffic
    digits:1 digits:2=10             the one without a weight takes the rest
    stable@digits:1=90               the arm's name, when the default (``digits-v1``) will not do
    digits@champion=90               the version that an alias points to when the policy is written
    digits-png:2=90                  revision 2 of a pipeline: its name is no model's

Only what cannot be read is refused here; whether weights add up or a version exists is the
server's to say, so that every client is told the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

_NAME = r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_ARM = re.compile(
    rf"(?:(?P<name>{_NAME})@)?(?P<model>{_NAME})"
    r"(?P<which>:v?(?P<version>[0-9]+)|@(?P<alias>[A-Za-z0-9_-]+))"
    r"(?:=(?P<weight>[0-9]+(?:\.[0-9]{1,2})?)%?)?"
)
HUNDRED = Decimal(100)


class PolicySyntaxError(ValueError):
    """An arm expression that cannot be read. The message names it and shows the right form."""


@dataclass(frozen=True)
class ArmExpression:
    model: str
    version: int | str  # a number, or an alias: @champion
    weight: Decimal | None
    name: str | None = None

    @property
    def target(self) -> tuple[str, int | str]:
        return (self.model, self.version)


def parse_arm(text: str) -> ArmExpression:
    match = _ARM.fullmatch(text)
    if match is None:
        raise PolicySyntaxError(
            f"cannot read {text!r}: an arm is MODEL:VERSION=PERCENT, such as digits:2=10 "
            "(percent with up to two decimals), or MODEL@ALIAS=PERCENT"
        )
    weight = match["weight"]
    return ArmExpression(
        model=match["model"],
        version=f"@{match['alias']}" if match["alias"] else int(match["version"]),
        weight=None if weight is None else Decimal(weight),
        name=match["name"],
    )


def parse_arms(texts: Sequence[str]) -> list[ArmExpression]:
    """Read all expressions and give the one without a weight, if any, what is left of 100."""
    if not texts:
        raise PolicySyntaxError("name at least one arm, such as digits:1=100")
    arms = [parse_arm(text) for text in texts]
    seen: set[tuple[str, int | str]] = set()
    for arm in arms:
        if arm.target in seen:
            raise PolicySyntaxError(f"{_written(arm)} is named twice")
        seen.add(arm.target)
    open_arms = [index for index, arm in enumerate(arms) if arm.weight is None]
    if len(open_arms) > 1:
        raise PolicySyntaxError("only one arm may go without a weight: it takes what is left")
    if open_arms:
        rest = HUNDRED - sum((arm.weight or Decimal(0) for arm in arms), Decimal(0))
        if rest < 0:
            raise PolicySyntaxError("the weights are above 100 already: nothing is left")
        arms[open_arms[0]] = replace(arms[open_arms[0]], weight=rest)
    return arms


def policy_document(
    texts: Sequence[str],
    *,
    primary: str | None = None,
    current: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The policy that these expressions mean, as a change to `current`.

    Naming new arms is not a reason to lose a sticky key or a rule: everything of `current` but
    its arms is kept, and an arm that stays keeps its name, timeout and the like: the version that
    stays, or the name that is given to another version. The primary,
    which requests fall back to, is the one asked for, else the present one if it stays: more
    traffic is no reason to trust a version with everybody's. Else it is the arm with the most
    weight (the first of equals).
    """
    arms = parse_arms(texts)
    standing = [dict(arm) for arm in (current or {}).get("arms") or ()]
    known: dict[tuple[str, int | str], dict[str, Any]] = {
        (
            str(arm.get("pipeline") or arm.get("model")),
            int(arm.get("revision") or arm.get("version") or 0),
        ): arm
        for arm in standing
    }
    named = {str(arm.get("name")): _without_figures(arm) for arm in standing}
    documents: list[dict[str, Any]] = []
    for arm in arms:
        kept = known.get(arm.target) or named.get(arm.name or "", {})
        documents.append(
            {
                **_without_target(kept),
                **_named(arm, kept),
                "model": arm.model,
                "version": arm.version,
                "weight": _number(arm.weight or Decimal(0)),
            }
        )
    chosen = _primary_index(arms, documents, primary)
    for index, document in enumerate(documents):
        document["primary"] = index == chosen
    rest = {key: value for key, value in (current or {}).items() if key != "arms"}
    return {**rest, "arms": documents}


def alias_in(text: str) -> tuple[str, str] | None:
    """The (model, alias) that an expression names its version by; None: it has a number."""
    match = _ARM.fullmatch(text)
    return (match["model"], match["alias"]) if match and match["alias"] else None


def numbered(text: str, number: int) -> str:
    """The same expression with a number in place of its alias.

    >>> numbered("stable@digits@champion=90", 3)
    'stable@digits:3=90'
    """
    match = _ARM.fullmatch(text)
    if match is None or match["alias"] is None:
        return text
    start, end = match.span("which")
    return f"{text[:start]}:{number}{text[end:]}"


def _written(arm: ArmExpression) -> str:
    """The version as people write it: `digits:3`, `digits@champion`."""
    return f"{arm.model}{arm.version if isinstance(arm.version, str) else f':{arm.version}'}"


def _named(arm: ArmExpression, kept: Mapping[str, Any]) -> dict[str, str]:
    """An arm's name; that of an arm with an alias is the server's to give, with the number."""
    name = arm.name or kept.get("name")
    if name is None and isinstance(arm.version, int):
        name = f"{arm.model}-v{arm.version}"
    return {} if name is None else {"name": str(name)}


def _without_target(arm: Mapping[str, Any]) -> dict[str, Any]:
    """What the arm serves is said anew; whether it is a pipeline, the server knows by its name."""
    return {key: value for key, value in arm.items() if key not in ("pipeline", "revision")}


def _without_figures(arm: Mapping[str, Any]) -> dict[str, Any]:
    """What an arm hands on to another version: cost and accuracy are a version's own."""
    return {key: value for key, value in arm.items() if key not in ("cost", "accuracy")}


def _primary_index(
    arms: Sequence[ArmExpression], documents: Sequence[Mapping[str, Any]], primary: str | None
) -> int:
    if primary is None:
        for index, document in enumerate(documents):
            if document.get("primary"):
                return index
        weights = [arm.weight or Decimal(0) for arm in arms]
        return weights.index(max(weights))
    for index, (arm, document) in enumerate(zip(arms, documents, strict=True)):
        if primary in {
            _written(arm),
            f"{arm.model}:v{arm.version}",
            document.get("name"),
        }:
            return index
    raise PolicySyntaxError(f"--primary {primary} is none of the arms")


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)
