"""The confidence sequence of one metric: bounds that hold at every look, and what they rest on.

For every difference of a grid, one group of doubters plays against "at most so much worse" and
one against "at least so much" (`two_rates`). A hypothesis is given up once its doubters' mean stake
has reached 1/alpha, at whichever look. The lower bound is the highest difference of the grid up
to which all "at most" were given up, the upper bound the other way about: so each of them errs,
ever, with a probability of at most alpha, and they only close in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from control_plane.domain.analysis.two_rates import (
    LOG_ODDS,
    Array,
    Counts,
    aimed,
    doubters_above,
    doubters_below,
    log_growth,
    log_growth_alone,
    log_mean,
)

_STEPS = (0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03)
_GRID = (*_STEPS, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75)

_DIGITS = 6
_SURE = 1e3
"""Stakes are kept within e^±1000: enough to decide, and a number that can be written down."""


@dataclass(frozen=True)
class Sequence:
    """Stakes so far; logarithms, shaped (differences, doubters).

    `against` are the hypotheses, ascending. All doubters of a hypothesis with an aim expect that
    difference; it is NaN elsewhere. `above` and `below` are the highest mean stakes that there
    were against "at most" and "at least".
    """

    against: Array
    alone: bool
    fail_at: float
    pass_at: float
    aims_above: Array
    aims_below: Array
    stakes_above: Array
    stakes_below: Array
    above: Array
    below: Array

    def after(self, counts: Counts, p_b: Array) -> Sequence:
        """The sequence with one look more.

        Args:
            counts: of shape (differences,) or ().
            p_b: what the baseline's rate may be, known before the look: shaped (guesses,) or
                (guesses, differences), all of them believed in alike.
        """
        won_above, won_below = self._won(counts, p_b)
        stakes_above = np.clip(self.stakes_above + won_above, -_SURE, _SURE)
        stakes_below = np.clip(self.stakes_below + won_below, -_SURE, _SURE)
        return replace(
            self,
            stakes_above=stakes_above,
            stakes_below=stakes_below,
            above=np.maximum(self.above, log_mean(stakes_above)),
            below=np.maximum(self.below, log_mean(stakes_below)),
        )

    def failed(self, alpha: float) -> bool:
        """Whether it is shown that the candidate is worse than `fail_at`."""
        return bool(self.above[self._row(self.fail_at)] >= -np.log(alpha))

    def passed(self, alpha: float) -> bool:
        """Whether it is shown that the candidate is better than `pass_at`."""
        return bool(self.below[self._row(self.pass_at)] >= -np.log(alpha))

    def lower(self, alpha: float) -> float | None:
        """The lower bound, None as long as there is none."""
        given_up = np.logical_and.accumulate(self.above >= -np.log(alpha))
        bound = float(self.against[given_up.sum() - 1]) if given_up[0] else None
        if self.failed(alpha):
            return max(self.fail_at, self.fail_at if bound is None else bound)
        return bound

    def upper(self, alpha: float) -> float | None:
        """The upper bound, None as long as there is none."""
        given_up = np.logical_and.accumulate(self.below[::-1] >= -np.log(alpha))
        bound = float(self.against[::-1][given_up.sum() - 1]) if given_up[0] else None
        if self.passed(alpha):
            return min(self.pass_at, self.pass_at if bound is None else bound)
        return bound

    def evidence_above(self) -> float:
        """The logarithm of the mean stake against "at most `fail_at`", now."""
        return float(log_mean(self.stakes_above)[self._row(self.fail_at)])

    def evidence_below(self) -> float:
        """The logarithm of the mean stake against "at least `pass_at`", now."""
        return float(log_mean(self.stakes_below)[self._row(self.pass_at)])

    def to_document(self) -> dict[str, Any]:
        """What has to be kept between looks, as JSON."""
        kept = ("stakes_above", "stakes_below", "above", "below")
        return {name: np.round(getattr(self, name), _DIGITS).tolist() for name in kept}

    def with_document(self, document: Mapping[str, Any]) -> Sequence:
        """This sequence with the stakes that were kept."""
        return replace(
            self,
            stakes_above=np.asarray(document["stakes_above"], dtype=np.float64),
            stakes_below=np.asarray(document["stakes_below"], dtype=np.float64),
            above=np.asarray(document["above"], dtype=np.float64),
            below=np.asarray(document["below"], dtype=np.float64),
        )

    def _row(self, difference: float) -> int:
        return int(np.searchsorted(self.against, difference))

    def _won(self, counts: Counts, p_b: Array) -> tuple[Array, Array]:
        guesses = p_b if p_b.ndim > 1 else p_b[:, None]
        if self.alone:
            guesses = np.zeros_like(guesses)
        wide = Counts(*(np.asarray(count)[..., None] for count in vars(counts).values()))
        grow = log_growth_alone if self.alone else log_growth
        won = []
        for doubters, aims in (
            (doubters_above, self.aims_above),
            (doubters_below, self.aims_below),
        ):
            expected, possible = doubters(guesses, self.against)
            expected = aimed(expected, aims)
            each = grow(wide, expected, self.against[:, None])
            each = np.where(possible[..., None], each, 0.0)
            won.append(log_mean(np.moveaxis(each, 0, -1)))
        return won[0], won[1]


def start(fail_at: float, pass_at: float, *, alone: bool = False) -> Sequence:
    """A sequence before the first look."""
    signed = {*_GRID} if alone else {0.0, *_GRID, *(-step for step in _GRID)}
    against = np.array(sorted({*signed, fail_at, pass_at}))
    aims_above, aims_below = np.full((2, len(against)), np.nan)
    if pass_at != fail_at:
        aims_above[against == fail_at] = pass_at
        aims_below[against == pass_at] = fail_at
    return Sequence(against, alone, fail_at, pass_at, aims_above, aims_below, *_nothing(against))


def _nothing(against: Array) -> tuple[Array, Array, Array, Array]:
    stakes, best = np.zeros((len(against), len(LOG_ODDS))), np.zeros(len(against))
    return stakes, stakes, best, best
