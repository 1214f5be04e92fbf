"""Commands to this node's Triton, on its two lanes."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from control_plane import node_wiring, wiring
from control_plane.endpoints.node_commands import carry_out


def _carry_out(verb: str, server: str, endpoint_id: str, generation: int) -> None:
    carry_out(
        verb=verb,
        server=server,
        endpoint_id=UUID(endpoint_id),
        generation=generation,
        agent=node_wiring.node_agent(),
        loads=node_wiring.measured_loads(),
        queue=wiring.queue(),
        clock=wiring.clock(),
    )


@shared_task(name="node.prepare")
def prepare(*, server: str, endpoint_id: str, generation: int) -> None:
    """Materialises and loads every arm of a revision."""
    _carry_out("prepare", server, endpoint_id, generation)


@shared_task(name="node.switch")
def switch(*, server: str, endpoint_id: str, generation: int) -> None:
    """Points the router at a revision's arms."""
    _carry_out("switch", server, endpoint_id, generation)


@shared_task(name="node.retire")
def retire(*, server: str, endpoint_id: str, generation: int) -> None:
    """Unloads what nothing uses any more."""
    _carry_out("retire", server, endpoint_id, generation)


@shared_task(name="node.remove")
def remove(*, server: str, endpoint_id: str, generation: int) -> None:
    """Takes an endpoint off this node."""
    _carry_out("remove", server, endpoint_id, generation)
