"""The strategy of a rollout's document and its steps, read and written again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from control_plane.domain.names import PUBLIC_NAME_RULE, is_public_name
from control_plane.domain.rollout.steps import (
    BLUE_GREEN,
    DEFAULT_CANARY,
    DEFAULT_COPIES,
    DEFAULT_TEMPLATE,
    SHADOW_TEMPLATE,
    Analysis,
    Approval,
    Kind,
    Pause,
    Ramp,
    SetRule,
    SetShadow,
    SetWeight,
    Step,
    Strategy,
    shadow_first,
)
from control_plane.domain.routing.document import rule_document
from control_plane.domain.routing.fields import Fields, duration_text, shown
from control_plane.domain.routing.headers import ForwardedHeaders
from control_plane.domain.routing.policy import MILLISECOND, SECOND, SLOTS, Rule, percent
from control_plane.domain.routing.read_requests import MAX_SHADOW_IN_FLIGHT, read_conditions
from control_plane.domain.violations import InvalidInputError, Violation

MAX_STEPS = 50
MAX_TEMPLATES = 8

_LONGEST = 30 * 24 * 3600 * SECOND
_EXAMPLE = '{"setWeight": 5}, {"pause": {"duration": "60s"}} or {"analysis": {}}'


def read_strategy(document: Fields, headers: ForwardedHeaders | None) -> Strategy:
    """The strategy; left out, the default canary."""
    raw = document.get("strategy")
    if raw is None:
        return Strategy(Kind.CANARY, DEFAULT_CANARY)
    kinds = {kind.value for kind in Kind}
    fields = Fields(raw, "/strategy", document.found, "strategy", kinds)
    given = [kind for kind in Kind if fields.has(kind)]
    if len(given) != 1:
        names = " or ".join(kinds_in_order())
        fields.note("", "one", f"a strategy is exactly one of {names}")
        return Strategy(Kind.CANARY, ())
    kind = given[0]
    known = {"analysis"} | _OWN_FIELDS.get(kind, set())
    inner = Fields(fields.get(kind) or {}, f"/strategy/{kind}", document.found, kind, known)
    watch = _templates(inner)
    if kind is Kind.BLUE_GREEN:
        return Strategy(kind, BLUE_GREEN, watch)
    if kind is Kind.PROGRESSIVE:
        return Strategy(kind, (_ramp(inner, watch),), watch)
    steps = _steps(inner, headers)
    if kind is Kind.SHADOW_FIRST:
        judged_by = _templates(inner, "shadowAnalysis", SHADOW_TEMPLATE)
        return Strategy(kind, shadow_first(_copies(inner), judged_by, steps), watch)
    return Strategy(kind, steps, watch)


def strategy_of(document: object) -> Strategy:
    """A strategy that was accepted once, from its own document.

    Raises:
        InvalidInputError: it is none.
    """
    found: list[Violation] = []
    fields = Fields({"strategy": document}, "", found, "a rollout", {"strategy"})
    strategy = read_strategy(fields, None)
    if found:
        raise InvalidInputError(found)
    return strategy


_OWN_FIELDS = {
    Kind.CANARY: {"steps"},
    Kind.PROGRESSIVE: {"from", "to"},
    Kind.SHADOW_FIRST: {"percent", "max_in_flight", "compare", "shadowAnalysis", "steps"},
}


def _steps(strategy: Fields, headers: ForwardedHeaders | None) -> tuple[Step, ...]:
    if not strategy.has("steps"):
        return DEFAULT_CANARY
    raw = strategy.list("steps", MAX_STEPS)
    steps = [_step(where, one, strategy, headers) for where, one in raw]
    return tuple(step for step in steps if step is not None)


def _copies(strategy: Fields) -> SetShadow:
    """What goes to the candidate before any request does."""
    parts = strategy.percent("percent", "the share that is copied", default=DEFAULT_COPIES.parts)
    if not parts:
        detail = "without copies there is nothing to judge by: take the strategy canary instead"
        strategy.note("percent", "range", detail)
    most = strategy.whole("max_in_flight", SetShadow.max_in_flight, 1, MAX_SHADOW_IN_FLIGHT)
    return SetShadow(parts, most, strategy.text("compare"))


def _ramp(strategy: Fields, templates: tuple[str, ...]) -> Ramp:
    first = strategy.percent("from", "the first share", default=Ramp.first)
    most = strategy.percent("to", "the last share", default=Ramp.most)
    if not 0 < first <= most < SLOTS:
        detail = (
            f"it goes up from {percent(first)} to {percent(most)} %: both are above 0 and below "
            "100, where there is something to be compared with, and the first is the smaller one"
        )
        strategy.note("to", "range", detail)
    return Ramp(templates, first, most)


def kinds_in_order() -> list[str]:
    """The strategies there are, as people write them."""
    return [kind.value for kind in Kind]


def strategy_document(strategy: Strategy) -> dict[str, Any]:
    """The JSON form, which `read_strategy` reads back."""
    inner: dict[str, Any] = {"analysis": {"templates": list(strategy.watch)}}
    steps = strategy.steps
    if strategy.kind is Kind.SHADOW_FIRST:
        (copies, judged, _), steps = steps[:3], steps[3:]  # as `shadow_first` puts them together
        inner |= step_document(copies)["setShadow"]
        inner["shadowAnalysis"] = step_document(judged)["analysis"]
    if strategy.kind in (Kind.CANARY, Kind.SHADOW_FIRST):
        inner["steps"] = [step_document(step) for step in steps]
    for step in strategy.steps:
        if isinstance(step, Ramp):
            inner |= {"from": percent(step.first), "to": percent(step.most)}
    return {strategy.kind.value: inner}


def step_document(step: Step) -> dict[str, Any]:
    """One step, in Argo's words."""
    if isinstance(step, SetWeight):
        return {"setWeight": percent(step.parts)}
    if isinstance(step, Pause):
        duration = step.duration
        return {"pause": {} if duration is None else {"duration": duration_text(duration)}}
    if isinstance(step, Analysis):
        return {"analysis": {"templates": list(step.templates)}}
    if isinstance(step, Approval):
        return {"approval": {}}
    if isinstance(step, Ramp):
        return {"ramp": {"from": percent(step.first), "to": percent(step.most)}}
    if isinstance(step, SetShadow):
        compare = {} if step.compare is None else {"compare": step.compare}
        shadow = {"percent": percent(step.parts), "max_in_flight": step.max_in_flight}
        return {"setShadow": {**shadow, **compare}}
    if not step.conditions:
        return {"setRule": {}}
    return {"setRule": {"when": rule_document(Rule("", step.conditions))["when"]}}


