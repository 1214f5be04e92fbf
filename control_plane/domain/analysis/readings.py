"""Figures of whole blocks of time as evidence, for what is not counted request by request.

A block is a span over which a figure was read of each arm: a mean, or whatever a query gives. Its
reading is how many times worse the candidate's is than the baseline's, or the candidate's figure
alone; and it is one trial, over a level or not. What is tested of a level is

    whatever came before, the next reading is over it with a chance of at most 1 - q

by the same sequential test as every other share (`two_rates`). With q = 1/2 and two arms that is
the sign test: it needs to know nothing of how the figures are spread, of their units, or of how
requests within a block hang together. Over a grid of levels it bounds the reading's quantile q, at
all looks together.

Sources: the sign test is J. Arbuthnot's (1710); its sequential form with bounds for a quantile is
in S. Howard, A. Ramdas, "Sequential estimation of quantiles with applications to A/B testing and
best-arm identification", Bernoulli 28 (2022), section 3.

Worked example: with q = 1/2 a doubter who expects 98 of 100 readings over the level wins a factor
of 1.96 by each that is: after 8 in a row one of eight doubters alone has 1.96^8 / 8 = 27, and the
level is given up at alpha = 0.05; with what the others win it is after 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from control_plane.domain.analysis.counting import Seen, reference
from control_plane.domain.analysis.evidence import Evidence, Told
from control_plane.domain.analysis.metric import Better, Compare, Kind, Metric
from control_plane.domain.analysis.sequence import Rows
from control_plane.domain.analysis.two_rates import Array, Counts

NOTHING = 1e-12
"""What a figure of 0 counts as beside another: two of them are alike."""


@dataclass(frozen=True)
class OpenBlock:
    """What was read in the block that is not over: of each arm the sum, and of how many."""

    seconds: float = 0.0
    sum_c: float = 0.0
    of_c: float = 0.0
    sum_b: float = 0.0
    of_b: float = 0.0

    def after(self, told: Told) -> OpenBlock:
        """With what one look read."""
        return OpenBlock(
            self.seconds + told.seconds,
            self.sum_c + told.candidate[0],
            self.of_c + told.candidate[1],
            self.sum_b + told.baseline[0],
            self.of_b + told.baseline[1],
        )

    def to_document(self) -> dict[str, Any]:
        """The sums as JSON."""
        return dict(vars(self))


def block_from(document: Mapping[str, Any]) -> OpenBlock:
    """The sums that were kept."""
    return OpenBlock(**document)


@dataclass(frozen=True)
class Reading:
    """A block that is over: what is shown of it, and the trials that are tested, one a row."""

    seen: Seen
    counts: Counts


def figures(metric: Metric, evidence: Evidence) -> Told:
    """What a look read for a metric: of the queue, how long requests waited and how many."""
    if metric.kind is Kind.QUEUE_TIME:
        waited = reference(metric, evidence).queue
        return Told(evidence.seconds, evidence.candidate.queue, waited)
    return evidence.told[metric.name]


def read_block(
    metric: Metric, rows: Rows, block: OpenBlock, told: Told
) -> tuple[OpenBlock, Reading | None]:
    """One look more.

    Returns:
        The block that goes on, and the reading of one that is over. A block in which an arm had
        nothing to be read is none.
    """
    block = block.after(told)
    # Times are sums of what clocks said: a block of ten looks of a second is one of 10 s.
    if block.seconds < 0.95 * metric.block_seconds:
        return block, None
    alone = metric.compare is Compare.NONE
    if block.of_c <= 0 or not (alone or block.of_b > 0):
        return OpenBlock(), None
    candidate = block.sum_c / block.of_c
    baseline = 0.0 if alone else block.sum_b / block.of_b
    worse = how_bad(metric, candidate, baseline)
    over: Array = (rows.labels < worse).astype(np.float64)
    seen = Seen(
        of_c=1,
        bad_c=int(over[rows.fail_row]),
        of_b=0 if alone else 1,
        sketch_c={int(np.searchsorted(rows.labels, worse)): 1},
        sum_c=candidate,
        sum_b=baseline,
    )
    one, none = np.ones_like(over), np.zeros_like(over)
    return OpenBlock(), Reading(seen, Counts(one, over, none, none))


def how_bad(metric: Metric, candidate: float, baseline: float) -> float:
    """How many times worse than the baseline's a figure is, or the figure, turned if less is worse.

    Worked example: 3 ms beside 2 ms is 1.5; 0.6 ms beside 0.2 ms, with a floor of 1 ms, is 1.
    """
    if metric.compare is Compare.NONE:
        return -candidate if metric.better is Better.HIGHER else candidate
    least = max(metric.floor, NOTHING)
    of, to = max(candidate, least), max(baseline, least)
    # Rounded as the rows are: two alike are not worse by what is left of a division.
    return round(to / of if metric.better is Better.HIGHER else of / to, 6)


def middle(metric: Metric, rows: Rows, seen: Seen) -> float | None:
    """The quantile q of the readings so far, to the next row; None without any."""
    total, below = sum(seen.sketch_c.values()), 0.0
    for row in sorted(seen.sketch_c):
        below += seen.sketch_c[row]
        if below >= metric.q * total - 1e-9:
            return float(rows.labels[min(row, len(rows.labels) - 1)])
    return None
