"""Paired blocks of time as evidence, for requests that are not independent of each other.

A block is a span over which both arms were counted. Its piece of evidence is the difference of the
arms' shares, x, known with the weight w = n_c n_b / (n_c + n_b) (n_c alone where there is one arm):
however requests within a block hang together, what counts is how much blocks differ.

If the differences are normal with mean delta and variance sigma^2 / w, whatever sigma is, the ratio

    E = 2 T_n(m / s) (1 + g)^(-1/2) (Y / Q)^(n/2),  Q = Y - g / (1 + g) (sum w y)^2 / S

with y = x - d, Y = sum w y^2, S = sum w, g = tau^2 S, m = tau^2 sum w y / (1 + g),
s^2 = Q / n tau^2 / (1 + g), and T_n Student's distribution, has a mean of at most 1 at any time
when delta is at most d: it is the Bayes factor of the t-test for an effect
delta / sigma ~ N(0, tau^2) of the one sign, with the right Haar prior on sigma, so that no value of
sigma has an influence on it.

Sources: T. Lai, "On confidence sequences", Ann. Statist. 4 (1976); M. Perez-Ortiz, T. Lardy, R. de
Heide, P. Grunwald, "E-statistics, group invariance and anytime-valid testing", Ann. Statist. 52
(2024), section 1.3.

Worked example: three blocks of w = 100 with x = 0.02, 0.01, 0.03, d = 0, tau = 0.1: Y = 0.14,
S = 300, g = 3, sum w y = 6, Q = 0.05, m = 0.015, s = 0.00645, so
E = 2 * 0.9487 * 0.5 * (2.8)^1.5 = 4.445.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy

from control_plane.domain.analysis.two_rates import Array, Counts, log_mean

EFFECTS = np.array([0.02, 0.06, 0.2, 0.6])
"""tau: standard deviations per root of a request that doubters expect, from 1 % -> 1.2 % on."""

_NONE = 1e-300
_SUMS = ("complete", "wxx", "wx", "w")


def _zero() -> Array:
    return np.zeros(())


@dataclass(frozen=True)
class Blocks:
    """Blocks that are complete, as sums, and the counts of the one that is not.

    The sums are of 1, w x^2, w x and w, of arrays that broadcast with the hypotheses. A block in
    which an arm had no request is none.
    """

    complete: Array = field(default_factory=_zero)
    wxx: Array = field(default_factory=_zero)
    wx: Array = field(default_factory=_zero)
    w: Array = field(default_factory=_zero)
    seconds: float = 0.0
    open: tuple[Array, ...] = (np.zeros(()),) * 4

    def after(self, counts: Counts, seconds: float, length: float, *, alone: bool) -> Blocks:
        """With one look more, which ends a block once it is `length` seconds long."""
        summed = tuple(
            before + new for before, new in zip(self.open, vars(counts).values(), strict=True)
        )
        whole = replace(self, seconds=self.seconds + seconds, open=summed)
        # Times are sums of what clocks said: a block of ten looks of a second is one of 10 s.
        return whole._closed(alone) if whole.seconds >= 0.95 * length else whole

    def _closed(self, alone: bool) -> Blocks:
        n_c, f_c, n_b, f_b = self.open
        share = f_c / np.maximum(n_c, 1)
        if alone:
            w, x = n_c, share
        else:
            w, x = n_c * n_b / np.maximum(n_c + n_b, 1), share - f_b / np.maximum(n_b, 1)
        return Blocks(
            complete=self.complete + (w > 0),
            wxx=self.wxx + w * x * x,
            wx=self.wx + w * x,
            w=self.w + w,
        )

    def log_above(self, d: Array) -> Array:
        """The logarithm of the evidence against "at most d"."""
        return self._log_evidence(self.wx - d * self.w, d)

    def log_below(self, d: Array) -> Array:
        """The logarithm of the evidence against "at least d"."""
        return self._log_evidence(d * self.w - self.wx, d)

    def _log_evidence(self, wy: Array, d: Array) -> Array:
        n = np.maximum(self.complete, 1)[..., None]
        # A sum of squares that rounding has made negative is none.
        wyy = np.maximum(self.wxx - 2 * d * self.wx + d * d * self.w, 0.0)[..., None]
        wy, w = wy[..., None], np.maximum(self.w, _NONE)[..., None]
        g = EFFECTS**2 * w
        q = np.maximum(wyy - g / (1 + g) * wy * wy / w, 1e-12 * wyy + _NONE)
        mean, variance = EFFECTS**2 * wy / (1 + g), q / n * EFFECTS**2 / (1 + g)
        t = mean / np.sqrt(np.maximum(variance, _NONE))
        sided = np.log(2 * scipy.special.stdtr(n, t) + _NONE)
        won = sided - np.log1p(g) / 2 + n / 2 * (np.log(wyy + _NONE) - np.log(q))
        known = (wyy[..., 0] > 0) & (self.complete > 1)
        return np.where(known, log_mean(won), 0.0)

    def to_document(self) -> dict[str, Any]:
        """The sums as JSON."""
        sums = {name: getattr(self, name).tolist() for name in _SUMS}
        counts = [count.tolist() for count in self.open]
        return {"seconds": self.seconds, **sums, "open": counts}


def blocks_from_document(document: Mapping[str, Any]) -> Blocks:
    """The sums that were kept."""
    complete, wxx, wx, w = (np.asarray(document[name], dtype=np.float64) for name in _SUMS)
    counts = tuple(np.asarray(count, dtype=np.float64) for count in document["open"])
    return Blocks(complete, wxx, wx, w, document["seconds"], counts)
