"""What a template's document says about one metric."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from control_plane.domain.analysis.metric import (
    FAILURES,
    QUANTILES,
    SHADOWS,
    Better,
    Compare,
    Goal,
    Kind,
    Metric,
    Unit,
)
from control_plane.domain.analysis.read_promql import (
    MIDDLE,
    PROMQL_BLOCK,
    PROMQL_FIELDS,
    check_promql,
    check_reading,
    promql_document,
)
from control_plane.domain.latency import FIRST_US, LAST_US, RATIO
from control_plane.domain.routing.fields import MAX_NUMBER, Fields, duration_text
from control_plane.domain.routing.policy import SECOND
from control_plane.domain.violations import Violation

DEFAULT_MARGINS = {
    (Kind.ERROR_RATE, Goal.NON_INFERIOR): 0.005,
    (Kind.SLA_VIOLATIONS, Goal.NON_INFERIOR): 0.005,
    (Kind.SHADOW_ERRORS, Goal.NON_INFERIOR): 0.005,
    (Kind.FEEDBACK, Goal.NON_INFERIOR): 0.01,
    (Kind.CONFIDENCE, Goal.NON_INFERIOR): 0.02,
    (Kind.PROMQL, Goal.NON_INFERIOR): 0.005,
}
"""Where a document gives none; everything else has 0."""

DEFAULT_MARGIN_RELATIVE = 0.05

IN_TIME = QUANTILES | {Kind.QUEUE_TIME}
"""Their limits are durations."""

QUEUE_FLOOR = 1000
"""Microseconds. An idle queue's waits of some tens vary by half, and nobody minds."""

ALONE = frozenset({Kind.BURN_RATE, Kind.SHADOW_DISAGREEMENT})
"""They are compared with nothing, unless a document says otherwise."""

MORE_IS_BETTER = frozenset({Kind.FEEDBACK, Kind.CONFIDENCE})
"""Of these a document says, if it says nothing, that more is better."""

LEAST_SURE = 0.1
"""A version that knows less shows it first where the other was least sure."""

DEFAULT_TOLERANCE = 0.1
"""Two perf runs of one model on a quiet machine lie some percent apart."""

PAGING_RATE = 14.4
"""The burn rate of the workbook's first alert (`burn_rate`)."""

IN_BLOCKS = QUANTILES | {Kind.SLA_VIOLATIONS, Kind.PROMQL, Kind.QUEUE_TIME}
"""Requests that wait in one queue are slow together, and of what others count nobody knows: blocks
are their unit."""

MAX_Q = 0.9999

_MAX_NAME = 63
_FIELDS = {
    "name",
    "kind",
    "compare",
    "goal",
    "margin",
    "marginRelative",
    "limit",
    "alternative",
    "q",
    "latency",
    "outcome",
    "better",
    "required",
    "unit",
    "block",
    "weight",
    *PROMQL_FIELDS,
    "rate",
    "objective",
    "level",
}
_OF_KINDS = {
    "q": QUANTILES | {Kind.PROMQL, Kind.QUEUE_TIME, Kind.CONFIDENCE},
    "marginRelative": QUANTILES | {Kind.PROMQL, Kind.QUEUE_TIME, Kind.PERF_REGRESSION},
    "latency": {Kind.SLA_VIOLATIONS},
    "outcome": {Kind.FEEDBACK},
    "better": {Kind.FEEDBACK, Kind.PROMQL, Kind.CONFIDENCE},
    "level": {Kind.CONFIDENCE},
    **{field: {Kind.PROMQL} for field in PROMQL_FIELDS},
    "floor": {Kind.PROMQL, Kind.QUEUE_TIME},
    "rate": {Kind.BURN_RATE},
    "objective": {Kind.BURN_RATE},
}


