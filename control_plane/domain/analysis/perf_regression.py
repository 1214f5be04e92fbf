"""Whether a candidate is slower under load than what somebody accepted.

Two perf runs are two measurements, one each: there is no chance to bound, and nothing to look at
again and again. What is compared is a figure at every level that both measured steadily: how many
times as long the candidate's p99 is, and how many times as much throughput the accepted run had.
The worst of these is judged, against a tolerance that has to be above what two runs of the same
model differ by.

Worked example: at 4 callers p99 went from 5 to 6 ms (1.2) and throughput from 1,000 to 980 (1.02),
at 8 callers from 9 to 9.1 ms (1.011) and from 1,500 to 1,490 (1.007): the worst is 1.2.
"""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.domain.analysis.counting import Seen
from control_plane.domain.analysis.evidence import PerfBeside
from control_plane.domain.analysis.looks import MetricLook, Phase, Scale, Tally
from control_plane.domain.analysis.metric import Metric


@dataclass(frozen=True)
class Compared:
    """What came of it: how many levels, how many of them too bad, and the worst ratio."""

    levels: int
    regressed: int
    worst: float

    @property
    def seen(self) -> Seen:
        """As it is kept between looks."""
        return Seen(of_c=self.levels, bad_c=self.regressed, sum_c=self.worst)


def compared(metric: Metric, beside: PerfBeside) -> Compared:
    """The levels that both runs have, judged by a metric's tolerance."""
    ratios = [max(level.slower, level.less) for level in beside.levels]
    allowed = 1 + metric.margin_relative
    return Compared(len(ratios), sum(ratio > allowed for ratio in ratios), max(ratios))


def judged_perf(metric: Metric, seen: Seen, words: str) -> MetricLook:
    """The metric at one look; decided as soon as there are two runs to compare."""
    allowed, worst = 1 + metric.margin_relative, seen.sum_c
    known = seen.of_c > 0
    failed = known and worst > allowed
    reason = "no perf run of the candidate is compared yet"
    if known:
        side = "more" if failed else "no more"
        reason = (
            f"{words}: at the worst of {seen.of_c} levels it is {worst:.3g} times as slow, "
            f"{side} than {allowed:.3g}"
        )
    phase = Phase.RUNNING if not known else Phase.FAILED if failed else Phase.SUCCESSFUL
    return MetricLook(
        name=metric.name,
        kind=metric.kind.value,
        phase=phase,
        reason=reason,
        required=metric.required,
        compare="accepted",
        better=metric.better.value,
        unit="perf run",
        scale=Scale.RATIO,
        candidate=Tally(seen.of_c, seen.bad_c, worst if known else None),
        baseline=Tally(seen.of_c, 0, 1.0 if known else None),
        estimate=worst if known else None,
        lower=worst if known else None,
        upper=worst if known else None,
        limit=allowed,
        statistic=1.0 if failed else 0.0,
        needed=1.0,
        for_passing=1.0 if known and not failed else 0.0,
        needed_for_passing=1.0,
    )
