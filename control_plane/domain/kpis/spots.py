"""Where the rules look: every model of an arm and of its steps, with its figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from control_plane.domain.kpis.finding_rules import opportunities
from control_plane.domain.kpis.opportunities import Opportunity, Servers, Spot, narrowest, ranked
from control_plane.domain.kpis.report import ArmReport, EndpointReport, Served, StepReport
from control_plane.domain.kpis.time_parts import Part


def findings(
    report: EndpointReport, served: Sequence[Served], servers: Servers
) -> list[Opportunity]:
    """What would help the endpoint, the highest ROI first.

    Args:
        served: what the report was made of, in its order.
    """
    return ranked(opportunities(spots(report, served), servers))


def spots(report: EndpointReport, served: Sequence[Served]) -> Iterator[Spot]:
    """The models that serve arms, and those of the steps of pipelines."""
    for arm, what in zip(report.arms, served, strict=False):  # arms of before have no setting
        if arm.model:
            yield _spot(report, arm, arm.time, what)
        steps = [
            _spot(report, arm, step.time, made, step)
            for step, made in zip(arm.steps, what.steps, strict=True)
            if step.model and made.visits != 0
        ]
        yield from narrowest(steps)


def _spot(
    report: EndpointReport,
    arm: ArmReport,
    time: Iterable[Part],
    what: Served,
    step: StepReport | None = None,
) -> Spot:
    one = step or arm
    if one.model is None:
        raise ValueError(f"nothing was counted of {what.physical}")
    return Spot(
        endpoint=report.endpoint,
        arm=arm,
        step=step.step if step else "",
        target=what.target,
        physical=what.physical,
        model=one.model,
        parts={part.name: part.us for part in time},
        setting=what.setting,
        version=what.version,
        overrides=what.overrides,
    )
