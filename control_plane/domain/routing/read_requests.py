"""What a policy document says about single requests: sticky keys, rules, shadows."""

from __future__ import annotations

from collections.abc import Sequence

from control_plane.domain.routing.fields import Fields, shown, text_problem
from control_plane.domain.routing.headers import ForwardedHeaders
from control_plane.domain.routing.policy import (
    Arm,
    Condition,
    Confidence,
    Match,
    Rule,
    Scores,
    Shadow,
    Source,
    Sticky,
)
from control_plane.domain.stored_json import pointer_part

MAX_RULES = 100
MAX_CONDITIONS = 8
MAX_VALUES = 1_000
MAX_ALL_VALUES = 10_000
"""Every request looks at the rules one by one: a list of customers belongs elsewhere."""

MAX_SHADOW_IN_FLIGHT = 10_000

_KEY_FORMS = "header:<name> or parameter:<name>"

# Triton's own: it acts on them and hands them to no model.
_TRITONS_PARAMETERS = {
    "sequence_id": "write sequence, which is its correlation id",
    "sequence_start": "it belongs to Triton",
    "sequence_end": "it belongs to Triton",
    "priority": "it belongs to Triton",
    "timeout": "it belongs to Triton",
    "binary_data_output": "it belongs to Triton",
}


def read_sticky(document: Fields, headers: ForwardedHeaders | None) -> Sticky | None:
    """The sticky key, or None."""
    if document.get("sticky") is None:
        return None
    where = f"{document.where}/sticky"
    fields = Fields(document.get("sticky"), where, document.found, "sticky", {"key", "salt"})
    salt = fields.text("salt")
    key = fields.get("key")
    if key == Source.SEQUENCE:
        return Sticky(Source.SEQUENCE, salt=salt)
    source, name, problem = _look(key, headers)
    if problem:
        fields.note("key", *problem)
    return Sticky(source, name, salt)


def read_rules(
    document: Fields, arms: Sequence[Arm], headers: ForwardedHeaders | None
) -> tuple[Rule, ...]:
    """The rules in their order."""
    rules = []
    for where, raw in document.list("rules", MAX_RULES):
        fields = Fields(raw, where, document.found, "a rule", {"when", "arm"})
        rules.append(Rule(_arm_named(fields, arms), read_conditions(fields, headers)))
    values = sum(len(c.values) for rule in rules for c in rule.conditions)
    if values > MAX_ALL_VALUES:
        detail = f"{values} values in all rules; at most {MAX_ALL_VALUES} are allowed"
        document.note("rules", "too_many", detail)
    return tuple(rules)


def read_shadows(document: Fields, arms: Sequence[Arm]) -> tuple[Shadow, ...]:
    """The shadows, at most one per arm and none on the primary."""
    shadows: list[Shadow] = []
    primary = {arm.name for arm in arms if arm.primary}
    known = {"arm", "percent", "max_in_flight", "compare"}
    for where, raw in document.list("shadow", len(arms) + 1):
        fields = Fields(raw, where, document.found, "a shadow", known)
        shadow = Shadow(
            arm=_arm_named(fields, arms),
            parts=fields.percent("percent", "the share that is copied"),
            max_in_flight=fields.whole(
                "max_in_flight", Shadow.max_in_flight, 1, MAX_SHADOW_IN_FLIGHT
            ),
            compare=fields.text("compare"),
        )
        if shadow.arm in primary:
            detail = "the primary answers by itself: a shadow copies requests to another arm"
            fields.note("arm", "primary", detail)
        if shadow.arm and any(shadow.arm == other.arm for other in shadows):
            fields.note("arm", "duplicate", "this arm has a shadow already: say it all in one")
        shadows.append(shadow)
    return tuple(shadows)


def read_confidence(document: Fields) -> Confidence | None:
    """The output whose confidence is counted, or None."""
    raw = document.get("confidence")
    if raw is None:
        return None
    where = f"{document.where}/confidence"
    fields = Fields(raw, where, document.found, "confidence", {"output", "scores"})
    output = fields.text("output")
    if fields.get("output") in (None, ""):
        detail = "confidence names the output that has the probabilities of the classes"
        fields.note("output", "required", detail)
    return Confidence(output or "", fields.choice("scores", Scores.PROBABILITIES))


