"""What served an endpoint at a time, also where the endpoint is gone or is another one by now.

A revision serves from the moment that the first router was switched to it (`switched_from`) until
every server that can be reached has the next one (that one's `served_from`). So while a change is
on its way there are two, and where it got stuck half-way as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from control_plane.domain.violations import InvalidInputError, NotFoundError, Violation
from control_plane.endpoints.models import Endpoint, RetiredName, RetiredRevision, Revision

SHOWN_OF_ARMS = ("name", "model", "version", "pipeline", "revision", "weight", "primary")

CLOCKS_DIFFER = timedelta(minutes=1)
"""How far ahead a caller's clock may be when it asks for what serves now."""


def with_end(rows: QuerySet[Revision]) -> QuerySet[Any]:
    """Revisions with `began` and `served_until`; what serves, or never did, has no end."""
    later = Revision.objects.filter(
        endpoint=OuterRef("endpoint"), number__gt=OuterRef("number"), served_from__isnull=False
    ).order_by("number")
    return rows.annotate(
        began=Coalesce("switched_from", "served_from"),
        served_until=Subquery(later.values("served_from")[:1]),
    )


def served_at(
    name: str, moment: datetime, now: datetime
) -> Sequence[Revision] | Sequence[RetiredRevision]:
    """The revisions that served the endpoint of that name at that time, newest first.

    None is an answer too: before the first policy served, and between an endpoint's end and the
    next one of its name. Two mean that a change was on its way.

    Raises:
        InvalidInputError: the time has not come yet.
        NotFoundError: there is no such endpoint, and never was.
    """
    if moment > now + CLOCKS_DIFFER:
        detail = f"{moment.isoformat()} lies in the future: nobody knows what will serve then"
        raise InvalidInputError([Violation("/at", "future", detail)])
    gone = RetiredRevision.objects.filter(endpoint_name=name)
    present = Revision.objects.filter(endpoint__name=name)
    if not (Endpoint.objects.filter(name=name).exists() or _was(name)):
        raise NotFoundError(f"there is no endpoint named {name!r}, and there never was")
    found = with_end(present).filter(began__lte=moment).order_by("-number")
    serving = list(found.filter(Q(served_until=None) | Q(served_until__gt=moment)))
    if serving:
        return serving
    then: QuerySet[Any] = gone.annotate(began=Coalesce("switched_from", "served_from"))
    return list(then.filter(began__lte=moment, served_until__gt=moment).order_by("-number"))


def keep_history(endpoint: Endpoint, now: datetime) -> None:
    """Keeps what the endpoint served, by its name; call it in the transaction that removes it."""
    served = with_end(endpoint.revisions.all()).filter(began__isnull=False)
    RetiredRevision.objects.bulk_create(
        RetiredRevision(
            endpoint_name=endpoint.name,
            endpoint_id=endpoint.id,
            number=revision.number,
            generation=revision.generation,
            policy=revision.policy,
            arms=arms_of(revision),
            digest=revision.digest,
            diff=revision.diff,
            error=revision.error,
            restores=revision.restores,
            created_at=revision.created_at,
            created_by=revision.created_by,
            reason=revision.reason,
            approved_by=revision.approved_by,
            switched_from=revision.switched_from,
            served_from=revision.served_from,
            served_until=revision.served_until or now,
        )
        for revision in served.iterator(chunk_size=100)
    )


def arms_of(revision: Revision | RetiredRevision) -> list[dict[str, object]]:
    """The arms with the physical models behind them; without these where it was not compiled."""
    if isinstance(revision, RetiredRevision):
        # Those of before there were profiles that people add, or pipelines, say none.
        return [
            {"profile_revision": None, "pipeline": None, "revision": None, **arm}
            for arm in revision.arms
        ]
    plan = revision.plan or {}
    physical = {arm["name"]: arm["physical"] for arm in plan.get("arms", [])}
    profiles = plan.get("profiles", {})
    return [
        {key: arm.get(key) for key in SHOWN_OF_ARMS}
        | {"physical": physical.get(arm["name"])}
        | {"profile_revision": profiles.get(physical.get(arm["name"]))}
        for arm in revision.policy.get("arms", [])
    ]


def _was(name: str) -> bool:
    return RetiredName.objects.filter(name=name).exists()
