"""A version's whole life, and what its golden examples said on each server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from control_plane import wiring
from control_plane.audit.models import AuditEvent
from control_plane.console.rights import visible
from control_plane.domain.registry.golden import DEFAULT_TOLERANCE
from control_plane.endpoints.models import Placement, RevisionVersion
from control_plane.ports.repository import ArtifactDamagedError, ArtifactMissingError
from control_plane.registry.contents import golden_examples
from control_plane.registry.models import ModelVersion

MOST = 50

_STATES = {
    "version.create": "validating",
    "version.fetch": "validating",
    "version.ready": "ready",
    "version.rejected": "rejected",
    "version.archive": "archived",
    "version.unarchive": "validating",
}
"""What was done -> the state that it led to."""


@dataclass(frozen=True)
class Step:
    """A state, since when, by whom and why."""

    state: str
    at: datetime
    actor: str
    reason: str


@dataclass(frozen=True)
class GoldenResult:
    """What a server's last run of the examples came to."""

    server: str
    endpoint: str
    passed: bool
    words: str
    at: datetime | None


@dataclass(frozen=True)
class Golden:
    """The golden examples of a version, and how near an answer has to come."""

    count: int
    tolerances: tuple[float, ...]
    outputs: tuple[str, ...]

    @property
    def tolerance(self) -> str:
        """One figure, or the smallest to the largest."""
        return " to ".join(
            f"{value:g}" for value in sorted({*self.tolerances[:1], *self.tolerances[-1:]})
        )


def life_of(version: ModelVersion) -> list[Step]:
    """The states, newest first; the record keeps them, whoever changed the version and however."""
    events = AuditEvent.objects.filter(
        object_type="version", object_id=str(version.pk), action__in=_STATES
    )
    return [
        Step(_state(event), event.at, event.actor, event.reason)
        for event in events.order_by("-id")[:MOST]
    ]


def golden_of(version: ModelVersion) -> Golden | None:
    """How many examples there are and how near is near enough; None: none, or they are away."""
    if version.golden_id is None:
        return None
    try:
        examples = golden_examples(version, wiring.artifact_store())
    except (ArtifactMissingError, ArtifactDamagedError, OSError, ValueError):
        return None
    return Golden(
        count=len(examples),
        tolerances=tuple(sorted({float(e.get("tolerance", DEFAULT_TOLERANCE)) for e in examples})),
        outputs=tuple(sorted({name for e in examples for name in e.get("outputs", {})})),
    )


def golden_results(user: Any, version: ModelVersion) -> list[GoldenResult]:
    """The last result on each server, as far as placements tell.

    Examples are run whenever a server prepares a revision: one that has the model ready passed
    them, and one that failed says with what.
    """
    uses = RevisionVersion.objects.filter(version=version).select_related("revision")
    by_endpoint: dict[Any, list[tuple[int, str]]] = {}
    for use in uses:
        found = by_endpoint.setdefault(use.revision.endpoint_id, [])
        found.append((use.revision.generation, use.physical))
    rows = Placement.objects.filter(endpoint__in=by_endpoint).select_related("server", "endpoint")
    results: dict[str, GoldenResult] = {}
    for placement in visible(user, rows).order_by("server__name", "endpoint__name"):
        result = _result(placement, by_endpoint[placement.endpoint_id])
        if result and not (result.server in results and results[result.server].passed is False):
            results[result.server] = result
    return list(results.values())


def _result(placement: Placement, uses: Sequence[tuple[int, str]]) -> GoldenResult | None:
    server, endpoint = placement.server.name, placement.endpoint.name
    failed = [physical for generation, physical in uses if generation == placement.failed]
    if failed and any(physical in placement.failure for physical in failed):
        return GoldenResult(server, endpoint, False, placement.failure, placement.failed_at)
    if any(physical in placement.ready_models for physical in _physical(uses)):
        return GoldenResult(server, endpoint, True, "passed", placement.observed_at)
    return None


def _physical(uses: Iterable[tuple[int, str]]) -> set[str]:
    return {physical for _, physical in uses}


def _state(event: AuditEvent) -> str:
    after = event.after if isinstance(event.after, dict) else {}
    if event.action == "version.create" and after.get("source"):
        return "uploading"  # a worker fetches its file first
    return _STATES[event.action]