def read_metric(raw: object, where: str, found: list[Violation]) -> Metric:
    """One metric; what is wrong with it goes to `found`."""
    fields = Fields(raw, where, found, "a metric", _FIELDS)
    if fields.get("kind") is None:
        fields.note("kind", "required", f"a metric has a kind: {', '.join(Kind)}")
    kind = fields.choice("kind", Kind.ERROR_RATE)
    goal = fields.choice("goal", Goal.NON_INFERIOR)
    unit = fields.choice("unit", Unit.BLOCK if kind in IN_BLOCKS else Unit.REQUEST)
    margin, relative = fields.number("margin", 0, 1), fields.number("marginRelative", 0, 100)
    waits = kind is Kind.QUEUE_TIME
    reads = waits or (kind is Kind.PROMQL and fields.get("of") is None)
    better = fields.choice("better", Better.HIGHER if kind in MORE_IS_BETTER else Better.LOWER)
    metric = Metric(
        name=_name(fields),
        kind=kind,
        compare=fields.choice("compare", _compare(kind, fields.get("limit"))),
        goal=goal,
        margin=_margin(margin, kind, goal, reads),
        margin_relative=_relative(relative, goal, asked=kind in QUANTILES or reads),
        limit=_limit(fields, kind, reads),
        q=fields.number("q", 0.01, MAX_Q) or _quantile(kind, better, reads),
        latency=fields.duration("latency", round(FIRST_US), round(LAST_US)) or 0,
        alternative=fields.number("alternative", -1, 1),
        outcome=fields.text("outcome") or "",
        better=better,
        required=fields.flag("required", True),
        unit=unit,
        block=fields.duration("block", SECOND, 3600 * SECOND)
        or (PROMQL_BLOCK if kind is Kind.PROMQL else Metric.block),
        weight=fields.number("weight", 0.001, 1000) or 1.0,
        query=fields.text("query") or "",
        of=fields.text("of") or "",
        count=fields.text("count") or "",
        floor=_floor(fields, kind),
        rate=fields.number("rate", 0.1, 1000) or (PAGING_RATE if kind is Kind.BURN_RATE else 0.0),
        objective=fields.number("objective", 1, 99.9999),
        level=fields.number("level", 0.001, 0.9999),
    )
    _check_fields(fields, kind, unit)
    if kind is Kind.PERF_REGRESSION:
        return _regressed(fields, metric)
    if kind is Kind.BURN_RATE:
        return _burning(fields, metric)
    if kind is Kind.PROMQL:
        check_promql(fields, metric)
    if metric.is_reading:
        check_reading(fields, metric)
    _check_reference(fields, metric)
    _check_kind(fields, metric)
    return metric


def metric_document(metric: Metric) -> dict[str, Any]:
    """The metric as it stands in a document; what its kind does not have is left out."""
    if metric.kind is Kind.PERF_REGRESSION:
        return {
            "name": metric.name,
            "kind": metric.kind.value,
            "marginRelative": metric.margin_relative,
            "required": metric.required,
            "weight": metric.weight,
        }
    document: dict[str, Any] = {
        "name": metric.name,
        "kind": metric.kind.value,
        "compare": metric.compare.value,
    }
    relative = metric.is_quantile or metric.is_reading
    if relative:
        document["q"] = metric.q
    if metric.kind is Kind.SLA_VIOLATIONS:
        document["latency"] = duration_text(metric.latency)
    if metric.kind is Kind.CONFIDENCE:
        document |= {"q": metric.q} if metric.level is None else {"level": metric.level}
        document["better"] = metric.better.value
    if metric.kind is Kind.FEEDBACK:
        document |= {"outcome": metric.outcome, "better": metric.better.value}
    if metric.kind is Kind.PROMQL:
        document |= promql_document(metric)
    if metric.kind is Kind.QUEUE_TIME and metric.compare is not Compare.NONE:
        document["floor"] = duration_text(round(metric.floor))
    if metric.kind is Kind.BURN_RATE:
        document |= {"rate": metric.rate}
        document |= {} if metric.objective is None else {"objective": metric.objective}
    elif metric.limit is not None:
        in_time = metric.kind in IN_TIME
        document["limit"] = duration_text(round(metric.limit)) if in_time else metric.limit
    else:
        document["goal"] = metric.goal.value
        document |= (
            {"marginRelative": metric.margin_relative} if relative else {"margin": metric.margin}
        )
    if metric.alternative is not None:
        document["alternative"] = metric.alternative
    document |= {"required": metric.required, "unit": metric.unit.value, "weight": metric.weight}
    return document | ({"block": duration_text(metric.block)} if metric.unit is Unit.BLOCK else {})


