"""What lower rooms ask: where does this version serve, and which endpoints need this server?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from control_plane.domain.registry.states import Place
from control_plane.endpoints.models import Placement, Revision, RevisionVersion


class RevisionPlaces:
    """`ports.serving.ServingPlaces` over the database.

    A version serves where the revision that serves uses it, and where a server's router still is
    on a revision that does; it is on its way where the present policy's revision uses it.
    """

    def of(self, version_ids: Iterable[UUID]) -> dict[UUID, list[Place]]:
        found: dict[UUID, dict[str, Place]] = {}
        rows = _uses(version_id__in=list(version_ids)).filter(
            Q(serves=True) | Q(switched=True) | Q(revision__generation=F("endpoint_generation"))
        )
        for row in rows.values(*_SHOWN).order_by("revision__endpoint__name", "revision__number"):
            place = _place(row)
            places = found.setdefault(row["version_id"], {})
            # One line per endpoint: what serves, in its newest revision, before what is coming.
            if place.live or place.endpoint not in places:
                places[place.endpoint] = place
        return {version: list(places.values()) for version, places in found.items()}

    def earlier(self, version_id: UUID) -> dict[str, list[int]]:
        rows = _uses(version_id=version_id).exclude(
            Q(serves=True) | Q(switched=True) | Q(revision__generation=F("endpoint_generation"))
        )
        found: dict[str, list[int]] = {}
        names = rows.order_by("revision__endpoint__name", "-revision__number")
        for endpoint, number in names.values_list("revision__endpoint__name", "revision__number"):
            found.setdefault(endpoint, []).append(number)
        return found


class PlacedDuties:
    """`ports.serving.ServerDuties` over the database: what was observed of the placements."""

    def held_alone(self, server_id: UUID) -> list[str]:
        elsewhere = Placement.objects.filter(endpoint=OuterRef("endpoint"), switched__gt=0)
        rows = Placement.objects.filter(
            ~Exists(elsewhere.exclude(server=server_id)),
            server=server_id,
            switched__gt=0,
            endpoint__deleted_at=None,
        )
        return list(rows.order_by("endpoint__name").values_list("endpoint__name", flat=True))


_SHOWN = (
    "version_id",
    "version__number",
    "version__model__name",
    "revision__number",
    "revision__endpoint__name",
    "revision__policy__arms",
    "serves",
    "switched",
)


def _uses(**which: Any) -> QuerySet[RevisionVersion]:
    """Uses of versions, each with whether its revision serves, or a server is still on it."""
    newer = Revision.objects.filter(
        endpoint=OuterRef("revision__endpoint"),
        served_from__isnull=False,
        number__gt=OuterRef("revision__number"),
    )
    switched = Placement.objects.filter(
        endpoint=OuterRef("revision__endpoint"), switched=OuterRef("revision__generation")
    )
    return RevisionVersion.objects.filter(**which).annotate(
        endpoint_generation=F("revision__endpoint__generation"),
        serves=Q(revision__served_from__isnull=False) & ~Exists(newer),
        switched=Exists(switched),
    )


def _place(row: Mapping[str, Any]) -> Place:
    arms: Sequence[Mapping[str, Any]] = row["revision__policy__arms"] or ()
    named = (row["version__model__name"], row["version__number"])
    arm = next((a for a in arms if (a.get("model"), a.get("version")) == named), {})
    return Place(
        endpoint=row["revision__endpoint__name"],
        revision=row["revision__number"],
        arm=str(arm.get("name", "")),
        share=float(arm.get("weight", 0)),
        live=bool(row["serves"] or row["switched"]),
    )
