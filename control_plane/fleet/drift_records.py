"""What was changed by hand on servers, written down: one record from its being seen to its end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from control_plane.audit.services import record
from control_plane.domain.planning.drift import Drift
from control_plane.fleet.models import DriftFinding, Server

RECENT = timedelta(hours=24)
"""How long people are shown what was put right."""

KEPT = timedelta(days=30)

SAME_AGAIN = timedelta(minutes=20)
"""What was put right no longer ago, and is seen again, is one story: somebody keeps doing it."""


def recent_drift(now: datetime) -> QuerySet[DriftFinding]:
    """What is not put right, and what was lately; the newest first."""
    lately = Q(put_right_at=None) | Q(seen_at__gte=now - RECENT)
    return DriftFinding.objects.filter(lately).select_related("server").order_by("-seen_at")


def drift_by_endpoint(now: datetime) -> dict[str, list[DriftFinding]]:
    """The same by the endpoints concerned."""
    found: dict[str, list[DriftFinding]] = defaultdict(list)
    for finding in recent_drift(now):
        for name in finding.endpoints:
            found[name].append(finding)
    return found


def drift_of(endpoint: str, now: datetime) -> list[DriftFinding]:
    """The same of one endpoint."""
    return list(recent_drift(now).filter(endpoints__contains=[endpoint]))


def note_drift(
    *, server: str, present: Sequence[Drift] | None, done: Iterable[Drift], now: datetime
) -> None:
    """Writes down what a node found on its server.

    Args:
        present: what is not put right at this moment; None: it has not looked.
        done: what it put right since it last said so.
    """
    with transaction.atomic():
        row = Server.objects.select_for_update().filter(name=server).first()
        if row is None:
            return
        stands = {(one.kind, one.subject): one for one in row.drift.filter(put_right_at=None)}
        over = dict(stands)
        for drift in (*done, *(present or ())):
            key = (str(drift.kind), drift.subject)
            over.pop(key, None)
            finding = stands.get(key) or _lately(row, drift, now)
            stands[key] = _go_on(finding, drift, now) if finding else _begin(row, drift, now)
        # Somebody took back what they did, or it went with what it was about.
        for finding in over.values() if present is not None else ():
            finding.put_right_at, finding.problem = now, ""
            finding.save(update_fields=["put_right_at", "problem"])
        row.drift.filter(put_right_at__lt=now - KEPT).delete()


def _lately(server: Server, drift: Drift, now: datetime) -> DriftFinding | None:
    """The same, put right a short while ago: the newest."""
    same = server.drift.filter(kind=drift.kind, subject=drift.subject, detail=drift.detail)
    return same.filter(put_right_at__gte=now - SAME_AGAIN).order_by("-put_right_at").first()


def _begin(server: Server, drift: Drift, now: datetime) -> DriftFinding:
    finding = DriftFinding.objects.create(
        server=server,
        kind=str(drift.kind),
        subject=drift.subject,
        endpoints=list(drift.endpoints),
        detail=drift.detail,
        problem=drift.problem,
        seen_at=now,
        put_right_at=now if drift.put_right else None,
    )
    record(
        actor=f"node {server.name}",
        action="server.drift",
        object_type="server",
        object_id=server.id,
        object_name=server.name,
        after=drift_document(finding),
        reason=f"{drift.subject}: {drift.detail}",
    )
    return finding


def _go_on(finding: DriftFinding, drift: Drift, now: datetime) -> DriftFinding:
    before = (finding.detail, finding.problem, finding.put_right_at)
    finding.detail, finding.problem = drift.detail, "" if drift.put_right else drift.problem
    finding.put_right_at = now if drift.put_right else None
    if (finding.detail, finding.problem, finding.put_right_at) != before:
        finding.save(update_fields=["detail", "problem", "put_right_at"])
    return finding


def drift_document(finding: DriftFinding) -> dict[str, Any]:
    """A finding as outsiders are told it."""
    return {
        "kind": finding.kind,
        "subject": finding.subject,
        "endpoints": finding.endpoints,
        "detail": finding.detail,
        "problem": finding.problem,
        "put_right": finding.put_right_at is not None,
    }