def _burning(fields: Fields, metric: Metric) -> Metric:
    """A burn rate: an error rate alone, with the limit that an objective gives."""
    for field in ("limit", "margin", "goal", "alternative"):
        if fields.get(field) is not None:
            fields.note(field, "conflict", f"{field}: a burn rate's limit comes of its objective")
    if metric.compare is not Compare.NONE:
        detail = "a burn rate is compared with its objective, and with no other arm"
        fields.note("compare", "conflict", detail)
    if metric.objective is None:
        return metric
    burning = metric.with_objective(metric.objective)
    if burning.limit is not None and burning.limit >= 1:
        detail = f"{metric.rate:g} times a budget of {100 - metric.objective:g} % is all requests"
        fields.note("rate", "range", detail)
        return metric
    return burning


def _regressed(fields: Fields, metric: Metric) -> Metric:
    """A perf run beside an accepted one: a tolerance, and nothing else."""
    for field in ("compare", "goal", "margin", "limit", "alternative", "unit", "block"):
        if fields.get(field) is not None:
            detail = f"{field}: a perf run is compared with an accepted one, by marginRelative"
            fields.note(field, "conflict", detail)
    given = fields.number("marginRelative", 0, 100)
    tolerance = DEFAULT_TOLERANCE if given is None else given
    return replace(metric, margin_relative=tolerance, compare=Compare.NONE)


def _name(fields: Fields) -> str:
    name = fields.text("name")
    if not name or len(name) > _MAX_NAME:
        fields.note("name", "required", f"a metric has a name of at most {_MAX_NAME} characters")
        return ""
    return name


def _compare(kind: Kind, limit: object) -> Compare:
    """What a metric is compared with where its document does not say."""
    alone = kind in ALONE or (kind in SHADOWS and limit is not None)
    return Compare.NONE if alone else Compare.BASELINE


def _margin(given: float | None, kind: Kind, goal: Goal, reads: bool) -> float:
    if given is not None:
        return given
    return 0.0 if reads else DEFAULT_MARGINS.get((kind, goal), 0.0)


def _relative(given: float | None, goal: Goal, *, asked: bool) -> float:
    if given is not None:
        return given
    return DEFAULT_MARGIN_RELATIVE if asked and goal is Goal.NON_INFERIOR else 0.0


def _quantile(kind: Kind, better: Better, reads: bool) -> float:
    """Where a document gives none: of answers, the end at which they get worse."""
    if kind is Kind.CONFIDENCE:
        return LEAST_SURE if better is Better.HIGHER else 1 - LEAST_SURE
    return MIDDLE if reads else Metric.q


def _floor(fields: Fields, kind: Kind) -> float:
    if kind is not Kind.QUEUE_TIME:
        return fields.number("floor") or 0.0
    if fields.get("compare") == Compare.NONE:
        return float(fields.duration("floor", 1, round(LAST_US)) or 0)
    return float(fields.duration("floor", 1, round(LAST_US)) or QUEUE_FLOOR)


def _limit(fields: Fields, kind: Kind, reads: bool) -> float | None:
    if kind is Kind.PROMQL and reads:
        return fields.number("limit", -MAX_NUMBER)
    if kind not in IN_TIME:
        return fields.number("limit", 0, 1)
    limit = fields.duration("limit", round(FIRST_US), round(LAST_US))
    return None if limit is None else float(limit)


