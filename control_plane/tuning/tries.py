"""Findings that are measured: two perf runs each, and what came of them beside the finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from control_plane.audit.services import record
from control_plane.domain.kpis.experiments import Measured, row_us
from control_plane.domain.kpis.opportunities import Experiment, Opportunity
from control_plane.domain.perf.states import OVER, PerfState
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    Violation,
)
from control_plane.fleet.models import Server
from control_plane.ports.clock import Clock
from control_plane.ports.queue import Queue
from control_plane.ports.repository import ArtifactStore
from control_plane.ports.serving import EndpointFacts
from control_plane.telemetry.store import TelemetryStore
from control_plane.tuning.models import FindingTry, PerfRun
from control_plane.tuning.results import levels_of, with_levels
from control_plane.tuning.services import start_perf_run

Place = tuple[str, str, str, str]
"""Where a finding was made: its code, arm, step and target."""


@dataclass(frozen=True)
class Tried:
    """How far a try is, and what it measured; `measured` None: not yet, or it could not be.

    `state` is that of both runs together: of one that is not over, else of one that failed.
    """

    row: FindingTry
    state: str
    reason: str
    measured: Measured | None

    @property
    def over(self) -> bool:
        return self.state in OVER


def start_try(
    *,
    endpoint: str,
    finding: Opportunity,
    server: str | None,
    actor: str,
    clock: Clock,
    queue: Queue,
    endpoints: EndpointFacts,
    store: ArtifactStore,
) -> FindingTry:
    """Asks for the two perf runs that measure a finding's change.

    Args:
        server: None takes the one that is marked as a lab, where it is one alone.

    Raises:
        ConflictError: nothing can measure it, it is being measured, or the server is not for this.
        InvalidInputError: no server is named and not one alone is a lab; or the runs cannot be.
    """
    if finding.experiment is None:
        raise ConflictError(f"no perf run can measure {finding.code}: {finding.estimate}")
    name = server or _only_lab()
    with transaction.atomic():
        # Locked: of two who ask at once, one measures.
        Server.objects.select_for_update().filter(name=name).first()
        same = _newest(endpoint, [place_of(finding)]).get(place_of(finding))
        if same is not None and _state(same)[0] not in OVER:
            raise ConflictError(
                f"it is being measured: perf runs {same.before_id} and {same.after_id}"
            )
        before, after = (
            start_perf_run(
                document={**document, "server": name},
                actor=actor,
                clock=clock,
                queue=queue,
                endpoints=endpoints,
                store=store,
                reason=f"{finding.code} of endpoint {endpoint}, {words}",
            )
            for document, words in _documents(finding.experiment, finding.change)
        )
        return _add(endpoint, finding, before, after, actor)


def tries_of(
    endpoint: str, findings: Iterable[Opportunity], store: TelemetryStore
) -> dict[Place, Tried]:
    """The newest try of each finding, with what it measured, in two queries whatever their number.

    A finding that has since become another change (three instances, then four) has none.
    """
    listed = list(findings)
    rows = _newest(endpoint, [place_of(one) for one in listed])
    wanted = {place_of(one): dict(one.overrides) for one in listed}
    same = {place: row for place, row in rows.items() if row.overrides == wanted[place]}
    runs = [run for row in same.values() for run in (row.before, row.after) if run is not None]
    with_levels(runs, store)
    return {place: _tried(row) for place, row in same.items()}


def get_try(endpoint: str, number: int) -> FindingTry:
    """That try of a finding of the endpoint.

    Raises:
        NotFoundError: there is none.
    """
    rows = FindingTry.objects.filter(endpoint=endpoint, pk=number)
    found = rows.select_related("before", "after").first()
    if found is None:
        raise NotFoundError(f"endpoint {endpoint} has no try {number} of a finding")
    return found


def tried(row: FindingTry, store: TelemetryStore) -> Tried:
    """How far one try is, with what it measured."""
    with_levels([run for run in (row.before, row.after) if run is not None], store)
    return _tried(row)


def place_of(finding: Opportunity) -> Place:
    """Where a finding was made: the key of `tries_of`."""
    return finding.code, finding.arm, finding.step, finding.target


def _documents(experiment: Experiment, change: str) -> Iterable[tuple[Mapping[str, Any], str]]:
    """The runs of an experiment, each with why it is made."""
    return ((experiment.before, "as it is"), (experiment.after, change))


def _add(
    endpoint: str, finding: Opportunity, before: PerfRun, after: PerfRun, actor: str
) -> FindingTry:
    made = FindingTry.objects.create(
        endpoint=endpoint,
        **dict(zip(("code", "arm", "step", "target"), place_of(finding), strict=True)),
        change=finding.change,
        overrides=dict(finding.overrides),
        server_name=before.server_name,
        before=before,
        after=after,
        asked_by=actor,
    )
    record(
        actor=actor,
        action="finding.try",
        object_type="finding_try",
        object_id=made.pk,
        object_name=endpoint,
        after={"try": made.pk, "code": finding.code, "runs": [before.pk, after.pk]},
        reason=finding.change,
    )
    return made


def _newest(endpoint: str, places: Iterable[Place]) -> Mapping[Place, FindingTry]:
    wanted = set(places)
    if not wanted:
        return {}
    rows = FindingTry.objects.filter(endpoint=endpoint, code__in={place[0] for place in wanted})
    newest = rows.order_by("code", "arm", "step", "target", "-id").distinct(
        "code", "arm", "step", "target"
    )
    found = {}
    for row in newest.select_related("before", "after").defer("before__plan", "after__plan"):
        place = (row.code, row.arm, row.step, row.target)
        if place in wanted:
            found[place] = row
    return found


def _tried(row: FindingTry) -> Tried:
    state, reason = _state(row)
    return Tried(row, state, reason, _measured(row) if state == PerfState.SUCCEEDED else None)


def _state(row: FindingTry) -> tuple[str, str]:
    runs = [run for run in (row.before, row.after) if run is not None]
    for run in sorted(runs, key=lambda one: one.over):  # what goes on says more than what ended
        if run.state != PerfState.SUCCEEDED:
            return run.state, run.reason
    if len(runs) < 2:
        return PerfState.FAILED, "one of its perf runs is gone"
    return PerfState.SUCCEEDED, "both were measured"


def _measured(row: FindingTry) -> Measured | None:
    before, after = (_row_us(run) for run in (row.before, row.after))
    return Measured(before, after) if before and after else None


def _row_us(run: PerfRun | None) -> float:
    levels = levels_of(run) if run is not None else []
    if run is None or not levels:
        return 0.0
    return row_us(levels[0].measurement.mean_us, run.asked.batch)


def _only_lab() -> str:
    labs = list(Server.objects.filter(lab=True).order_by("name").values_list("name", flat=True))
    if len(labs) == 1:
        return labs[0]
    if labs:
        detail = f"{', '.join(labs)} are labs: say which"
    else:
        detail = "no server is marked as a lab: nereid servers lab NAME on"
    raise InvalidInputError([Violation("/server", "required", detail)])
