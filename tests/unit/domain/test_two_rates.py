"""The sequential test of two rates: exact in expectation, valid at every look, quick."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain.analysis.sequence import Rows, Sequence, start
from control_plane.domain.analysis.two_rates import (
    Counts,
    Expected,
    doubters_above,
    doubters_below,
    log_growth,
    nearest,
)

rates = st.floats(1e-4, 0.999)
differences = st.sampled_from((-0.2, -0.01, 0.0, 0.005, 0.05, 0.3))


def a(value: float) -> np.ndarray:
    return np.asarray(float(value))


def counts(n_c: float, f_c: float, n_b: float, f_b: float) -> Counts:
    return Counts(a(n_c), a(f_c), a(n_b), a(f_b))


def divergence(p: float, q: np.ndarray) -> np.ndarray:
    return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))


def test_the_worked_examples_of_the_docstrings() -> None:
    expected = Expected(a(0.02), a(0.01))
    allowed = nearest(expected, a(100), a(100), a(0))
    assert (allowed.p_c, allowed.p_b) == (pytest.approx(0.015), pytest.approx(0.015))
    won = math.exp(log_growth(counts(100, 3, 100, 1), expected, a(0)))
    assert won == pytest.approx(1.592, abs=5e-4)


@given(rates, rates, st.integers(1, 5000), st.integers(1, 5000), differences)
def test_the_nearest_pair_is_the_one_that_a_search_finds(
    p_c: float, p_b: float, n_c: int, n_b: int, d: float
) -> None:
    allowed = nearest(Expected(a(p_c), a(p_b)), a(n_c), a(n_b), a(d))
    every = np.linspace(max(0, -d) + 1e-7, min(1, 1 - d) - 1e-7, 20_001)
    cost = n_c * divergence(p_c, every + d) + n_b * divergence(p_b, every)
    found = n_c * divergence(p_c, allowed.p_c) + n_b * divergence(p_b, allowed.p_b)
    assert allowed.p_c - allowed.p_b == pytest.approx(d)
    assert found <= cost.min() + 1e-6 * (1 + abs(cost.min()))


@given(st.integers(1, 5), st.integers(1, 5), rates, st.floats(0, 1), differences)
def test_no_pair_that_the_hypothesis_allows_lets_a_doubter_win_in_the_mean(
    n_c: int, n_b: int, q_b: float, worse: float, d: float
) -> None:
    """All outcomes of a small look, weighed by how likely they are: the mean is at most 1."""
    q_c = max(0.0, min(1.0, q_b + d)) * worse
    expected, possible = doubters_above(a(0.02), a(d))
    if q_c > q_b + d or not possible:
        return
    mean = np.zeros(8)
    for f_c, f_b in itertools.product(range(n_c + 1), range(n_b + 1)):
        won = np.exp(log_growth(counts(n_c, f_c, n_b, f_b), expected, a(d)))
        likely = math.comb(n_c, f_c) * q_c**f_c * (1 - q_c) ** (n_c - f_c)
        likely *= math.comb(n_b, f_b) * q_b**f_b * (1 - q_b) ** (n_b - f_b)
        mean += won * likely
    assert (mean <= 1 + 1e-6).all()


@given(rates, differences, st.integers(1, 50), st.integers(1, 50), st.data())
def test_what_is_worse_mirrored_is_what_is_better(
    p_b: float, d: float, n_c: int, n_b: int, data: st.DataObject
) -> None:
    """Failures and successes swapped, with the difference turned, is the other side's test."""
    f_c, f_b = data.draw(st.integers(0, n_c)), data.draw(st.integers(0, n_b))
    above, may_above = doubters_above(a(p_b), a(d))
    below, may_below = doubters_below(a(1 - p_b), a(-d))
    assert may_above == may_below
    if not may_above:
        return
    np.testing.assert_allclose(above.p_c, 1 - below.p_c, atol=1e-6)
    won = log_growth(counts(n_c, f_c, n_b, f_b), above, a(d))
    mirrored = log_growth(counts(n_c, n_c - f_c, n_b, n_b - f_b), below, a(-d))
    np.testing.assert_allclose(won, mirrored, atol=1e-3)


def simulated(p_c: float, p_b: float, d: float, *, looks: int, runs: int) -> Sequence:
    """Many runs side by side, one per row, 200 requests a look and 1 in 20 to the candidate."""
    rng = np.random.default_rng(7)
    same, nan = np.full(runs, d), np.full(runs, np.nan)
    many = start(Rows(same, same, 0, 0, False, nan, nan))
    seen = np.zeros((2, runs))
    for look in range(looks):
        n_c = rng.binomial(200, 0.05, runs).astype(float)
        f_c, f_b = rng.binomial(n_c.astype(int), p_c), rng.binomial(200 - n_c.astype(int), p_b)
        guess = (seen[1] + 0.5) / (seen[0] + 50) if look else np.array([[0.001], [0.01], [0.1]])
        guess = np.broadcast_to(guess, (1 if look else 3, runs))
        many = many.after(Counts(n_c, f_c.astype(float), 200 - n_c, f_b.astype(float)), guess)
        seen += (200 - n_c, f_b)
    return many


def test_looked_at_after_every_batch_neither_verdict_is_wrong_more_often_than_alpha() -> None:
    """At the very edge of what is still good, where either verdict is wrong."""
    runs = 1000
    many = simulated(0.015, 0.01, 0.005, looks=150, runs=runs)
    for evidence in (many.above, many.below):
        for alpha in (0.01, 0.05):
            wrong = (evidence >= -math.log(alpha)).mean()
            assert wrong <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)
        assert wrong > 0  # a test that never fires shows nothing


def test_one_arm_alone_at_its_limit_is_judged_wrongly_no_more_often_than_alpha() -> None:
    runs, limit = 1000, 0.02
    same, nan = np.full(runs, limit), np.full(runs, np.nan)
    many = start(Rows(same, same, 0, 0, True, nan, nan))
    rng = np.random.default_rng(9)
    for _ in range(100):
        found = Counts(np.full(runs, 20.0), rng.binomial(20, limit, runs).astype(float), a(0), a(0))
        many = many.after(found, np.zeros(1))
    for evidence in (many.above, many.below):
        wrong = (evidence >= math.log(20)).mean()
        assert 0 < wrong <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_the_nearest_pair_makes_the_interval_that_is_published() -> None:
    """56 of 70 against 48 of 80: Newcombe (Stat. Med. 17, 1998), table II, case (a), method 6,
    the interval of Miettinen and Nurminen: 0.0528 to 0.3382."""
    (f_c, n_c), (f_b, n_b) = (56, 70), (48, 80)
    for bound in (0.0528, 0.3382):
        pair = nearest(Expected(a(f_c / n_c), a(f_b / n_b)), a(n_c), a(n_b), a(bound))
        variance = pair.p_c * (1 - pair.p_c) / n_c + pair.p_b * (1 - pair.p_b) / n_b
        unbiased = (n_c + n_b) / (n_c + n_b - 1)
        z = (f_c / n_c - f_b / n_b - bound) / math.sqrt(variance * unbiased)
        assert abs(z) == pytest.approx(1.96, abs=2e-3)


def test_twice_the_failures_are_seen() -> None:
    many = simulated(0.05, 0.01, 0.005, looks=60, runs=200)
    assert (many.above >= -math.log(0.05)).mean() > 0.95
