"""The grid on which a metric's bounds are told.

Rates have a grid of differences (or of shares, where nothing is compared). Latencies have the
router's buckets: for a comparison the ratios 1.05^s, where the row s asks whether the candidate
goes over 1.05^s times a threshold more often than the baseline over the threshold itself; without
one the edges, where the row asks whether more than 1 - q go over that edge. Both are exact in the
counts: what lies between two edges is never guessed, so a margin is resolved to the next 5 % and
taken for the worse, on both sides. Readings have ratios or figures 5 % apart, and the limit itself.
"""

from __future__ import annotations

import math

import numpy as np

from control_plane.domain.analysis.metric import Better, Compare, Goal, Kind, Metric
from control_plane.domain.analysis.sequence import Rows
from control_plane.domain.analysis.two_rates import Array
from control_plane.domain.latency import OVERFLOW, RATIO, edge_from, edge_until, edge_us

_STEPS = (0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03)
_GRID = (*_STEPS, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75)

SHIFTS = range(-14, 29)
"""From half the baseline's latency to four times."""

_EDGES = 43
"""So many edges to either side of a limit: an eighth of it to eight times."""

_AROUND_0 = tuple(sign * 10.0**power for sign in (-1, 1) for power in range(-6, 7))
_ROUNDING = 1e-6


def rows_of(metric: Metric) -> Rows:
    """The rows of a metric, with those where it fails and passes among them."""
    if metric.kind is Kind.PERF_REGRESSION:
        # Nothing is tested of it: one measurement is compared with another.
        return _rows(metric, np.zeros(1), np.zeros(1), 0, 0)
    if metric.is_reading:
        return _reading_rows(metric)
    if not metric.is_quantile:
        return _rate_rows(metric)
    return _edge_rows(metric) if metric.compare is Compare.NONE else _shift_rows(metric)


def fail_shift(metric: Metric) -> int:
    """The number of buckets that the candidate has to be beyond to be bad."""
    return math.ceil(math.log(_allowed(metric), RATIO) - _ROUNDING)


def pass_shift(metric: Metric) -> int:
    """The number of buckets that the candidate has to stay within to be good."""
    return math.floor(math.log(_allowed(metric), RATIO) + _ROUNDING)


def shifts(metric: Metric) -> list[int]:
    """The rows of a comparison of latencies, in buckets."""
    return sorted({*SHIFTS, fail_shift(metric), pass_shift(metric)})


def edges(metric: Metric) -> list[int]:
    """The rows of a latency without a comparison, as buckets."""
    worst, best = edge_from(metric.limit or 0), edge_until(metric.limit or 0)
    return list(range(max(0, best - _EDGES), min(OVERFLOW - 1, worst + _EDGES) + 1))


def _allowed(metric: Metric) -> float:
    if metric.goal is Goal.NON_INFERIOR:
        return 1 + metric.margin_relative
    return 1 / (1 + metric.margin_relative)


def _rate_rows(metric: Metric) -> Rows:
    alone = metric.compare is Compare.NONE
    signed = {*_GRID} if alone else {0.0, *_GRID, *(-step for step in _GRID)}
    against = np.array(sorted({*signed, metric.fail_at, metric.pass_at}))
    fail_row, pass_row = (
        int(np.searchsorted(against, at)) for at in (metric.fail_at, metric.pass_at)
    )
    rows = _rows(metric, against, against, fail_row, pass_row)
    if metric.alternative is not None:
        rows.aims_above[fail_row] = metric.pass_at
        rows.aims_below[pass_row] = metric.fail_at
    return rows


def _shift_rows(metric: Metric) -> Rows:
    steps = shifts(metric)
    labels = np.round([RATIO**step for step in steps], 6)
    fail_row, pass_row = steps.index(fail_shift(metric)), steps.index(pass_shift(metric))
    return _rows(metric, labels, np.zeros(len(steps)), fail_row, pass_row)


def _edge_rows(metric: Metric) -> Rows:
    numbers, limit = edges(metric), metric.limit or 0
    labels = np.round([edge_us(number) for number in numbers], 3)
    fail_row, pass_row = numbers.index(edge_from(limit)), numbers.index(edge_until(limit))
    return _rows(metric, labels, np.full(len(labels), 1 - metric.q), fail_row, pass_row)


def _reading_rows(metric: Metric) -> Rows:
    """How many times worse, or the figure itself, turned where less of it is worse."""
    if metric.compare is not Compare.NONE:
        at = round(_allowed(metric), 6)
        found = {at, *(round(RATIO**step, 6) for step in SHIFTS)}
    else:
        at = metric.limit or 0.0
        at = -at if metric.better is Better.HIGHER else at
        around = (RATIO**step for step in range(-_EDGES, _EDGES + 1))
        found = {at, *(round(at * ratio, 9) for ratio in around)} if at else {0.0, *_AROUND_0}
    labels = np.array(sorted(found))
    row = int(np.searchsorted(labels, at))
    return _rows(metric, labels, np.full(len(labels), 1 - metric.q), row, row)


def _rows(metric: Metric, labels: Array, against: Array, fail_row: int, pass_row: int) -> Rows:
    return Rows(
        labels=labels,
        against=against,
        fail_row=fail_row,
        pass_row=pass_row,
        alone=metric.compare is Compare.NONE or metric.is_reading,
        aims_above=np.full(len(labels), np.nan),
        aims_below=np.full(len(labels), np.nan),
        # A reading is a block, and counts once.
        block=0.0 if metric.is_reading else metric.block_seconds,
        # One caller's questions may all be as hard: that moves every answer of a block at once.
        tens=metric.kind is not Kind.CONFIDENCE,
    )
