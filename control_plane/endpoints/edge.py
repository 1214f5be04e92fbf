"""What a proxy in front of the servers has to know: who they are, and what each of them routes."""

from __future__ import annotations

from collections import defaultdict

from control_plane.domain.edge.fleet import KnownServer
from control_plane.endpoints.models import Placement
from control_plane.fleet.models import Server


def servers_for_edge() -> tuple[KnownServer, ...]:
    """Every server whose gate is known, in two queries whatever their number.

    A server routes an endpoint when it switched to any generation of it: while a change is on its
    way it answers as before. What leaves it is sent nothing any more. One that no server switched
    to yet is looked for where it shall be: so the proxy has heard of it when the first one serves.
    """
    there: dict[str, set[object]] = defaultdict(set)
    expected: dict[str, set[object]] = defaultdict(set)
    parts = Placement.objects.filter(leaving_at=None, endpoint__deleted_at=None).values_list(
        "server_id", "endpoint__name", "switched", "assigned"
    )
    for server_id, name, switched, assigned in parts:
        if switched:
            there[name].add(server_id)
        elif assigned:
            expected[name].add(server_id)
    routed: dict[object, set[str]] = defaultdict(set)
    for name, servers in (expected | there).items():
        for key in servers:
            routed[key].add(name)
    rows = Server.objects.exclude(gate="").values_list("id", "name", "http", "grpc", "gate")
    return tuple(
        KnownServer(name, http, grpc, gate, frozenset(routed[key]))
        for key, name, http, grpc, gate in rows
    )
