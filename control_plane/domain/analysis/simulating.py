"""Many analysis runs at once, to see what a template would do before it is used.

The runs lie side by side as rows of one sequence: it is the same code that judges a rollout. A
latency's threshold is the baseline's true quantile here; a rollout learns it from its first looks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from control_plane.domain.analysis.blocks import Blocks
from control_plane.domain.analysis.counting import FIRST_RATES, REMEMBERED
from control_plane.domain.analysis.metric import Kind, Metric
from control_plane.domain.analysis.rows import rows_of
from control_plane.domain.analysis.scenario import Scenario, Truth, truth
from control_plane.domain.analysis.sequence import Sequence, start
from control_plane.domain.analysis.template import Template
from control_plane.domain.analysis.two_rates import Array, Counts, Mask
from control_plane.domain.routing.policy import SECOND

MAX_LOOKS = 200
"""A longer run is looked at more seldom in a simulation, which changes little."""

_GUESS_RATE, _GUESS_OF = 0.01, 50.0


@dataclass(frozen=True)
class Simulated:
    """How the runs ended. Seconds and counts are medians and 9 of 10 of the runs that failed;
    None where none did."""

    runs: int
    look_every: float
    failed: float
    successful: float
    inconclusive: float
    failed_by: Mapping[str, float]
    seconds_to_fail: tuple[float, float] | None
    candidate_requests_to_fail: tuple[float, float] | None
    harmed_until_failed: tuple[float, float] | None
    seconds_to_succeed: tuple[float, float] | None

    def to_document(self) -> dict[str, Any]:
        """The outcome as JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


class ManyRuns:
    """One metric in many runs: a row for each, or two where it fails and passes by different ones.

    The first rows are those by which runs fail.
    """

    def __init__(self, metric: Metric, meets: Truth, runs: int) -> None:
        grid = rows_of(metric)
        ends = list(dict.fromkeys((grid.fail_row, grid.pass_row)))
        against, above, below = (
            np.concatenate([np.full(runs, values[end]) for end in ends])
            for values in (grid.against, grid.aims_above, grid.aims_below)
        )
        self.metric = metric
        rows = replace(grid, labels=against, against=against, fail_row=0, pass_row=0)
        self.sequence = start(replace(rows, aims_above=above, aims_below=below))
        self._times = len(ends)
        self._meets = meets
        self._recent = np.zeros((2, runs))
        self._seconds = 0.0

    def look(
        self, rng: np.random.Generator, n_c: Array, n_b: Array, bursts: Array, seconds: float
    ) -> Array:
        """One look more; returns the candidate's bad ones."""
        meets = self._meets
        if self.metric.is_reading:
            # A block is one trial, and until it is over there is none.
            self._seconds += seconds
            whole = self._seconds >= 0.95 * self.metric.block_seconds
            self._seconds = 0.0 if whole else self._seconds
            n_c = n_b = np.full(len(n_c), float(whole))
        if meets.heard < 1:
            n_c, n_b = (rng.binomial(n.astype(int), meets.heard).astype(float) for n in (n_c, n_b))
        # One draw serves both edges: who is over the higher is over the lower.
        passing = _drawn(rng, n_c, meets.candidate_passing * bursts[0])
        failing = passing
        if meets.candidate_passing != meets.candidate_failing:
            part = meets.candidate_failing / max(meets.candidate_passing, 1e-12)
            failing = _drawn(rng, passing, np.full(len(n_c), min(1.0, part)))
        f_b = _drawn(rng, n_b, meets.baseline * bursts[1])
        counts = Counts(
            n_c=self._rows(n_c),
            f_c=np.concatenate([failing, passing][: self._times]),
            n_b=self._rows(n_b),
            f_b=self._rows(f_b),
        )
        self.sequence = self.sequence.after(counts, self._rates(), seconds)
        self._recent += (n_b, f_b)
        self._recent *= np.minimum(1, REMEMBERED / np.maximum(self._recent[0], 1))
        return failing

    def failed(self, alpha: float) -> Mask:
        """Which runs have failed."""
        runs = self._recent.shape[1]
        return np.asarray(self.sequence.above[:runs] >= -math.log(alpha))

    def passed(self, alpha: float) -> Mask:
        """Which runs have passed."""
        runs = self._recent.shape[1]
        return np.asarray(self.sequence.below[-runs:] >= -math.log(alpha))

    def keep(self, going: Mask) -> None:
        """Drops the runs that have ended."""
        both = np.concatenate([going] * self._times)
        seq, rows = self.sequence, self.sequence.rows
        blocks = seq.blocks
        if blocks.w.ndim or blocks.open[0].ndim:
            sums = (blocks.complete, blocks.wxx, blocks.wx, blocks.w)
            complete, wxx, wx, w = (x[both] if x.ndim else x for x in sums)
            opened = tuple(x[both] if x.ndim else x for x in blocks.open)
            blocks = Blocks(complete, wxx, wx, w, blocks.seconds, opened)
        self.sequence = Sequence(
            rows=replace(
                rows,
                labels=rows.labels[both],
                against=rows.against[both],
                aims_above=rows.aims_above[both],
                aims_below=rows.aims_below[both],
            ),
            stakes_above=seq.stakes_above[both],
            stakes_below=seq.stakes_below[both],
            above=seq.above[both],
            below=seq.below[both],
            blocks=blocks,
        )
        self._recent = self._recent[:, going]

    def _rates(self) -> Array:
        of, bad = self._recent
        if not of.any():
            return FIRST_RATES
        rate = (bad + _GUESS_RATE * _GUESS_OF) / (of + _GUESS_OF)
        return self._rows(rate)[None, :]

    def _rows(self, values: Array) -> Array:
        return np.concatenate([values] * self._times)


