"""What a template's document says about one metric."""

from __future__ import annotations

from typing import Any

from control_plane.domain.analysis.metric import Better, Compare, Goal, Kind, Metric, Unit
from control_plane.domain.routing.fields import Fields
from control_plane.domain.violations import Violation

DEFAULT_MARGINS = {
    (Kind.ERROR_RATE, Goal.NON_INFERIOR): 0.005,
    (Kind.FEEDBACK, Goal.NON_INFERIOR): 0.01,
}
"""Where a document gives none; everything else has 0."""

_MAX_NAME = 63
_FIELDS = {
    "name",
    "kind",
    "compare",
    "goal",
    "margin",
    "limit",
    "alternative",
    "outcome",
    "better",
    "required",
    "unit",
    "weight",
}


def read_metric(raw: object, where: str, found: list[Violation]) -> Metric:
    """One metric; what is wrong with it goes to `found`."""
    fields = Fields(raw, where, found, "a metric", _FIELDS)
    if fields.get("kind") is None:
        fields.note("kind", "required", f"a metric has a kind: {', '.join(Kind)}")
    kind = fields.choice("kind", Kind.ERROR_RATE)
    goal = fields.choice("goal", Goal.NON_INFERIOR)
    compare = fields.choice("compare", Compare.BASELINE)
    margin = fields.number("margin", 0, 1)
    metric = Metric(
        name=_name(fields),
        kind=kind,
        compare=compare,
        goal=goal,
        margin=DEFAULT_MARGINS.get((kind, goal), 0.0) if margin is None else margin,
        limit=fields.number("limit", 0, 1),
        alternative=fields.number("alternative", -1, 1),
        outcome=fields.text("outcome") or "",
        better=fields.choice("better", Better.HIGHER if kind is Kind.FEEDBACK else Better.LOWER),
        required=fields.flag("required", True),
        unit=fields.choice("unit", Unit.BLOCK),
        weight=fields.number("weight", 0.001, 1000) or 1.0,
    )
    _check_reference(fields, metric)
    _check_kind(fields, metric)
    return metric


def metric_document(metric: Metric) -> dict[str, Any]:
    """The metric as it stands in a document; what its kind does not have is left out."""
    document: dict[str, Any] = {
        "name": metric.name,
        "kind": metric.kind.value,
        "compare": metric.compare.value,
    }
    if metric.compare is Compare.NONE:
        document["limit"] = metric.limit
    else:
        document |= {"goal": metric.goal.value, "margin": metric.margin}
    if metric.alternative is not None:
        document["alternative"] = metric.alternative
    if metric.kind is Kind.FEEDBACK:
        document |= {"outcome": metric.outcome, "better": metric.better.value}
    return document | {
        "required": metric.required,
        "unit": metric.unit.value,
        "weight": metric.weight,
    }


def _name(fields: Fields) -> str:
    name = fields.text("name")
    if not name or len(name) > _MAX_NAME:
        fields.note("name", "required", f"a metric has a name of at most {_MAX_NAME} characters")
        return ""
    return name


def _check_reference(fields: Fields, metric: Metric) -> None:
    if metric.compare is Compare.NONE:
        if metric.limit is None or not 0 < metric.limit < 1:
            detail = "compared with nothing it needs a limit above 0 and below 1, such as 0.02"
            fields.note("limit", "required", detail)
        for field in ("margin", "goal"):
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
    if metric.kind is Kind.FEEDBACK:
        if not metric.outcome:
            fields.note("outcome", "required", 'feedback is about an outcome, such as "correct"')
        return
    for field in ("outcome", "better"):
        if fields.get(field) is not None:
            fields.note(field, "conflict", f"{field} is for the kind 'feedback'")
