"""What a proxy in front of the servers has to know: who they are, and what each of them routes."""

from __future__ import annotations

from collections import defaultdict

from control_plane.domain.edge.fleet import KnownServer
from control_plane.endpoints.models import Placement
from control_plane.fleet.models import Server


def servers_for_edge() -> tuple[KnownServer, ...]:
    """Every server whose gate is known, in two queries whatever their number.

    A server routes an endpoint when it switched to any generation of it: while a change is on its
    way it answers as before. What leaves it is sent nothing any more.
    """
    routed: dict[object, set[str]] = defaultdict(set)
    parts = Placement.objects.filter(
        switched__gt=0, leaving_at=None, endpoint__deleted_at=None
    ).values_list("server_id", "endpoint__name")
    for server_id, name in parts:
        routed[server_id].add(name)
    rows = Server.objects.exclude(gate="").values_list("id", "name", "http", "grpc", "gate")
    return tuple(
        KnownServer(name, http, grpc, gate, frozenset(routed[key]))
        for key, name, http, grpc, gate in rows
    )