def _arm_named(fields: Fields, arms: Sequence[Arm]) -> str:
    value = fields.get("arm")
    names = [arm.name for arm in arms]
    if not isinstance(value, str) or value not in names:
        known = ", ".join(name for name in names if name) or "there is none"
        fields.note("arm", "unknown_arm", f"{shown(value)} is no arm of this policy: {known}")
        return ""
    return value


def read_conditions(rule: Fields, headers: ForwardedHeaders | None) -> tuple[Condition, ...]:
    """The conditions under `when` of a rule, each with its tests."""
    found = rule.found
    raw = rule.get("when")
    if not isinstance(raw, dict) or not raw:
        detail = 'when has at least one condition, such as {"header:x-tenant-id": {"in": ["acme"]}}'
        rule.note("when", "required", detail)
        return ()
    if len(raw) > MAX_CONDITIONS:
        detail = f"{len(raw)} conditions; at most {MAX_CONDITIONS} are allowed"
        rule.note("when", "too_many", detail)
        return ()
    conditions: list[Condition] = []
    when = Fields(raw, f"{rule.where}/when", found, "when", set(raw))
    for key, tests in when.items():
        source, name, problem = _look(key, headers)
        if problem:
            when.note(key, *problem)
        if any((source, name) == (other.source, other.name) for other in conditions) and name:
            when.note(key, "duplicate", "the same header is named above, in another spelling")
        conditions += _tests(when, key, tests, source, name)
    # The database keeps no order of keys: in this one the same rule is the same text for ever.
    return tuple(sorted(conditions, key=lambda c: (c.source, c.name)))


def _tests(when: Fields, key: str, raw: object, source: Source, name: str) -> list[Condition]:
    words = {word.value for word in Match}
    before = len(when.found)
    if not isinstance(raw, dict) or not raw:
        example = '{"equals": "acme"}; there are equals, in and prefix'
        detail = f"{shown(raw)}: say how to compare, such as {example}"
        when.note(key, "required", detail)
        return []
    where = f"{when.where}/{pointer_part(key)}"
    fields = Fields(raw, where, when.found, "a condition", words)
    conditions = []
    for match in Match:
        if fields.has(match):
            values = _values(fields, match)
            conditions.append(Condition(source, name, match, values))
    return conditions if len(when.found) == before else []


def _values(fields: Fields, match: Match) -> tuple[str, ...]:
    if match is not Match.IN:
        return (_value(fields, match, fields.get(match)),)
    raw = fields.get(match)
    if not isinstance(raw, list | tuple) or not 1 <= len(raw) <= MAX_VALUES:
        fields.note(match, "type", f"in has a list of 1 to {MAX_VALUES} values")
        return ()
    return tuple(_value(fields, match, one) for one in raw)


def _value(fields: Fields, match: Match, raw: object) -> str:
    """A value as the text that the router compares: numbers in decimals, true and false."""
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, int) and raw.bit_length() < 64:
        return str(raw)
    if not isinstance(raw, str):
        detail = f"{shown(raw)} is no text, whole number, true or false"
        fields.note(match, "type", detail)
        return ""
    if problem := text_problem(raw):
        fields.note(match, "invalid", problem)
        return ""
    return raw


def _look(
    key: object, headers: ForwardedHeaders | None
) -> tuple[Source, str, tuple[str, str] | None]:
    """Where a key looks, and what is wrong with it as (code, detail)."""
    word, colon, name = key.partition(":") if isinstance(key, str) else ("", "", "")
    if not colon or not name or word not in (Source.HEADER, Source.PARAMETER):
        detail = f"{shown(key)}: a key is {_KEY_FORMS}; a sticky key may be sequence"
        return Source.PARAMETER, "", ("invalid", detail)
    if problem := text_problem(name):
        return Source.PARAMETER, "", ("invalid", problem)
    if word == Source.PARAMETER:
        if name in _TRITONS_PARAMETERS:
            detail = f"Triton keeps the parameter {name!r} to itself: {_TRITONS_PARAMETERS[name]}"
            return Source.PARAMETER, name, ("not_forwarded", detail)
        return Source.PARAMETER, name, None
    refusal = headers.refusal(name) if headers else ""
    return Source.HEADER, name.lower(), ("not_forwarded", refusal) if refusal else None