def _check_fields(fields: Fields, kind: Kind, unit: Unit) -> None:
    """What is said of this kind and this unit is said of others."""
    if fields.get("block") is not None and unit is not Unit.BLOCK:
        fields.note("block", "conflict", 'block is for "unit": "block"')
    if unit is Unit.KEY and kind not in FAILURES:
        detail = (
            "the router counts failures by sticky key, and nothing else: choose "
            '"unit": "block", longer than what makes the requests of one key hang together'
        )
        fields.note("unit", "conflict", detail)
    for field, its in _OF_KINDS.items():
        if fields.get(field) is not None and kind not in its:
            kinds = " or ".join(f"'{one}'" for one in sorted(its))
            fields.note(field, "conflict", f"{field} is for the kind {kinds}")


def _check_reference(fields: Fields, metric: Metric) -> None:
    if metric.compare is Compare.NONE:
        most = 1 if metric.limit is not None and metric.limit <= 1 else LAST_US + 1
        if metric.limit is None or not (metric.is_reading or 0 < metric.limit < most):
            example = '"200ms"' if metric.kind in IN_TIME else "0.02"
            detail = f"compared with nothing it needs a limit, such as {example}"
            fields.note("limit", "required", detail)
        for field in ("margin", "marginRelative", "goal"):
            if fields.get(field) is not None:
                detail = f"{field} is for a comparison: leave it out, or compare with the baseline"
                fields.note(field, "conflict", detail)
    elif metric.limit is not None:
        detail = 'a limit is for "compare": "none"; compared with another arm it is a margin'
        fields.note("limit", "conflict", detail)
    if metric.alternative is not None and metric.alternative <= metric.fail_at:
        detail = (
            f"{metric.alternative:g} is not worse than what is still good ({metric.fail_at:g}): "
            "name the difference that should be caught"
        )
        fields.note("alternative", "range", detail)


def _check_kind(fields: Fields, metric: Metric) -> None:
    if metric.kind is Kind.FEEDBACK and not metric.outcome:
        fields.note("outcome", "required", 'feedback is about an outcome, such as "correct"')
    if metric.kind is Kind.CONFIDENCE:
        _check_confidence(fields, metric)
    if metric.kind is Kind.SHADOW_DISAGREEMENT and metric.compare is not Compare.NONE:
        detail = "it is the comparison with the answers already: give it a limit, such as 0.1"
        fields.note("compare", "conflict", detail)
    if metric.kind in SHADOWS and metric.compare is Compare.TWIN:
        detail = "copies of requests go to the candidate alone, beside no twin: compare with the "
        fields.note("compare", "conflict", f"{detail}baseline, or with nothing")
    if metric.kind is Kind.SLA_VIOLATIONS:
        if not metric.latency and fields.get("latency") is None:
            detail = 'violations need a latency that a request should not exceed, such as "50ms"'
            fields.note("latency", "required", detail)
        if metric.compare is Compare.NONE:
            detail = (
                'compared with nothing, write it as a quantile: "at most 2 % over 50 ms" is the '
                'kind "latency_quantile" with "q": 0.98 and "limit": "50ms"'
            )
            fields.note("compare", "conflict", detail)
    if metric.is_quantile:
        if fields.get("margin") is not None:
            fields.note("margin", "conflict", "a latency's margin is marginRelative, such as 0.1")
        if fields.get("alternative") is not None:
            fields.note("alternative", "conflict", "a fixed alternative is for rates")
        if metric.limit is None and metric.goal is Goal.NON_INFERIOR:
            _check_resolved(fields, metric)


def _check_confidence(fields: Fields, metric: Metric) -> None:
    if metric.level is not None and fields.get("q") is not None:
        detail = "answers are counted from a level on, or from a quantile of the baseline's"
        fields.note("level", "conflict", f"{detail}: leave q out, or level")
    if metric.compare is Compare.NONE and metric.level is None:
        detail = "compared with nothing there is no baseline's quantile: say a level, such as 0.8"
        fields.note("level", "required", detail)


def _check_resolved(fields: Fields, metric: Metric) -> None:
    if metric.margin_relative < RATIO - 1 - 1e-9:
        detail = (
            f"{metric.margin_relative:g} is finer than the router's buckets, which are 5 % wide: "
            "nothing could ever be shown to be within it; 0.05 is the least"
        )
        fields.note("marginRelative", "range", detail)