def _step(where: str, raw: object, outer: Fields, headers: ForwardedHeaders | None) -> Step | None:
    fields = Fields(raw, where, outer.found, "a step", set(_READERS))
    given = [name for name in _READERS if fields.has(name)]
    if len(given) != 1:
        fields.note("", "one", f"a step is exactly one thing, such as {_EXAMPLE}")
        return None
    return _READERS[given[0]](fields, headers)


def _weight(step: Fields, _: ForwardedHeaders | None) -> Step:
    return SetWeight(step.percent("setWeight", "the candidate's share"))


def _pause(step: Fields, _: ForwardedHeaders | None) -> Step:
    fields = _inside(step, "pause", {"duration"})
    return Pause(fields.duration("duration", 100 * MILLISECOND, _LONGEST))


def _analysis(step: Fields, _: ForwardedHeaders | None) -> Step:
    return Analysis(_named(_inside(step, "analysis", {"template", "templates"})))


def _approval(step: Fields, _: ForwardedHeaders | None) -> Step:
    _inside(step, "approval", set())
    return Approval()


def _shadow(step: Fields, _: ForwardedHeaders | None) -> Step:
    if isinstance(step.get("setShadow"), Mapping):
        fields = _inside(step, "setShadow", {"percent", "max_in_flight", "compare"})
        return SetShadow(
            fields.percent("percent", "the share that is copied"),
            fields.whole("max_in_flight", SetShadow.max_in_flight, 1, MAX_SHADOW_IN_FLIGHT),
            fields.text("compare"),
        )
    return SetShadow(step.percent("setShadow", "the share that is copied"))


def _rule(step: Fields, headers: ForwardedHeaders | None) -> Step:
    fields = _inside(step, "setRule", {"when"})
    return SetRule(read_conditions(fields, headers) if fields.get("when") else ())


_Reader = Callable[[Fields, ForwardedHeaders | None], Step]

_READERS: dict[str, _Reader] = {
    "setWeight": _weight,
    "pause": _pause,
    "analysis": _analysis,
    "approval": _approval,
    "setShadow": _shadow,
    "setRule": _rule,
}


def _inside(step: Fields, name: str, known: set[str]) -> Fields:
    raw = {} if step.get(name) is None else step.get(name)
    return Fields(raw, f"{step.where}/{name}", step.found, name, known)


def _templates(
    strategy: Fields, field: str = "analysis", default: str = DEFAULT_TEMPLATE
) -> tuple[str, ...]:
    """Those that a strategy names beside its steps, such as what measures after the last one."""
    if strategy.get(field) is None:
        return (default,)
    return _named(_inside(strategy, field, {"template", "templates"}), default)


def _named(fields: Fields, default: str = DEFAULT_TEMPLATE) -> tuple[str, ...]:
    given = [(f"{fields.where}/template", fields.get("template"))] if fields.has("template") else []
    given += fields.list("templates", MAX_TEMPLATES)
    names: list[str] = []
    for where, value in given:
        if not isinstance(value, str) or not is_public_name(value):
            field = where.removeprefix(f"{fields.where}/")
            fields.note(field.split("/")[0], "invalid_name", f"{shown(value)}: {PUBLIC_NAME_RULE}")
        elif value not in names:
            names.append(value)
    return tuple(names) or (default,)
