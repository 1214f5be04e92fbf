"""Where in the policy's form a violation belongs: its JSON pointer, led to a field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from control_plane.console.policy_fields import ALLOWANCE, PARTS, Group
from control_plane.console.policy_rows import RuleRow, ShadowRow, look_of
from control_plane.console.policy_text import FRACTION
from control_plane.domain.routing.policy import Match
from control_plane.domain.violations import Violation

if TYPE_CHECKING:
    from control_plane.console.policy_draft import PolicyDraft

NOT_A_PERCENT = "a percent from 0 to 100 with at most two decimals"


def show(draft: PolicyDraft, violation: Violation) -> None:
    """Notes a violation at its field; above the form where it concerns the whole."""
    head, *rest = [_unescaped(part) for part in violation.pointer.split("/")[1:]] or [""]
    if head == "arms" and rest:
        _show_at_arm(draft, rest, violation)
    elif head == "rules" and rest:
        _show_at_rule(draft, rest, violation)
    elif head == "shadow" and rest:
        _show_at_shadow(draft, rest, violation)
    elif head == "sticky":
        at = {"salt": "salt", "key": "name"}.get(rest[0] if rest else "", "")
        # Nothing to type a name into: the choice beside it is what is wrong.
        named = draft.sticky.values["source"] in ("header", "parameter")
        draft.sticky.note(at if at != "name" or named else "source", violation.detail)
    elif head == "mode":
        draft.mode.note("mode", violation.detail)
    elif head in PARTS:
        _show_at_part(draft.parts[head], head, rest, violation)
    else:
        draft.errors.append(violation.detail)


def _show_at_arm(draft: PolicyDraft, at: list[str], violation: Violation) -> None:
    index = int(at[0])
    if index >= len(draft.rows):
        draft.errors.append(violation.detail)
        return
    row = draft.rows[index]
    field = at[1] if len(at) > 1 else ""
    if field == "name" and not row.values["name"]:
        return  # derived from the version, which has a violation of its own
    if field == "allowance":
        field = at[2] if len(at) > 2 and at[2] in ALLOWANCE else "attempts"
    if field == "overrides" and len(at) > 2:
        detail = f"{'.'.join(at[2:])}: {violation.detail}"
        row.note(field, detail)
        return
    # One select names what is served and its number: what is wrong with either is shown there.
    field = "version" if field in ("model", "pipeline", "revision") else field
    unchosen = field == "version" and not row.version
    row.note(field, "choose a version" if unchosen else violation.detail)


def _show_at_rule(draft: PolicyDraft, at: list[str], violation: Violation) -> None:
    index = int(at[0])
    if index >= len(draft.rules):
        draft.errors.append(violation.detail)
        return
    rule = draft.rules[index]
    if at[1:] == ["arm"]:
        _show_at_choice(draft, rule, violation)
        return
    if at[1:2] != ["when"] or len(at) < 3:
        rule.note("", violation.detail)
        return
    condition = _condition(rule, at[2], at[3] if len(at) > 3 else "")
    if condition is None:
        rule.note("", violation.detail)
    elif len(at) == 3:
        condition.note("name", violation.detail)
    else:
        condition.note("values", _about_values(condition, violation.detail))


def _about_values(condition: Group, detail: str) -> str:
    """The form knows better than the document what was meant."""
    written = condition.values["values"].strip()
    if not written:
        return "say what to compare with"
    if condition.values["test"] != Match.IN and "\n" in written:
        return "several values: choose “is one of”, or leave one"
    return detail


def _condition(rule: RuleRow, look: str, test: str) -> Group | None:
    looking = [condition for condition in rule.conditions if look_of(condition) == look]
    matching = [condition for condition in looking if condition.values["test"] == test]
    return next(iter(matching or looking), None)


def _show_at_shadow(draft: PolicyDraft, at: list[str], violation: Violation) -> None:
    index = int(at[0])
    if index >= len(draft.shadows):
        draft.errors.append(violation.detail)
    elif at[1:] == ["arm"]:
        _show_at_choice(draft, draft.shadows[index], violation)
    else:
        draft.shadows[index].note(at[1] if len(at) > 1 else "", violation.detail)


def _show_at_choice(draft: PolicyDraft, row: RuleRow | ShadowRow, violation: Violation) -> None:
    """What is wrong with the arm that was chosen, unless that is told at the arm already."""
    chosen = next((arm for arm in draft.rows if arm.key == row.values["arm"]), None)
    if chosen is None:
        row.note("arm", "choose an arm")
    elif violation.code != "unknown_arm" or not chosen.wrong:
        row.note("arm", violation.detail)


def _show_at_part(part: Group, name: str, at: list[str], violation: Violation) -> None:
    field = at[0] if at else ""
    as_percent = PARTS[name].get(field) is FRACTION
    part.note(field, NOT_A_PERCENT if as_percent else violation.detail)


def _unescaped(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")
