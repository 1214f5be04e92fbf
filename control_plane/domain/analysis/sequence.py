"""The confidence sequence of one metric: bounds that hold at every look, and what they rest on.

For every row of a grid, one group of doubters plays against "at most so bad" and one against "at
least so bad" (`two_rates`). A hypothesis is given up once its doubters' mean stake has reached
1/alpha, at whichever look. The lower bound is the highest row up to which all "at most" were given
up, the upper bound the other way about: so each of them errs, ever, with a probability of at most
alpha, and they only close in.

Where blocks of time are the unit of evidence, two more have to agree. The evidence is then the
smaller of the stakes as above and of the mean of

- the stakes with every request taken for a tenth of one: exact where what fails together are up to
  ten requests, and quick where nearly everything fails;
- the paired blocks' own test (`blocks`), whatever happens within a block.

Where more than ten requests may well say the same together, the blocks' test stands alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from control_plane.domain.analysis.blocks import Blocks, blocks_from_document
from control_plane.domain.analysis.two_rates import (
    LOG_ODDS,
    Array,
    Counts,
    Mask,
    aimed,
    doubters_above,
    doubters_below,
    log_growth,
    log_growth_alone,
    log_mean,
)

CLUSTER = 10.0
"""So many requests may fail for one reason, where blocks are the unit."""

_DIGITS = 6
_SURE = 1e3
"""Stakes are kept within e^±1000: enough to decide, and a number that can be written down."""


@dataclass(frozen=True)
class Rows:
    """What is tested, row by row, from good to bad.

    `labels` are what bounds are told in, `against` the difference of shares (or the share, where
    the candidate is `alone`) that a row is about. The candidate is bad when it is above the row
    `fail_row` and good when it is below `pass_row`. All doubters of a row with an aim expect that
    difference; it is NaN elsewhere. Without `tens` blocks alone are evidence, where they are.
    """

    labels: Array
    against: Array
    fail_row: int
    pass_row: int
    alone: bool
    aims_above: Array
    aims_below: Array
    block: float = 0.0
    tens: bool = True


@dataclass(frozen=True)
class Sequence:
    """Stakes so far; logarithms, shaped (rows, doubters).

    `above` and `below` are the most evidence that there was against "at most" and "at least".
    """

    rows: Rows
    stakes_above: Array
    stakes_below: Array
    above: Array
    below: Array
    blocks: Blocks

    def after(self, counts: Counts, p_b: Array, seconds: float = 0.0) -> Sequence:
        """The sequence with one look more.

        Args:
            counts: of shape (rows,) or ().
            p_b: what the baseline's rate may be, known before the look: shaped (guesses,) or
                (guesses, rows), all of them believed in alike.
        """
        won_above, won_below = self._won(counts, p_b)
        blocks = self.blocks
        if self.rows.block:
            blocks = blocks.after(counts, seconds, self.rows.block, alone=self.rows.alone)
        grown = replace(
            self,
            stakes_above=np.clip(self.stakes_above + won_above, -_SURE, _SURE),
            stakes_below=np.clip(self.stakes_below + won_below, -_SURE, _SURE),
            blocks=blocks,
        )
        return replace(
            grown,
            above=np.maximum(self.above, grown.evidence_above()),
            below=np.maximum(self.below, grown.evidence_below()),
        )

    def evidence_above(self) -> Array:
        """The logarithm of the evidence against each row's "at most", now."""
        return self._evidence(self.stakes_above, self.blocks.log_above)

    def evidence_below(self) -> Array:
        """The logarithm of the evidence against each row's "at least", now."""
        return self._evidence(self.stakes_below, self.blocks.log_below)

    def failed(self, alpha: float) -> bool:
        """Whether it is shown that the candidate is worse than it may be."""
        return bool(self.above[self.rows.fail_row] >= -np.log(alpha))

    def passed(self, alpha: float) -> bool:
        """Whether it is shown that the candidate is as good as it has to be."""
        return bool(self.below[self.rows.pass_row] >= -np.log(alpha))

    def lower(self, alpha: float) -> float | None:
        """The lower bound, None as long as there is none."""
        row = _reached(self.above >= -np.log(alpha)) - 1
        if self.failed(alpha):
            row = max(row, self.rows.fail_row)
        return float(self.rows.labels[row]) if row >= 0 else None

    def upper(self, alpha: float) -> float | None:
        """The upper bound, None as long as there is none."""
        row = len(self.rows.labels) - _reached(self.below[::-1] >= -np.log(alpha))
        if self.passed(alpha):
            row = min(row, self.rows.pass_row)
        return float(self.rows.labels[row]) if row < len(self.rows.labels) else None

    def to_document(self) -> dict[str, Any]:
        """What has to be kept between looks, as JSON."""
        kept = ("stakes_above", "stakes_below", "above", "below")
        document = {name: np.round(getattr(self, name), _DIGITS).tolist() for name in kept}
        return document | {"blocks": self.blocks.to_document()}

    def with_document(self, document: Mapping[str, Any]) -> Sequence:
        """This sequence with the stakes that were kept."""
        return replace(
            self,
            stakes_above=np.asarray(document["stakes_above"], dtype=np.float64),
            stakes_below=np.asarray(document["stakes_below"], dtype=np.float64),
            above=np.asarray(document["above"], dtype=np.float64),
            below=np.asarray(document["below"], dtype=np.float64),
            blocks=blocks_from_document(document["blocks"]),
        )

    def _evidence(self, stakes: Array, of_blocks: Any) -> Array:
        plain = log_mean(stakes)
        if not self.rows.block:
            return plain
        paired = of_blocks(self.rows.against)
        if not self.rows.tens:
            return np.minimum(plain, paired)
        clustered = log_mean(stakes / CLUSTER)
        return np.minimum(plain, np.logaddexp(clustered, paired) - np.log(2))

    def _won(self, counts: Counts, p_b: Array) -> tuple[Array, Array]:
        rows = self.rows
        guesses = p_b if p_b.ndim > 1 else p_b[:, None]
        if rows.alone:
            guesses = np.zeros_like(guesses)
        wide = Counts(*(np.asarray(count)[..., None] for count in vars(counts).values()))
        grow = log_growth_alone if rows.alone else log_growth
        won = []
        for doubters, aims in (
            (doubters_above, rows.aims_above),
            (doubters_below, rows.aims_below),
        ):
            expected, possible = doubters(guesses, rows.against)
            each = grow(wide, aimed(expected, aims), rows.against[:, None])
            each = np.where(possible[..., None], each, 0.0)
            won.append(log_mean(np.moveaxis(each, 0, -1)))
        return won[0], won[1]


def start(rows: Rows) -> Sequence:
    """A sequence before the first look."""
    stakes, best = np.zeros((len(rows.labels), len(LOG_ODDS))), np.zeros(len(rows.labels))
    return Sequence(rows, stakes, stakes, best, best, Blocks())


def _reached(given_up: Mask) -> int:
    return int(np.logical_and.accumulate(given_up).sum())
