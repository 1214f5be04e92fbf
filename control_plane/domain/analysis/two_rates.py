"""Evidence against "the candidate's rate is at most the baseline's plus d", one look at a time.

A look counts (n_c, f_c) attempts and failures of the candidate and (n_b, f_b) of the baseline in
the same span. Before it is seen, somebody who doubts the hypothesis names the rates that they
expect instead, (p_c, p_b). The look multiplies their stake by

    e = (p_c/q_c)^f_c ((1-p_c)/(1-q_c))^(n_c-f_c) (p_b/q_b)^f_b ((1-p_b)/(1-q_b))^(n_b-f_b)

where (q_c, q_b) is the pair that the hypothesis allows which lies nearest to (p_c, p_b): the one
with the smallest n_c KL(p_c, q_c) + n_b KL(p_b, q_b). Because what the hypothesis allows is convex,
the expectation of e is at most 1 under every pair in it, whichever that is, in every look anew: so
the product over all looks is above 1/alpha at *any* of them with a probability of at most alpha
(Ville's inequality), though the rates change from look to look and the split between the arms does
(no paradox of Simpson's), and without any approximation for small counts.

Sources: R. Turner, A. Ly, P. Grunwald, "Generic E-variables for exact sequential k-sample tests
that allow for optional stopping", J. Stat. Plan. Inference 230 (2024), theorem 1; R. Turner,
P. Grunwald, "Exact anytime-valid confidence intervals for contingency tables and beyond", Stat.
Probab. Lett. 198 (2023). The nearest pair is the restricted maximum of Miettinen and Nurminen
(Stat. Med. 4, 1985), in the closed form of Farrington and Manning (Stat. Med. 9, 1990).

Worked example: d = 0, (p_c, p_b) = (0.02, 0.01), 100 attempts on the candidate with 3 failures and
100 on the baseline with 1. The nearest pair is (0.015, 0.015), so e = (0.02/0.015)^3
(0.98/0.985)^97 (0.01/0.015)^1 (0.99/0.985)^99 = 1.592.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

LOG_ODDS = np.array([0.1, 0.2, 0.4, 0.7, 1.1, 1.6, 2.5, 4.0])
"""How far beyond the hypothesis doubters expect the candidate's rate, in log odds.

