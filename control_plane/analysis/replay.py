"""Trying a template on what an endpoint's arms did: a backtest on the scrapes of the last day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from control_plane.analysis.measuring import arm_evidence
from control_plane.analysis.simulation import wanted_template
from control_plane.domain.analysis.evidence import ArmEvidence, Evidence
from control_plane.domain.analysis.looking import begin, look
from control_plane.domain.analysis.looks import Look
from control_plane.domain.analysis.template import Template, to_document
from control_plane.domain.violations import InvalidInputError, Violation
from control_plane.telemetry.evidence import ArmGrowth
from control_plane.telemetry.history import Bin
from control_plane.telemetry.store import RETENTION_OF, TelemetryStore

MAX_LOOKS = 600
"""Looks times metrics; over a longer span it is looked more seldom."""

LONGEST = RETENTION_OF["arm_steps"]


@dataclass(frozen=True)
class Replayed:
    """What a run would have found; `ended_at` None: it would still be running.

    `look` is the last look that it would have taken.
    """

    template: dict[str, Any]
    look_every: float
    looks: int
    phase: str
    reason: str
    ended_at: datetime | None
    look: Mapping[str, Any]


def replay(
    *,
    endpoint: str,
    candidate: str,
    baseline: str,
    name: str,
    document: object,
    since: datetime,
    until: datetime,
    store: TelemetryStore,
) -> Replayed:
    """Takes every look that a run would have taken from `since` on; nothing is written.

    Args:
        candidate, baseline: physical models.

    Raises:
        InvalidInputError: there is no such template, the span is none or too long, or neither arm
            did anything within it.
    """
    template = wanted_template(name, document)
    _check_span(since, until)
    step = timedelta(microseconds=template.interval)
    step = max(step, (until - since) * len(template.metrics) / MAX_LOOKS)
    bins = store.history(endpoint, [candidate, baseline], since, until, step)
    if not any(candidate in one.arms or candidate in one.feedback for one in bins):
        detail = f"nothing was counted of {candidate!r} within that time"
        raise InvalidInputError([Violation("/candidate", "not_found", detail)])
    found, at = _looked(template, bins, candidate, baseline, since)
    return Replayed(
        template=to_document(template),
        look_every=round(step.total_seconds(), 3),
        looks=found.number,
        phase=found.phase.value,
        reason=found.reason,
        ended_at=at if found.phase.ended else None,
        look=found.to_document(),
    )


def _looked(
    template: Template,
    bins: list[Bin],
    candidate: str,
    baseline: str,
    since: datetime,
) -> tuple[Look, datetime]:
    state, before = begin(template, since), since
    for each in bins:
        # What was silent in between belongs to the bin: blocks are as long as they were.
        seconds = (each.ends - before).total_seconds()
        evidence = Evidence(seconds, _arm(each, candidate), _arm(each, baseline))
        state, found = look(template, state, evidence, each.ends)
        before = each.ends
        if found.phase.ended:
            break
    return found, before


def _arm(each: Bin, arm: str) -> ArmEvidence:
    return arm_evidence(each.arms.get(arm, ArmGrowth()), each.feedback.get(arm, {}))


def _check_span(since: datetime, until: datetime) -> None:
    if not timedelta(0) < until - since <= LONGEST:
        hours = LONGEST.total_seconds() / 3600
        detail = f"since lies before until, at most {hours:g} hours: scrapes are kept so long"
        raise InvalidInputError([Violation("/since", "range", detail)])
