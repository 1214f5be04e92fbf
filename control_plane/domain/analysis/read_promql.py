"""What a template's document says about a metric that Prometheus is asked for.

Either two queries for counters, `of` and `count`: the test of two rates then gets what they grew
by. Or one `query` for a figure: each block of time is a reading of it.
"""

from __future__ import annotations

from typing import Any

from control_plane.domain.analysis.metric import Compare, Metric, Unit
from control_plane.domain.analysis.queries import query_problem
from control_plane.domain.routing.fields import Fields
from control_plane.domain.routing.policy import SECOND

PROMQL_FIELDS = ("query", "of", "count", "floor")

PROMQL_BLOCK = 60 * SECOND
"""Prometheus scrapes every 15 s to a minute: within less there is often nothing new."""

LEAST_BLOCK = 5 * SECOND
"""It is asked so often."""

MIDDLE = 0.5
"""Readings are compared in their middle, unless a document says otherwise."""


def check_promql(fields: Fields, metric: Metric) -> None:
    """Notes what is wrong with the queries, and with what does not go with them."""
    if metric.query and (metric.of or metric.count):
        detail = "either a query for a figure, or counters by of and count"
        fields.note("query", "conflict", detail)
    elif not metric.query and not (metric.of and metric.count):
        missing = "of" if metric.count else "count" if metric.of else "query"
        detail = (
            "a metric of PromQL has a query for a figure, or two for counters: of, how many there "
            "were, and count, how many of them were bad"
        )
        fields.note(missing, "required", detail)
    compared = metric.compare is not Compare.NONE
    for field in ("query", "of", "count"):
        query = getattr(metric, field)
        if query and (problem := query_problem(query, compared=compared)):
            fields.note(field, "placeholder", problem)
    if metric.block < LEAST_BLOCK:
        fields.note("block", "range", "Prometheus is asked every 5 s: a block is 5 s at least")
    for field in ("q", "marginRelative", "floor"):
        if not metric.is_reading and fields.get(field) is not None:
            fields.note(field, "conflict", f"{field} is for a figure (query), not for counters")


def check_reading(fields: Fields, metric: Metric) -> None:
    """Notes what does not go with figures of blocks."""
    if metric.unit is Unit.REQUEST:
        detail = "a figure is of a time, not of a request: its unit is a block"
        fields.note("unit", "conflict", detail)
    if fields.get("margin") is not None:
        fields.note("margin", "conflict", "a figure's margin is marginRelative, such as 0.1")
    if metric.alternative is not None:
        fields.note("alternative", "conflict", "a fixed alternative is for rates")
    if metric.compare is Compare.NONE and metric.floor:
        fields.note("floor", "conflict", "a floor is for a comparison")


def promql_document(metric: Metric) -> dict[str, Any]:
    """What belongs to PromQL, as it stands in a document."""
    if not metric.is_reading:
        return {"of": metric.of, "count": metric.count, "better": metric.better.value}
    document: dict[str, Any] = {"query": metric.query, "better": metric.better.value}
    return document if metric.compare is Compare.NONE else document | {"floor": metric.floor}
