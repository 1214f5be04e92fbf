"""The arms of a policy document, read and checked among themselves."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from control_plane.domain.names import PUBLIC_NAME_RULE, is_public_name
from control_plane.domain.routing.fields import Fields, shown
from control_plane.domain.routing.policy import (
    MAX_ARMS,
    MAX_VERSION,
    MILLISECOND,
    OVERFLOW_TO_PRIMARY,
    SECOND,
    SLOTS,
    Allowance,
    Arm,
    percent,
)
from control_plane.domain.violations import InvalidInputError, Violation

MAX_COUNT = 1_000_000
MAX_SERVERS = 10_000
"""Requests in flight and the like: far above what one server holds."""

_MAX_NAME = 63
_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)
_FIELDS = {
    "name",
    "model",
    "version",
    "pipeline",
    "revision",
    "weight",
    "primary",
    "cost",
    "accuracy",
    "capacity",
    "max_in_flight",
    "overflow",
    "timeout",
    "allowance",
    "overrides",
    "twin",
}


def default_arm_name(model: str, version: int, *, twin: bool = False) -> str:
    """The name of an arm that was given none.

    A model's name may leave no room for `-v<version>`: it is then cut, with a digest of the
    whole name in place of the rest, so that two long names stay apart.

    >>> default_arm_name("digits", 3)
    'digits-v3'
    >>> default_arm_name("digits", 3, twin=True)
    'digits-v3-twin'
    """
    number = f"-v{version}-twin" if twin else f"-v{version}"
    name = model + number
    if len(name) <= _MAX_NAME:
        return name
    ending = f"-{hashlib.sha256(model.encode()).hexdigest()[:8]}{number}"
    return model[: _MAX_NAME - len(ending)] + ending


def read_arms(document: Fields, adaptive: bool) -> tuple[Arm, ...]:
    """The arms, with exactly one primary and weights that add up.

    Raises:
        InvalidInputError: there is no list of arms to speak of, so that nothing else of the
            document can be checked either.
    """
    found = document.found
    raw = document.get("arms")
    if not isinstance(raw, list | tuple) or not raw:
        document.note("arms", "required", "a policy needs a list of at least one arm")
        raise InvalidInputError(found)
    if len(raw) > MAX_ARMS:
        # At once: what is wrong with each of a million arms is no answer to anybody.
        detail = f"{len(raw)} arms; at most {MAX_ARMS} are allowed"
        document.note("arms", "too_many", detail)
        raise InvalidInputError(found)
    before = len(found)
    even = adaptive and all(not isinstance(one, dict) or one.get("weight") is None for one in raw)
    arms = [
        _arm(Fields(one, f"/arms/{i}", found, "an arm", _FIELDS), even) for i, one in enumerate(raw)
    ]
    if len(found) > before:
        return tuple(arms)
    if even:
        arms = [replace(arm, weight=_even_share(i, len(arms))) for i, arm in enumerate(arms)]
    arms = _with_primary(arms, found)
    found += _broken_sums(arms)
    found += _broken_roles(arms)
    return tuple(arms)


def _arm(raw: Fields, even: bool) -> Arm:
    model, version, pipeline = _served(raw)
    twin = raw.flag("twin", False)
    name = _name(raw, "name", default=default_arm_name(model, version, twin=twin))
    return Arm(
        name=name,
        model=model,
        version=version,
        pipeline=pipeline,
        twin=twin,
        weight=raw.percent("weight", "a weight", default=0 if even else None),
        primary=raw.flag("primary", False),
        cost=raw.number("cost") or 0.0,
        accuracy=raw.number("accuracy", 0, 1),
        capacity=raw.optional_whole("capacity", 1, MAX_COUNT),
        max_in_flight=raw.optional_whole("max_in_flight", 1, MAX_COUNT),
        overflow=_overflow(raw),
        timeout=raw.duration("timeout", MILLISECOND, 3600 * SECOND),
        allowance=_allowance(raw),
        overrides=_overrides(raw, pipeline),
    )


def _served(raw: Fields) -> tuple[str, int, bool]:
    """The name and number of a version, or of a pipeline's revision."""
    pipeline = raw.get("pipeline") is not None
    if pipeline and raw.get("model") is not None:
        detail = "an arm serves either a model's version or a pipeline's revision, not both"
        raw.note("pipeline", "invalid", detail)
    kind, field, other = (
        ("pipeline", "revision", "version") if pipeline else ("model", "version", "revision")
    )
    if raw.get(other) is not None:
        raw.note(other, "unknown", f"an arm that serves a {kind} has a {field}, no {other}")
    name, number = _name(raw, kind), raw.get(field)
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MAX_VERSION:
        or_alias = "" if pipeline else ", or an alias: '@champion'"
        detail = f"a {field} is a whole number from 1 to {MAX_VERSION}{or_alias}"
        raw.note(field, "invalid", detail)
        number = 0
    return name, number, pipeline


def _overrides(raw: Fields, pipeline: bool) -> Mapping[str, Any] | None:
    """Whether they fit the version's serving profile is seen when the policy is compiled."""
    value = raw.get("overrides")
    if value is None:
        return None
    if pipeline:
        detail = "a pipeline has no serving profile: its steps' versions have theirs"
        raw.note("overrides", "pipeline", detail)
        return None
    if not isinstance(value, Mapping):
        detail = f"{shown(value)}: overrides are an object in the words of a serving profile"
        raw.note("overrides", "type", detail)
        return None
    return dict(value) or None


