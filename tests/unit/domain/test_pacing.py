"""The weight that is allowed at a moment, and alerts on how fast a budget burns."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain.analysis.burn_rate import RULES, WINDOWS, Severity, burn_rate, burning
from control_plane.domain.analysis.pacing import PART_AT_RISK, allowed_weight, failure_bound

QUIET = dict.fromkeys(WINDOWS, (100_000, 10))


def test_the_worked_examples() -> None:
    assert failure_bound(100, 0, 0.95) == pytest.approx(1 - (0.05 / 101) ** 0.01)
    assert failure_bound(100, 0, 0.95) == pytest.approx(0.0733, abs=5e-5)
    pace = allowed_weight(
        weight=0.3, attempts=1000, failures=0, budget_left=20, rate=200, reaction=5
    )
    assert pace.weight == pytest.approx(0.507, abs=1e-3)
    assert burn_rate(1000, 15, 0.999) == pytest.approx(15)


def test_the_bound_holds_at_every_look_at_once() -> None:
    rng = np.random.default_rng(3)
    runs, rate, missed = 400, 0.05, 0
    for _ in range(runs):
        failed = rng.random(400) < rate
        ends = range(10, 401, 10)
        missed += any(failure_bound(n, int(failed[:n].sum()), 0.5) < rate for n in ends)
    assert missed / runs <= 0.5
    assert missed  # a bound that never misses is too wide to be of use


@given(
    st.floats(0, 1), st.integers(0, 5000), st.integers(0, 100), st.integers(0, 100),
    st.floats(0.1, 1e5), st.floats(1, 60),
)  # fmt: skip
def test_what_may_be_lost_before_anybody_acts_is_a_part_of_what_is_left(
    weight: float, attempts: int, failures: int, left: int, rate: float, reaction: float
) -> None:
    failures = min(failures, attempts)
    pace = allowed_weight(
        weight=weight,
        attempts=attempts,
        failures=failures,
        budget_left=left,
        rate=rate,
        reaction=reaction,
    )
    assert 0 <= pace.weight <= 1
    at_worst = rate * reaction * pace.weight * failure_bound(attempts, failures, 0.95)
    assert at_worst <= PART_AT_RISK * left * (1 + 1e-9)
    assert pace.weight <= 2 * weight or not weight or weight > 0.5
    assert pace.reason


def test_a_spent_budget_allows_nothing_and_failures_slow_down() -> None:
    common = {"weight": 0.1, "attempts": 1000, "rate": 1000.0, "reaction": 5.0}
    spent = allowed_weight(failures=0, budget_left=0, **common)
    assert (spent.weight, spent.reason) == (0, "the harm budget is spent")
    well, ill = (allowed_weight(failures=f, budget_left=20, **common) for f in (0, 20))
    assert well.weight > ill.weight
    assert "of the 20 failures left within 5 s" in ill.reason


def test_the_rules_are_those_of_the_workbook() -> None:
    assert [round(rule.burn_rate, 2) for rule in RULES] == [14.4, 6, 3, 1]
    assert all(rule.long == 12 * rule.short for rule in RULES)


@pytest.mark.parametrize(
    ("bad", "fires"),
    [
        ({}, []),
        ({timedelta(hours=1): 1500}, []),
        ({timedelta(hours=1): 1500, timedelta(minutes=5): 1500}, [Severity.PAGE]),
        ({timedelta(days=3): 150, timedelta(hours=6): 150}, [Severity.TICKET]),
    ],
)
def test_an_alert_needs_both_windows(bad: dict[timedelta, int], fires: list[Severity]) -> None:
    counted = QUIET | {window: (100_000, failed) for window, failed in bad.items()}
    alerts = burning(0.999, counted)
    assert [alert.rule.severity for alert in alerts] == fires
    assert all("times as fast" in alert.reason for alert in alerts)


def test_a_window_without_requests_burns_nothing_and_an_objective_leaves_a_budget() -> None:
    assert burning(0.999, dict.fromkeys(WINDOWS, (0, 0))) == ()
    with pytest.raises(ValueError, match="no objective"):
        burning(1.0, QUIET)
