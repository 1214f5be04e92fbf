"""How often a version whose answers are as sure is rolled back by mistake.

    python -m perf.confidence_analysis [--runs 10000] [--looks 200] [--json FILE]

What `perf.analysis` does for other metrics, for the confidence of answers: A/A rollouts with a
margin of 0, looked at every second. The edges of quantiles are learned as a rollout learns them. A
burst multiplies the odds of all answers of an arm, so it moves every quantile at once. Beside the
metric at the least sure tenth stands the one that notices any shift: six tests that share alpha.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from scipy.special import ndtr

from control_plane.domain.analysis.any_shift import QUANTILES
from control_plane.domain.analysis.counting import REMEMBERED
from control_plane.domain.analysis.scenario import Scenario
from control_plane.domain.analysis.simulating import Bursts
from control_plane.domain.confidence import OVERFLOW, edge
from perf.analysis import ALPHAS, RATE, STREAMS, FalseRollbacks, Ours, Stream, show
from perf.canary_peers import PeekedTest

Array = npt.NDArray[np.float64]
Key = tuple[float, str]
"""A quantile, and on which side of it too many answers are."""

SURE = Scenario()
"""Half of the answers are surer than 90 %, a tenth less sure than 57 %."""

_SIDES = ("lower", "higher")


def _logits() -> Array:
    """The router's edges from the 2nd percentile of the answers to the 98th, in log odds."""
    at = np.array([edge(bucket) for bucket in range(OVERFLOW)])
    logits: Array = np.log(at / (1 - at))
    return logits[np.abs(logits - _middle()) < 2.05 * SURE.confidence_spread]


def _middle() -> float:
    return math.log(SURE.confidence / (1 - SURE.confidence))


def drawn_below(rng: np.random.Generator, n: Array, shock: Array) -> Array:
    """How many of an arm's answers are not surer than each edge, one row an edge."""
    from_middle = (_logits()[:, None] - _middle() - np.log(shock)) / SURE.confidence_spread
    share = ndtr(from_middle)
    below, left = np.zeros(share.shape), np.asarray(n, dtype=np.float64)
    above = np.ones(len(n))
    for row in reversed(range(len(share))):
        part = np.clip(share[row] / np.maximum(above, 1e-12), 0, 1)
        left = rng.binomial(left.astype(int), part).astype(float)
        below[row], above = left, share[row]
    return below


class Edges:
    """The edge nearest to each quantile of the baseline's latest answers, learned."""

    def __init__(self, runs: int) -> None:
        self._below = np.zeros((len(_logits()), runs))
        self._of = np.zeros(runs)

    def at(self, q: float) -> npt.NDArray[np.int64]:
        """The row of each run."""
        share = np.clip(self._below / np.maximum(self._of, 1), 1e-6, 1 - 1e-6)
        off = np.abs(np.log(share / (1 - share)) - math.log(q / (1 - q)))
        return np.asarray(off.argmin(axis=0))

    def learn(self, below: Array, of: Array) -> None:
        """Adds a look of the baseline."""
        self._below += below
        self._of += of
        keep = np.minimum(1.0, REMEMBERED / self._of)
        self._below, self._of = self._below * keep, self._of * keep


class Family:
    """Tests of which any may roll a version back; they share alpha alike."""

    def __init__(self, name: str, keys: list[Key], runs: int) -> None:
        self.name, self.keys = name, keys
        self._peeked = {
            (alpha, key): PeekedTest(alpha / len(keys), runs) for alpha in ALPHAS for key in keys
        }
        self._fired = {alpha: np.zeros(runs, bool) for alpha in ALPHAS}

    def peek(self, found: dict[Key, tuple[Array, Array, Array, Array]]) -> None:
        """A look of the fixed-sample tests beside it."""
        for (alpha, key), judge in self._peeked.items():
            self._fired[alpha] |= judge.look(*found[key])

    def told(self, tests: dict[Key, Ours], stream: Stream, runs: int) -> FalseRollbacks:
        """The shares that were rolled back."""
        by_request = np.max([tests[key].by_request for key in self.keys], axis=0)
        by_block = np.max([tests[key].by_block for key in self.keys], axis=0)
        enough = [math.log(len(self.keys) / alpha) for alpha in ALPHAS]
        return FalseRollbacks(
            kind=self.name,
            stream=stream.name,
            by_request=tuple(float((by_request >= least).mean()) for least in enough),
            by_block=tuple(float((by_block >= least).mean()) for least in enough),
            peeked=tuple(float(fired.mean()) for fired in self._fired.values()),
            runs=runs,
        )


def rolled_back(stream: Stream, runs: int, count: int) -> list[FalseRollbacks]:
    """By the least sure tenth alone, and by any shift."""
    rng = np.random.default_rng(7)
    bursts = Bursts(stream.scenario(), 1.0, runs, rng)
    keys = [(q, side) for q in QUANTILES for side in _SIDES]
    tests = {key: Ours(runs, tens=False) for key in keys}
    families = [
        Family("confidence, the least sure tenth", keys[:1], runs),
        Family("confidence, any shift", keys, runs),
    ]
    edges, column = Edges(runs), np.arange(runs)
    for number in range(count):
        shocks = bursts.step()
        n_c: Array = rng.binomial(RATE, stream.weight, runs).astype(float)
        n_b = RATE - n_c
        below_c, below_b = (drawn_below(rng, n, s) for n, s in zip((n_c, n_b), shocks, strict=True))
        if number:  # the first look only teaches the edges
            found = {}
            for q, side in keys:
                at = edges.at(q)
                f_c, f_b = below_c[at, column], below_b[at, column]
                if side == "higher":
                    f_c, f_b = n_c - f_c, n_b - f_b
                found[q, side] = n_c, f_c, n_b, f_b
                tests[q, side].look(*found[q, side])
            for family in families:
                family.peek(found)
        edges.learn(below_b, n_b)
    return [family.told(tests, stream, runs) for family in families]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--looks", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    began = time.monotonic()
    alike = [
        each for stream in STREAMS for each in rolled_back(stream, options.runs, options.looks)
    ]
    show(alike, [])
    Console().print(f"{time.monotonic() - began:.0f} s")
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in alike], indent=2))


if __name__ == "__main__":
    main()
