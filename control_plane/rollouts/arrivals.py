"""How far an endpoint's present policy has come on its servers."""

from __future__ import annotations

from datetime import datetime

from control_plane.domain.planning.reconcile import Snapshot
from control_plane.domain.rollout.snapshot import Arrival
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.placing import foreseen, placement_of, placing_of
from control_plane.endpoints.selectors import present_revision, snapshot


def arrival_of(endpoint: Endpoint, now: datetime) -> Arrival:
    """Whether every server that it is placed on and that can be reached has switched to it.

    One that cannot be reached holds nothing up, as for every other change: it gets the policy
    when it is back.
    """
    revision = present_revision(endpoint)
    plan = revision.compiled if revision else None
    placing = placing_of(endpoint) or foreseen(endpoint, plan, placement_of(endpoint), now)
    view = snapshot(endpoint, revision, plan, placing, now)
    if view.compile_error:
        return Arrival(False, refused=view.compile_error)
    alive = [server for server in view.servers if server.placed and server.alive]
    if not alive:
        return Arrival(False, waiting=_names(view) or "a server, and there is none")
    failed = [server for server in alive if server.failed == view.generation]
    if failed:
        return Arrival(False, refused="; ".join(f"{one.name}: {one.failure}" for one in failed))
    behind = [server.name for server in alive if server.switched < view.generation]
    return Arrival(not behind, waiting=", ".join(behind))


def _names(view: Snapshot) -> str:
    return ", ".join(server.name for server in view.servers if server.placed)
