"""How long one execution of a batch takes: s(b) = a + c b, fitted from a few points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy


@dataclass(frozen=True)
class ServiceTime:
    """s(b) = `fixed_us` + `row_us` b, in microseconds for a batch of b rows.

    `error` is how far the points lay off the line: the root mean square of (measured / fitted - 1).
    """

    fixed_us: float
    row_us: float
    error: float = 0.0

    def of(self, rows: float) -> float:
        """Microseconds of one execution of so many rows."""
        return self.fixed_us + self.row_us * rows

    def scaled(self, factor: float) -> ServiceTime:
        """The same, so many times as slow."""
        return ServiceTime(self.fixed_us * factor, self.row_us * factor, self.error)


def fit(points: Sequence[tuple[float, float]]) -> ServiceTime:
    """The line through points of (rows, microseconds), with neither part below nothing.

    Least squares of the relative error, sum of (a + c b_i - t_i)^2 / t_i^2: a batch of 64 is not to
    drown one of 1. Non-negative, after Lawson and Hanson (1974), "Solving Least Squares Problems".

    >>> fit([(1, 110.0), (4, 140.0), (16, 260.0), (64, 740.0)])
    ServiceTime(fixed_us=100.0, row_us=10.0, error=0.0)

    Raises:
        ValueError: there is no point with a time above 0.
    """
    known = [(rows, us) for rows, us in points if us > 0]
    if not known:
        raise ValueError("no execution was timed")
    rows = np.array([one[0] for one in known], dtype=float)
    times = np.array([one[1] for one in known], dtype=float)
    found, _ = scipy.optimize.nnls(np.column_stack([1 / times, rows / times]), np.ones(len(known)))
    fixed, row = float(found[0]), float(found[1])
    off = (fixed + row * rows) / times - 1
    error = math.sqrt(float(np.mean(off**2)))
    return ServiceTime(round(fixed, 6), round(row, 6), round(error, 6))
