"""The analysis template's document: what is read, what is refused, and the way back."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.domain.analysis.template import DEFAULT_DOCUMENT, read_template, to_document
from control_plane.domain.violations import InvalidInputError

ERRORS = {"name": "errors", "kind": "error_rate"}
SURE = {"name": "sure", "kind": "confidence"}
LABELS = {"name": "ok", "kind": "feedback", "outcome": "ok"}


def broken(document: object) -> dict[str, str]:
    """Pointer -> detail of what is refused."""
    with pytest.raises(InvalidInputError) as caught:
        read_template(document)
    return {v.pointer: v.detail for v in caught.value.violations}


@pytest.mark.parametrize(
    "document",
    [
        dict(DEFAULT_DOCUMENT),
        {"metrics": [{**ERRORS, "compare": "none", "limit": 0.02}], "alpha": 0.01},
        {"metrics": [{**ERRORS, "unit": "key"}]},
        {"metrics": [SURE, {**SURE, "name": "b", "better": "lower", "compare": "twin"}]},
        {"metrics": [{**SURE, "better": "same", "unit": "block", "weight": 3}, ERRORS]},
        {"metrics": [{**SURE, "compare": "none", "level": 0.8, "limit": 0.9}]},
        {"metrics": [{**ERRORS, "margin": 0, "alternative": 0.01, "unit": "request"}]},
        {"metrics": [ERRORS, {"name": "y", "kind": "feedback", "outcome": "ok", "weight": 2}]},
        {"metrics": [{"name": "z", "kind": "promql", "query": "x{a='{{arm}}'}", "floor": 2}]},
        {"metrics": [{"name": "q", "kind": "queue_time", "marginRelative": 0.2, "block": "20s"}]},
        {"metrics": [{"name": "load", "kind": "perf_regression", "marginRelative": 0.2}, ERRORS]},
        {"metrics": [{"name": "slo", "kind": "burn_rate"}]},
        {"metrics": [{"name": "slo", "kind": "burn_rate", "objective": 99.9, "rate": 6}]},
        {"metrics": [{"name": "q", "kind": "queue_time", "compare": "none", "limit": "5ms"}]},
        {"metrics": [{"name": "z", "kind": "promql", "of": "a{{arm}}", "count": "b{{arm}}"}]},
        {"metrics": [{"name": "z", "kind": "promql", "query": "a", "compare": "none", "limit": 3}]},
    ],
)
def test_what_is_written_is_read_again_with_every_default_in_force(document: Any) -> None:
    template = read_template(document)
    written = to_document(template)
    assert read_template(written) == template
    assert to_document(read_template(written)) == written


def test_the_default_asks_for_errors_within_half_a_point() -> None:
    template = read_template(DEFAULT_DOCUMENT)
    assert [(m.name, m.margin, m.required) for m in template.metrics] == [("errors", 0.005, True)]


@pytest.mark.parametrize(
    ("metric", "pointer", "says"),
    [
        ({"name": "x"}, "/metrics/0/kind", "error_rate"),
        ({"kind": "error_rate"}, "/metrics/0/name", "name"),
        ({**ERRORS, "compare": "none"}, "/metrics/0/limit", "needs a limit"),
        ({**ERRORS, "limit": 0.1}, "/metrics/0/limit", '"compare": "none"'),
        ({**ERRORS, "outcome": "x"}, "/metrics/0/outcome", "feedback"),
        ({"name": "x", "kind": "feedback"}, "/metrics/0/outcome", "outcome"),
        ({**ERRORS, "alternative": 0.001}, "/metrics/0/alternative", "still good"),
        ({**ERRORS, "margin": float("nan")}, "/metrics/0/margin", "finite"),
        ({**ERRORS, "kind": "shadow_errors", "compare": "twin"}, "/metrics/0/compare", "alone"),
        (
            {"name": "x", "kind": "shadow_disagreement", "compare": "baseline"},
            "/metrics/0/compare",
            "limit",
        ),
        ({"name": "x", "kind": "burn_rate", "limit": 0.1}, "/metrics/0/limit", "its objective"),
        ({"name": "x", "kind": "burn_rate", "compare": "twin"}, "/metrics/0/compare", "no other"),
        ({"name": "x", "kind": "burn_rate", "objective": 90}, "/metrics/0/rate", "all requests"),
        ({**ERRORS, "rate": 3}, "/metrics/0/rate", "burn_rate"),
        ({"name": "x", "kind": "perf_regression", "unit": "block"}, "/metrics/0/unit", "accepted"),
        ({"name": "x", "kind": "queue_time", "unit": "key"}, "/metrics/0/unit", "block"),
        ({**ERRORS, "unit": "key", "block": "9s"}, "/metrics/0/block", "unit"),
        ({**ERRORS, "colour": 1}, "/metrics/0/colour", "unknown"),
        ({**ERRORS, "level": 0.5}, "/metrics/0/level", "confidence"),
        ({**LABELS, "better": "same"}, "/metrics/0/better", "'higher' or 'lower'"),
        ({**SURE, "level": 0.5, "q": 0.5}, "/metrics/0/level", "leave q out"),
        ({**SURE, "compare": "none", "limit": 0.5}, "/metrics/0/level", "no baseline"),
        ({**SURE, "better": "same", "q": 0.5}, "/metrics/0/q", "several quantiles"),
        ({**SURE, "better": "same", "goal": "superior"}, "/metrics/0/goal", "better"),
        ({**SURE, "better": "same", "unit": "key"}, "/metrics/0/unit", "block"),
        ({**ERRORS, "required": False}, "/metrics", "require one"),
    ],
)
def test_what_cannot_be_meant_is_refused_where_it_stands(
    metric: dict[str, Any], pointer: str, says: str
) -> None:
    assert says in broken({"metrics": [metric]})[pointer]


def test_documents_that_are_no_template_are_refused() -> None:
    assert "JSON object" in broken([])[""]
    assert "at least one" in broken({})["/metrics"]
    assert "2 metrics are called" in broken({"metrics": [ERRORS, ERRORS]})["/metrics"]


def test_what_compares_two_measurements_has_no_part_in_alpha() -> None:
    load = {"name": "load", "kind": "perf_regression"}
    template = read_template({"metrics": [ERRORS, load], "alpha": 0.05})
    assert [template.alpha_of(metric) for metric in template.metrics] == [0.05, 0.05]


def test_any_shift_is_looked_for_at_three_places_on_both_sides_and_shares_one_part_of_alpha() -> (
    None
):
    template = read_template({"metrics": [ERRORS, {**SURE, "better": "same"}], "alpha": 0.06})
    errors, *parts = template.metrics
    assert [(m.name, m.q, m.better.value) for m in parts[:2]] == [
        ("sure lower at p10", 0.1, "higher"),
        ("sure higher at p10", 0.1, "lower"),
    ]
    assert len(parts) == 6
    assert template.alpha_of(errors) == pytest.approx(0.03)
    assert sum(map(template.alpha_of, parts)) == pytest.approx(0.03)
    many = [{**SURE, "name": f"s{i}", "better": "same"} for i in range(4)]
    assert "24 metrics" in broken({"metrics": many})["/metrics"]
