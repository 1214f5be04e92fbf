"""What others do to judge a canary, as documented, over many rollouts at once.

Each judge is told the arms' counts look by look, arrays with an entry per rollout, and says which
rollouts it would roll back by then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Judge(Protocol):
    """Says after each look which rollouts are rolled back."""

    def look(self, n_c: Array, f_c: Array, n_b: Array, f_b: Array) -> Mask: ...


class PeekedTest:
    """A two-proportion z-test with a fixed-sample threshold, looked at after every batch."""

    def __init__(self, alpha: float, runs: int) -> None:
        self._beyond = norm.isf(alpha)
        self._sums = np.zeros((4, runs))

    def look(self, n_c: Array, f_c: Array, n_b: Array, f_b: Array) -> Mask:
        self._sums += (n_c, f_c, n_b, f_b)
        n_c, f_c, n_b, f_b = self._sums
        pooled = (f_c + f_b) / np.maximum(n_c + n_b, 1)
        spread = np.sqrt(pooled * (1 - pooled) * (1 / np.maximum(n_c, 1) + 1 / np.maximum(n_b, 1)))
        difference = f_c / np.maximum(n_c, 1) - f_b / np.maximum(n_b, 1)
        return np.asarray(difference > self._beyond * np.maximum(spread, 1e-12))


class Sprt:
    """Wald's test for one alternative, against the nearest pair of equal rates: the limit.

    It knows both rates that it is to tell apart, and the split; nobody does. With m = n_c / n of
    the requests on the candidate the equal rate nearest to (p_c, p_b) is m p_c + (1 - m) p_b.
    """

    def __init__(self, p_c: float, p_b: float, part: float, alpha: float, runs: int) -> None:
        equal = part * p_c + (1 - part) * p_b
        self._won = [(math.log(p / equal), math.log((1 - p) / (1 - equal))) for p in (p_c, p_b)]
        self._stake = np.zeros(runs)
        self._enough = -math.log(alpha)

    def look(self, n_c: Array, f_c: Array, n_b: Array, f_b: Array) -> Mask:
        for n, f, (failure, success) in zip((n_c, n_b), (f_c, f_b), self._won, strict=True):
            self._stake += f * failure + (n - f) * success
        return np.asarray(self._stake >= self._enough)


class Kayenta:
    """Kayenta's judge: Mann-Whitney at 98 % over the points of a time series.

    A metric is "High" when the confidence interval of the shift lies above a quarter of the
    Hodges-Lehmann estimate (NetflixACAJudge: tolerance 0.25, confLevel 0.98). A point is a span of
    `span` looks; it is asked after every point from the tenth on.
    """

    def __init__(self, span: int, runs: int) -> None:
        self._span = span
        self._open = np.zeros((4, runs))
        self._looks = 0
        self._candidate: list[Array] = []
        self._baseline: list[Array] = []
        self._says = np.zeros(runs, bool)

    def look(self, n_c: Array, f_c: Array, n_b: Array, f_b: Array) -> Mask:
        self._open += (n_c, f_c, n_b, f_b)
        self._looks += 1
        if self._looks % self._span == 0:
            of_c, bad_c, of_b, bad_b = self._open
            self._candidate.append(bad_c / np.maximum(of_c, 1))
            self._baseline.append(bad_b / np.maximum(of_b, 1))
            self._open = np.zeros_like(self._open)
            if len(self._candidate) >= 10:
                self._says = high(self._candidate, self._baseline)
        return self._says


def high(candidate: Sequence[Array], baseline: Sequence[Array], confidence: float = 0.98) -> Mask:
    """Which runs' shift is "High": one point per look in each list, an entry per run.

    The interval is Lehmann's: with m and n points, of all m n differences in order the k-th from
    either end, k = m n / 2 - z sqrt(m n (m + n + 1) / 12).
    """
    m, n = len(candidate), len(baseline)
    c, b = np.stack(candidate, 1), np.stack(baseline, 1)
    differences = np.sort((c[:, :, None] - b[:, None, :]).reshape(len(c), -1), axis=1)
    z = norm.isf((1 - confidence) / 2)
    k = max(0, math.floor(m * n / 2 - z * math.sqrt(m * n * (m + n + 1) / 12)))
    estimate = np.median(differences, axis=1)
    return np.asarray(differences[:, k] > 0.25 * np.abs(estimate))


class Threshold:
    """Argo's analysis with a threshold: so much failed in an interval, more than so many times.

    The documented example is a success rate of at least 95 % and a `failureLimit` of 3.
    """

    def __init__(self, most: float, span: int, failure_limit: int, runs: int) -> None:
        self._most, self._span, self._limit = most, span, failure_limit
        self._open = np.zeros((2, runs))
        self._looks = 0
        self._failures = np.zeros(runs, int)

    def look(self, n_c: Array, f_c: Array, n_b: Array, f_b: Array) -> Mask:
        self._open += (n_c, f_c)
        self._looks += 1
        if self._looks % self._span == 0:
            of, bad = self._open
            self._failures += bad > self._most * of
            self._open = np.zeros_like(self._open)
        return np.asarray(self._failures > self._limit)
