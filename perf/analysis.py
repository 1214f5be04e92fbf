"""How often a good version is rolled back by mistake, and how soon a bad one is caught.

    python -m perf.analysis [--runs 10000] [--looks 200] [--detection-runs 500] [--json FILE]

Simulated rollouts, looked at after every batch, judged by the code that judges real ones. First
A/A: both arms alike, at the very edge of what is still good (margin 0; for latencies a candidate
exactly as much slower as it may be), on independent requests, on bursts that both arms share and
on bursts that each arm has to itself. Beside it a fixed-sample test that is peeked at the same way.
Then the candidate's requests until a regression is caught, beside the two-sample SPRT that knows
what it looks for, Kayenta's judge and Argo's threshold (`perf.canary_peers`).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from scipy.special import stdtr

from control_plane.domain.analysis.counting import FIRST_RATES, REMEMBERED
from control_plane.domain.analysis.scenario import Scenario, share_over
from control_plane.domain.analysis.sequence import Rows, Sequence, start
from control_plane.domain.analysis.simulating import Bursts
from control_plane.domain.analysis.two_rates import Counts, log_mean
from control_plane.domain.latency import edge_us
from perf.canary_peers import Judge, Kayenta, PeekedTest, Sprt, Threshold

Array = npt.NDArray[np.float64]

ALPHAS = (0.05, 0.01)
RATE = 200
"""Requests in a look of a second, over both arms."""

BLOCK = 10.0
TAIL = range(96, 124)
"""Buckets from about the 70th percentile of the latencies below to beyond the 99.9th."""

MEDIAN_US, SPREAD = 5000.0, 0.4


@dataclass(frozen=True)
class Stream:
    """How the arms' requests hang together; the candidate's part of them is `weight`."""

    name: str
    burst: float = 0.0
    shared_burst: float = 0.0
    weight: float = 0.2

    def scenario(self) -> Scenario:
        # A burst forgets a fifth of itself every second: correlated over about five.
        lasts = -1 / math.log(0.8)
        return Scenario(burst=self.burst, shared_burst=self.shared_burst, burst_lasts=lasts)


STREAMS = (
    Stream("independent"),
    Stream("bursts of both arms", shared_burst=0.5),
    Stream("bursts of each arm", burst=0.5),
)


@dataclass(frozen=True)
class Kind:
    """A metric's type: the share of bad ones on both arms, and how many of the requests count.

    A margin above 0 makes equal arms good by that much.
    """

    name: str
    rate: float
    heard: float = 1.0
    latency: bool = False
    margin: float = 0.0


KINDS = (
    Kind("error rate, 1 %", 0.01),
    Kind("the same, default margin", 0.01, margin=0.005),
    Kind("labels, 10 % wrong", 0.1, heard=0.2),
    Kind("over the SLA, 3 %", 0.03),
    Kind("p99 of latency", 0.01, latency=True),
)


@dataclass(frozen=True)
class FalseRollbacks:
    """Shares of A/A rollouts that were rolled back, for each of `ALPHAS`."""

    kind: str
    stream: str
    by_request: tuple[float, ...]
    by_block: tuple[float, ...]
    peeked: tuple[float, ...]
    runs: int

    def allowed(self, alpha: float) -> float:
        """Alpha and three standard errors of a share over so many runs."""
        return alpha + 3 * math.sqrt(alpha * (1 - alpha) / self.runs)


Look = tuple[Array, Array, Array, Array]


def looks(
    kind: Kind, stream: Stream, p_c: float, count: int, runs: int, seed: int
) -> Iterator[Look]:
    """The arms' (of, bad, of, bad), look by look; `p_c` is the candidate's share of bad ones."""
    rng = np.random.default_rng(seed)
    bursts = Bursts(stream.scenario(), 1.0, runs, rng)
    learned = Thresholds(runs) if kind.latency else None
    total = round(RATE * kind.heard)
    for _ in range(count):
        shocks = bursts.step()
        n_c: Array = rng.binomial(total, stream.weight, runs).astype(float)
        arms = ((n_c, shocks[0]), (total - n_c, shocks[1]))
        if learned is None:
            c, b = (
                rng.binomial(n.astype(int), np.minimum(p * shock, 1)).astype(float)
                for (n, shock), p in zip(arms, (p_c, kind.rate), strict=True)
            )
        else:
            c, b = learned.step(*(drawn_tail(rng, n, shock) for n, shock in arms))
        yield n_c, c, total - n_c, b


def drawn_tail(rng: np.random.Generator, n: Array, shock: Array) -> Array:
    """How many went over each of the edges of `TAIL`; a burst makes more of them slow."""
    over, left = np.zeros((len(TAIL), len(n))), np.asarray(n, dtype=np.float64)
    before = np.ones(len(n))
    for row, bucket in enumerate(TAIL):
        share = np.minimum(share_over(edge_us(bucket), MEDIAN_US, SPREAD) * shock, 1)
        left = rng.binomial(left.astype(int), np.minimum(share / before, 1)).astype(float)
        over[row], before = left, np.maximum(share, 1e-12)
    return over


class Thresholds:
    """The edge nearest to the baseline's latest p99, learned as a rollout learns it.

    The candidate's latencies are drawn one bucket shorter than they are: what goes over an edge
    here is what goes over the next one in truth, a candidate that is exactly 5 % slower.
    """

    def __init__(self, runs: int) -> None:
        self._over = np.zeros((len(TAIL), runs))
        self._of = 0.0

    def step(self, over_c: Array, over_b: Array) -> tuple[Array, Array]:
        runs = over_b.shape[1]
        share = np.maximum(self._over / max(self._of, 1), 1e-9)
        at = np.abs(np.log(share) - math.log(0.01)).argmin(axis=0)
        self._over += over_b
        self._of += RATE
        keep = min(1.0, REMEMBERED / self._of)
        self._over, self._of = self._over * keep, self._of * keep
        column = np.arange(runs)
        return over_c[at, column], over_b[at, column]


def side_by_side(runs: int, margin: float, *, tens: bool) -> Sequence:
    """As many sequences as rollouts, each against "at most `margin` worse"."""
    same, nothing = np.full(runs, margin), np.full(runs, np.nan)
    return start(Rows(same, same, 0, 0, False, nothing, nothing, BLOCK, tens))


class Ours:
    """Our judge in both units at once: they share their stakes."""

    def __init__(self, runs: int, margin: float = 0.0, *, tens: bool = True) -> None:
        self._sequence = side_by_side(runs, margin, tens=tens)
        self._recent = np.zeros((2, runs))
        self.by_request = np.zeros(runs)

    @property
    def by_block(self) -> Array:
        """The most evidence that there was, with blocks as the unit."""
        return self._sequence.above

    def look(self, n_c: Array, f_c: Array, n_b: Array, f_b: Array) -> None:
        of, bad = self._recent
        rates = ((bad + 0.5) / (of + 50))[None, :] if of.any() else FIRST_RATES
        self._sequence = self._sequence.after(Counts(n_c, f_c, n_b, f_b), rates, 1.0)
        self.by_request = np.maximum(self.by_request, log_mean(self._sequence.stakes_above))
        self._recent += (n_b, f_b)
        self._recent *= np.minimum(1, REMEMBERED / np.maximum(self._recent[0], 1))


def false_rollbacks(kind: Kind, stream: Stream, runs: int, count: int) -> FalseRollbacks:
    """A/A at the edge: how many of so many rollouts are rolled back within so many looks."""
    ours = Ours(runs, kind.margin)
    peeked = [PeekedTest(alpha, runs) for alpha in ALPHAS]
    fired = np.zeros((len(ALPHAS), runs), bool)
    for at, found in enumerate(looks(kind, stream, kind.rate, count, runs, seed=1)):
        if at == 0 and kind.latency:
            continue  # the first look only teaches the threshold
        ours.look(*found)
        for row, judge in enumerate(peeked):
            fired[row] |= judge.look(*found)
    enough = [-math.log(alpha) for alpha in ALPHAS]
    return FalseRollbacks(
        kind=kind.name,
        stream=stream.name,
        by_request=tuple(float((ours.by_request >= least).mean()) for least in enough),
        by_block=tuple(float((ours.by_block >= least).mean()) for least in enough),
        peeked=tuple(float(share.mean()) for share in fired),
        runs=runs,
    )


def figures_rolled_back(stream: Stream, runs: int, count: int) -> FalseRollbacks:
    """The same of figures that are read block by block, and of a t-test of those, peeked at.

    A figure is the mean of ten seconds, each of which is lognormal, times the bursts. Both arms are
    alike and the margin is 0: which is the worse one is open in every block.
    """
    rng = np.random.default_rng(4)
    bursts = Bursts(stream.scenario(), 1.0, runs, rng)
    half, nothing = np.full(runs, 0.5), np.full(runs, np.nan)
    sequence = start(Rows(half, half, 0, 0, True, nothing, nothing))
    sums, peeked = np.zeros((3, runs)), np.zeros((len(ALPHAS), runs), bool)
    one, none = np.ones(runs), np.zeros(runs)
    for _ in range(count):
        seconds = np.array([bursts.step() for _ in range(round(BLOCK))])
        seconds *= np.exp(SPREAD * rng.normal(size=seconds.shape))
        candidate, baseline = seconds.mean(axis=0)
        over = (candidate > baseline).astype(float)
        sequence = sequence.after(Counts(one, over, none, none), np.zeros(1))
        apart = np.log(candidate / baseline)
        sums += (one, apart, apart**2)
        n, total, squares = sums
        spread = np.sqrt(np.maximum(squares - total**2 / n, 1e-12) / np.maximum(n - 1, 1))
        chance = 1 - stdtr(np.maximum(n - 1, 1), total / np.sqrt(n) / spread)
        for row, alpha in enumerate(ALPHAS):
            peeked[row] |= (chance < alpha) & (n > 1)
    rolled = tuple(float((sequence.above >= -math.log(alpha)).mean()) for alpha in ALPHAS)
    looked = tuple(float(share.mean()) for share in peeked)
    name = "a figure, block by block"
    return FalseRollbacks(name, stream.name, (), rolled, looked, runs)


@dataclass(frozen=True)
class Detection:
    """The candidate's requests until a judge rolls back (median), the share of rollouts in which
    it does within the time, and of A/A rollouts in which it does so too."""

    regression: str
    judge: str
    requests: float | None
    caught: float
    false: float


REGRESSIONS = (
    ("errors 1 % -> 2 %", Kind("errors", 0.01), 0.02),
    ("errors 1 % -> 5 %", Kind("errors", 0.01), 0.05),
    # p99 + 20 % beyond a margin of 5 %: what goes over 1.05 times the threshold then.
    (
        "p99 + 20 %, margin 5 %",
        Kind("p99", 0.01),
        share_over(math.exp(2.3263 * SPREAD) * 1.05, 1.2, SPREAD),
    ),
)


def detection(name: str, kind: Kind, p_c: float, runs: int, count: int) -> list[Detection]:
    """All judges on the same rollouts, at a weight of 5 %, and on as many A/A."""
    stream = Stream("independent", weight=0.05)
    found: dict[str, list[tuple[float | None, float]]] = {}
    for share in (p_c, kind.rate):
        peers: dict[str, Judge] = {
            "SPRT that knows the rates": Sprt(p_c, kind.rate, stream.weight, 0.05, runs),
            "Kayenta, points of 60 s": Kayenta(60, runs),
            "Argo's threshold as documented": Threshold(0.05, 60, 3, runs),
            "a threshold half way": Threshold((p_c + kind.rate) / 2, 60, 3, runs),
        }
        ours, enough = Ours(runs), -math.log(0.05)
        said = {name: np.full(runs, np.nan) for name in ("request", "block", *peers)}
        requests = np.zeros(runs)
        for each in looks(kind, stream, share, count, runs, seed=2):
            requests += each[0]
            ours.look(*each)
            now = {name: judge.look(*each) for name, judge in peers.items()}
            now |= {"request": ours.by_request >= enough, "block": ours.by_block >= enough}
            for judge, mask in now.items():
                new = mask & np.isnan(said[judge])
                said[judge][new] = requests[new]
        for judge, at in said.items():
            caught = np.isfinite(at)
            half = float(np.median(np.where(caught, at, np.inf)))
            outcome = (half if math.isfinite(half) else None, float(caught.mean()))
            found.setdefault(judge, []).append(outcome)
    return [
        Detection(name, judge, real[0], real[1], false[1]) for judge, (real, false) in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--looks", type=int, default=200)
    parser.add_argument("--detection-runs", type=int, default=500)
    parser.add_argument("--detection-looks", type=int, default=1200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    began = time.monotonic()
    alike = [
        false_rollbacks(kind, stream, options.runs, options.looks)
        for kind in KINDS
        for stream in STREAMS
    ]
    alike += [figures_rolled_back(stream, options.runs, options.looks) for stream in STREAMS]
    caught = [
        each
        for name, kind, p_c in REGRESSIONS
        for each in detection(name, kind, p_c, options.detection_runs, options.detection_looks)
    ]
    show(alike, caught)
    Console().print(f"{time.monotonic() - began:.0f} s")
    if options.json:
        figures: dict[str, Any] = {"false_rollbacks": [asdict(each) for each in alike]}
        figures["detection"] = [asdict(each) for each in caught]
        options.json.write_text(json.dumps(figures, indent=2))


def show(alike: list[FalseRollbacks], caught: list[Detection]) -> None:
    """Both tables; what is over alpha by more than three standard errors is red."""
    console = Console(width=140)
    table = Table(title="A/A rollouts rolled back, at alpha 0.05 and 0.01")
    for column in ("metric", "stream", "unit: request", "unit: block", "z-test, peeked at"):
        table.add_column(column)
    for each in alike:
        shares = (
            "  ".join(
                f"[red]{share:.4f}[/red]" if share > each.allowed(alpha) else f"{share:.4f}"
                for share, alpha in zip(figures, ALPHAS, strict=True)
            )
            for figures in (each.by_request or (0, 0), each.by_block, each.peeked)
        )
        table.add_row(each.kind, each.stream, *shares)
    console.print(table)
    table = Table(title="The candidate's requests until a regression is caught, weight 5 %")
    for column in ("regression", "judge", "median", "against the SPRT", "caught", "A/A false"):
        table.add_column(column)
    for one in caught:
        limit = next(
            d.requests for d in caught if d.regression == one.regression and "SPRT" in d.judge
        )
        ratio = f"{one.requests / limit:.2f}" if one.requests and limit else "-"
        middle = f"{one.requests:,.0f}" if one.requests else "-"
        table.add_row(
            one.regression, one.judge, middle, ratio, f"{one.caught:.1%}", f"{one.false:.1%}"
        )
    console.print(table)


if __name__ == "__main__":
    main()
