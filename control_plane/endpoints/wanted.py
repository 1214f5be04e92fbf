"""What is wanted of one server: asked by its node at each heartbeat, for its gate."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from control_plane.domain.planning.readiness import SWITCHED_FOR, Wanted, WantedEndpoint
from control_plane.endpoints.models import Endpoint, Placement, Revision
from control_plane.endpoints.selectors import holding
from control_plane.fleet.models import Server
from control_plane.fleet.selectors import HEARTBEAT_EXPIRY


def meant_for(server: Server) -> QuerySet[Endpoint]:
    """The endpoints that this server should serve.

    Those that were placed there, and, of a server that just joined, those that are meant for every
    server; what is being left is no more. Of one that is being deleted nobody is sure.
    """
    meant = Q(placing__servers__contains=[server.name]) | Q(deleted_at__isnull=False)
    if server.cordoned_at is None:
        seen = Placement.objects.filter(endpoint=OuterRef("pk"), server=server, assigned=True)
        meant |= Q(~Exists(seen), placement__isnull=True)
    return Endpoint.objects.filter(meant, generation__gt=0)


def why_drained(server: Server, now: datetime) -> str:
    """Why a server that is drained gets no requests any more; empty as long as it has to.

    While something stays that no other server can take, or that others do not serve yet, or no
    longer, it has.
    """
    if not server.draining:
        return ""
    elsewhere = Placement.objects.filter(
        endpoint=OuterRef("endpoint"),
        assigned=True,
        switched__gt=0,
        server__ready=True,
        server__last_seen_at__gt=now - HEARTBEAT_EXPIRY,
    )
    needed = Q(leaving_at=None) | Q(~Exists(elsewhere), switched__gt=0)
    if holding(server.placements.all()).filter(needed).exists():
        return ""
    return server.cordon_reason or "what it held is served elsewhere"


def wanted_of(server: Server, now: datetime) -> Wanted:
    """What the control plane wants of a server at this moment."""
    switched = Revision.objects.filter(
        endpoint=OuterRef("pk"), switched_from__isnull=False
    ).order_by("-generation")
    refused = Exists(
        Placement.objects.filter(endpoint=OuterRef("pk"), failed=OuterRef("generation"))
    )
    uncompiled = Exists(
        Revision.objects.filter(
            ~Q(error=""), endpoint=OuterRef("pk"), generation=OuterRef("generation")
        )
    )
    settled = switched.filter(switched_from__lte=now - SWITCHED_FOR)
    rows = meant_for(server).annotate(
        newest=Subquery(switched.values("generation")[:1]),
        settled=Subquery(settled.values("generation")[:1]),
        refused=refused | uncompiled,
        served_here=Exists(
            Placement.objects.filter(
                Q(switched__gt=0) | Q(retired__gt=0), endpoint=OuterRef("pk"), server=server
            )
        ),
    )
    return Wanted(
        endpoints={
            row.name: WantedEndpoint(
                settled=row.settled or 0,
                newest=row.newest or 0,
                intent=0 if row.refused else row.generation,
                gone=row.deleted_at is not None,
                arriving=not row.served_here,
            )
            for row in rows.only("name", "generation", "deleted_at")
        },
        draining=why_drained(server, now),
    )


def fell_back(*, server: str, serves: Mapping[str, int], now: datetime) -> list[str]:
    """Notes where a node holds less than it was seen to (its disk was lost, or is an old one).

    The next look prepares and switches there again. Returns the endpoints concerned.
    """
    found = []
    rows = Placement.objects.filter(server__name=server, switched__gt=0, endpoint__deleted_at=None)
    for row in rows.select_related("endpoint").only("switched", "endpoint__name"):
        there = serves.get(row.endpoint.name, 0)
        if there >= row.switched:
            continue
        # Under the condition that nothing was observed meanwhile.
        if Placement.objects.filter(pk=row.pk, switched=row.switched).update(
            prepared=there, switched=there, ready_models=[], sent_at=None, observed_at=now
        ):
            Endpoint.objects.filter(pk=row.endpoint_id).update(look_at=now)
            found.append(row.endpoint.name)
    return found