def _name(raw: Fields, field: str, default: str | None = None) -> str:
    value = default if raw.get(field) is None else raw.get(field)
    if not isinstance(value, str) or not is_public_name(value):
        raw.note(field, "invalid_name", f"{shown(value)}: {PUBLIC_NAME_RULE}")
        return ""
    return value


def _overflow(raw: Fields) -> str | None:
    """Left out: the primary takes over; null: what is too much is refused."""
    if not raw.has("overflow"):
        return OVERFLOW_TO_PRIMARY
    value = raw.get("overflow")
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        detail = (
            f"{shown(value)}: overflow names another arm, or is null to refuse what is beyond "
            "max_in_flight; left out, the primary takes over"
        )
        raw.note("overflow", "type", detail)
        return OVERFLOW_TO_PRIMARY
    return value


def _allowance(raw: Fields) -> Allowance | None:
    if raw.get("allowance") is None:
        return None
    known = {"attempts", "failures", "until", "grant", "servers"}
    fields = Fields(raw.get("allowance"), f"{raw.where}/allowance", raw.found, "allowance", known)
    before = len(raw.found)
    allowance = Allowance(
        attempts=fields.optional_whole("attempts", 1),
        failures=fields.optional_whole("failures", 1),
        until=_moment(fields),
        grant=fields.text("grant"),
        servers=_servers(fields),
    )
    if allowance.grant is not None and not _is_line(allowance.grant):
        detail = "a grant is one line of text with no space at its ends, or left out"
        fields.note("grant", "invalid", detail)
    bounds = (allowance.attempts, allowance.failures, allowance.until)
    if len(raw.found) == before and not any(bounds):
        detail = "an allowance needs at least one of attempts, failures and until"
        fields.note("", "required", detail)
    return allowance


def _servers(fields: Fields) -> tuple[str, ...] | None:
    """Names of servers; each once, in their order."""
    if fields.get("servers") is None:
        return None
    names: list[str] = []
    for where, value in fields.list("servers", MAX_SERVERS):
        if not isinstance(value, str) or not is_public_name(value):
            detail = f"{shown(value)} is no server's name: {PUBLIC_NAME_RULE}"
            fields.found.append(Violation(where, "invalid_name", detail))
        elif value not in names:
            names.append(value)
    return tuple(names)


def _moment(fields: Fields) -> int | None:
    """An RFC 3339 time in milliseconds since 1970."""
    value = fields.get("until")
    if value is None:
        return None
    try:
        if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
            raise ValueError
        moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        detail = f"{shown(value)}: a time looks like 2026-11-24T13:00:00Z"
        fields.note("until", "invalid", detail)
        return None
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    milliseconds = (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000
    if milliseconds < 0:
        fields.note("until", "range", f"{value} was before 1970")
        return None
    return milliseconds


def _even_share(i: int, count: int) -> int:
    share, rest = divmod(SLOTS, count)
    return share + (1 if i < rest else 0)


def _with_primary(arms: list[Arm], found: list[Violation]) -> list[Arm]:
    """Arms with exactly one primary: the one arm there is, or the one that was named."""
    named = [arm for arm in arms if arm.primary]
    if len(arms) == 1 and not named:
        return [replace(arms[0], primary=True)]
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
        ("model and version", [arm.place for arm in arms]),
    ):
        for i, value in enumerate(values):
            if value in values[:i]:
                found.append(
                    Violation(f"/arms/{i}", "duplicate", f"another arm has the same {field}")
                )
    return found


def _broken_roles(arms: list[Arm]) -> list[Violation]:
    """What an arm says of another, or of itself as the primary, that cannot be."""
    found = list(_broken_twins(arms))
    names = [arm.name for arm in arms]
    for i, arm in enumerate(arms):
        if arm.overflow and (arm.overflow == arm.name or arm.overflow not in names):
            others = ", ".join(name for name in names if name != arm.name) or "there is none"
            detail = (
                f"{shown(arm.overflow)} is not another arm of this policy ({others}); "
                "null refuses what is beyond max_in_flight"
            )
            found.append(Violation(f"/arms/{i}/overflow", "unknown_arm", detail))
        if arm.primary and arm.allowance:
            detail = (
                "what an allowance takes away goes to the primary, so the primary has none: "
                "leave it out here"
            )
            found.append(Violation(f"/arms/{i}/allowance", "primary", detail))
    return found


def _broken_twins(arms: list[Arm]) -> Iterator[Violation]:
    """A twin is like another arm of the policy, and answers for nobody but itself."""
    others = {arm.key for arm in arms if not arm.twin}
    for i, arm in enumerate(arms):
        if not arm.twin:
            continue
        where = f"/arms/{i}/twin"
        if arm.pipeline:
            detail = "a pipeline shares its members, so a second one would be no twin: name a model"
            yield Violation(where, "pipeline", detail)
        elif arm.key not in others:
            detail = (
                f"no other arm serves {arm.model} version {arm.version}: a twin is the second "
                "instance of what another arm serves"
            )
            yield Violation(where, "alone", detail)
        if arm.primary:
            detail = "what others cannot take goes to the primary: mark the arm it is the twin of"
            yield Violation(where, "primary", detail)
        if arm.overrides:
            detail = "a twin is served like the arm it is the twin of: leave its overrides out"
            yield Violation(f"/arms/{i}/overrides", "twin", detail)


def _is_line(text: str) -> bool:
    """Whether a form's field gives the text back as it got it."""
    return text == text.strip() != "" and text.isprintable()