From a tenth more failures to 55 times as many. Between two steps no rate is more than a factor
of 1.6 in the log odds from one of them, where a doubter still wins 85 % of what is to be won.
"""

_TINY = 1e-9
_LEAST_LEVEL = 1e-6


@dataclass(frozen=True)
class Counts:
    """What a look counted; arrays that broadcast against each other."""

    n_c: Array
    f_c: Array
    n_b: Array
    f_b: Array


@dataclass(frozen=True)
class Expected:
    """What a doubter expects; arrays that broadcast against each other."""

    p_c: Array
    p_b: Array


def nearest(expected: Expected, n_c: Array, n_b: Array, d: Array) -> Expected:
    """The pair with p_c = p_b + d nearest to what is expected, weighted by attempts.

    With t = n_b / n_c it is the root of a cubic, a p^3 + b p^2 + c p + e = 0, a = 1 + t,
    b = -(1 + t + p_c + t p_b + d (t + 2)), c = d^2 + d (2 p_c + t + 1) + p_c + t p_b,
    e = -p_c d (1 + d), by the trigonometric form; one step of Newton's takes the rounding out.

    Worked example: p_c = 0.02, p_b = 0.01, as many attempts on each, d = 0: both 0.015.
    """
    plain = (n_c * expected.p_c + n_b * expected.p_b) / np.maximum(n_c + n_b, _TINY)
    if not d.any():
        both = np.clip(plain, _TINY, 1 - _TINY)
        return Expected(both, both)
    p_c, p_b, n_c, n_b, d = np.broadcast_arrays(expected.p_c, expected.p_b, n_c, n_b, d)
    t = n_b / np.maximum(n_c, _TINY)
    a = 1 + t
    b = -(1 + t + p_c + t * p_b + d * (t + 2))
    c = d * d + d * (2 * p_c + t + 1) + p_c + t * p_b
    e = -p_c * d * (1 + d)
    third = b / (3 * a)
    v = third**3 - b * c / (6 * a * a) + e / (2 * a)
    u = np.copysign(np.sqrt(np.maximum(third**2 - c / (3 * a), _TINY**2)), v)
    angle = (np.pi + np.arccos(np.clip(v / u**3, -1, 1))) / 3
    q_b = 2 * u * np.cos(angle) - third - d
    low, high = np.maximum(0, -d) + _TINY, np.minimum(1, 1 - d) - _TINY
    for _ in range(2):
        q_b = np.clip(q_b, low, high)
        var_c, var_b = (q_b + d) * (1 - q_b - d), q_b * (1 - q_b)
        slope = n_c * (q_b + d - p_c) / var_c + n_b * (q_b - p_b) / var_b
        bend = n_c / var_c + n_b / var_b
        q_b = q_b - slope / np.maximum(bend, _TINY)
    q_b = np.clip(np.where(d == 0, plain, q_b), low, high)
    return Expected(q_b + d, q_b)


def log_growth(counts: Counts, expected: Expected, d: Array) -> Array:
    """The logarithm of what one look multiplies a stake by; 0 where an arm had no attempt."""
    allowed = nearest(expected, counts.n_c, counts.n_b, d)
    both = (counts.n_c > 0) & (counts.n_b > 0)
    won = _log_ratio(counts.n_c, counts.f_c, expected.p_c, allowed.p_c)
    won = won + _log_ratio(counts.n_b, counts.f_b, expected.p_b, allowed.p_b)
    return np.where(both, won, 0.0)


def log_growth_alone(counts: Counts, expected: Expected, limit: Array) -> Array:
    """The same for one arm and a fixed limit: "the candidate's rate is at most `limit`"."""
    return _log_ratio(counts.n_c, counts.f_c, expected.p_c, np.clip(limit, _TINY, 1 - _TINY))


def doubters_above(p_b: Array, d: Array) -> tuple[Expected, Mask]:
    """Who expects more than "at most d more than the baseline", and whether they may play.

    Returns:
        Rates with a last axis of `LOG_ODDS`, and a mask without it: nothing is above 1.
    """
    p_b, d = np.broadcast_arrays(p_b, d)
    # Where d leads below 0 the baseline is what speaks: expect a rate such as might be there.
    level = np.maximum(np.maximum(p_b + d, p_b / 4), _LEAST_LEVEL)
    possible = level < 1 - _LEAST_LEVEL
    return _shifted(p_b, np.minimum(level, 1 - _LEAST_LEVEL), LOG_ODDS), possible


def doubters_below(p_b: Array, d: Array) -> tuple[Expected, Mask]:
    """Who expects less than "at least d more than the baseline"; the mirror of the above."""
    p_b, d = np.broadcast_arrays(p_b, d)
    level = np.minimum(np.minimum(p_b + d, 1 - (1 - p_b) / 4), 1 - _LEAST_LEVEL)
    possible = level > _LEAST_LEVEL
    return _shifted(p_b, np.maximum(level, _LEAST_LEVEL), -LOG_ODDS), possible


def aimed(expected: Expected, aims: Array) -> Expected:
    """What is expected where there is an aim: that difference; the rest as it was."""
    at = np.clip(expected.p_b + aims[..., None], _TINY, 1 - _TINY)
    return Expected(np.where(np.isnan(at), expected.p_c, at), expected.p_b)


def log_mean(stakes: Array) -> Array:
    """The logarithm of the mean over the last axis of e^stakes."""
    most = stakes.max(axis=-1, keepdims=True)
    mean = np.log(np.exp(stakes - most).mean(axis=-1)) + most[..., 0]
    return np.asarray(mean, dtype=np.float64)


def _shifted(p_b: Array, level: Array, odds: Array) -> Expected:
    logit = np.log(level) - np.log1p(-level)
    p_c = 1 / (1 + np.exp(-(logit[..., None] + odds)))
    return Expected(np.clip(p_c, _TINY, 1 - _TINY), np.clip(p_b, _TINY, 1 - _TINY)[..., None])


def _log_ratio(n: Array, f: Array, p: Array, q: Array) -> Array:
    failures: Array = f * (np.log(p) - np.log(q))
    rest: Array = (n - f) * (np.log1p(-p) - np.log1p(-q))
    return failures + rest