class Bursts:
    """What multiplies the arms' shares, look by look."""

    def __init__(self, scenario: Scenario, seconds: float, runs: int, rng: np.random.Generator):
        self._scenario = scenario
        self._rng = rng
        self._memory = math.exp(-seconds / scenario.burst_lasts)
        self._alone = rng.normal(size=(2, runs))
        self._shared = rng.normal(size=runs)

    def step(self) -> Array:
        """The next look's: one row for the candidate, one for the baseline."""
        s, shared = self._scenario.burst, self._scenario.shared_burst
        if not s and not shared:
            return np.ones_like(self._alone)
        fresh = math.sqrt(1 - self._memory**2)
        self._alone = self._memory * self._alone + fresh * self._rng.normal(size=self._alone.shape)
        again = self._rng.normal(size=self._shared.shape)
        self._shared = self._memory * self._shared + fresh * again
        burst: Array = np.exp(s * self._alone - s * s / 2)
        return np.asarray(burst * np.exp(shared * self._shared - shared * shared / 2))

    def keep(self, going: Mask) -> None:
        """Drops the runs that have ended."""
        self._alone, self._shared = self._alone[:, going], self._shared[going]


def simulate(template: Template, scenario: Scenario, runs: int, seed: int = 0) -> Simulated:
    """Lets `runs` runs of the template meet the scenario; the same seed gives the same runs."""
    rng = np.random.default_rng(seed)
    allowed = template.inconclusive_after / SECOND
    every = max(template.interval / SECOND, allowed / MAX_LOOKS)
    required = [
        metric
        for metric in template.metrics
        if metric.required and metric.kind is not Kind.PERF_REGRESSION
    ]
    many = [ManyRuns(metric, truth(metric, scenario), runs) for metric in required]
    bursts = Bursts(scenario, every, runs, rng)
    ends = _Ends(runs)
    for look in range(1, math.floor(allowed / every) + 1):
        going = len(ends.going)
        total = rng.poisson(scenario.rate * every, going)
        n_c = rng.binomial(total, scenario.weight).astype(float)
        shocks = bursts.step()
        harmed = _drawn(rng, n_c, scenario.candidate_error * shocks[0])
        failed, passed = np.zeros(going, bool), np.ones(going, bool)
        for each in many:
            each.look(rng, n_c, total - n_c, shocks, every)
            fails = each.failed(template.alpha_of(each.metric))
            ends.blame(each.metric.name, fails & ~failed)
            failed |= fails
            passed &= each.passed(template.alpha)
        keep = ends.note(look * every, n_c, harmed, failed, passed & ~failed)
        if keep is not None:
            bursts.keep(keep)
            for each in many:
                each.keep(keep)
        if not len(ends.going):
            break
    return ends.told(every)


class _Ends:
    """When and how the runs ended."""

    def __init__(self, runs: int) -> None:
        self.going = np.arange(runs)
        self._sums = np.zeros((2, runs))
        self._failed = np.full(runs, np.nan)
        self._passed = np.full(runs, np.nan)
        self._blamed: dict[str, int] = {}

    def blame(self, name: str, fails: Mask) -> None:
        self._blamed[name] = self._blamed.get(name, 0) + int(fails.sum())

    def note(
        self, seconds: float, n_c: Array, harmed: Array, failed: Mask, passed: Mask
    ) -> Mask | None:
        """Notes a look; returns which go on, None when all do."""
        self._sums[:, self.going] += (n_c, harmed)
        self._failed[self.going[failed]] = seconds
        self._passed[self.going[passed]] = seconds
        going = ~(failed | passed)
        if going.all():
            return None
        self.going = self.going[going]
        return np.asarray(going)

    def told(self, every: float) -> Simulated:
        runs = len(self._failed)
        failed, passed = np.isfinite(self._failed), np.isfinite(self._passed)
        return Simulated(
            runs=runs,
            look_every=round(every, 3),
            failed=float(failed.mean()),
            successful=float(passed.mean()),
            inconclusive=len(self.going) / runs,
            failed_by={name: count / runs for name, count in self._blamed.items()},
            seconds_to_fail=_middle(self._failed[failed]),
            candidate_requests_to_fail=_middle(self._sums[0][failed]),
            harmed_until_failed=_middle(self._sums[1][failed]),
            seconds_to_succeed=_middle(self._passed[passed]),
        )


def _middle(values: Array) -> tuple[float, float] | None:
    if not len(values):
        return None
    half, most = np.quantile(values, (0.5, 0.9))
    return round(float(half), 1), round(float(most), 1)


def _drawn(rng: np.random.Generator, of: Array, share: Array) -> Array:
    return np.asarray(rng.binomial(of.astype(int), np.clip(share, 0, 1)), dtype=np.float64)
