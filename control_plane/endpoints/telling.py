"""Telling of an endpoint's condition when it changes: nobody does that by hand."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q

from control_plane.domain.planning.reconcile import Decision, Status
from control_plane.endpoints.models import Endpoint
from control_plane.webhooks.outbox import tell


def tell_condition(endpoint: Endpoint, decision: Decision, now: datetime) -> None:
    """Tells that the newest revision is healthy, degraded or failed, once until that changes.

    On its way through `Progressing` nothing is told, so a node that is asked once more makes no
    noise. Call it in the transaction that writes the decision.
    """
    condition = _condition(decision)
    if endpoint.deleted_at or not condition:
        return
    generation = endpoint.generation
    if (endpoint.told, endpoint.told_generation) == (condition, generation):
        return
    other = ~Q(told=condition) | ~Q(told_generation=generation)
    rows = Endpoint.objects.filter(other, id=endpoint.id, generation=generation)
    if not rows.update(told=condition, told_generation=generation):
        return
    number = endpoint.revisions.filter(generation=generation).values_list("number", flat=True)
    subject = {"endpoint": endpoint.name, "revision": number.first(), "generation": generation}
    tell(f"revision.{condition}", at=now, subject=subject, reason=decision.reason)


def _condition(decision: Decision) -> str:
    if decision.status == Status.HEALTHY:
        return "healthy"
    if decision.status != Status.DEGRADED:
        return ""
    return "failed" if decision.refused else "degraded"
