"""Commands as a node carries them out: read the revision, act, say what came of it."""

from __future__ import annotations

import logging
from uuid import UUID

from control_plane.audit.subject import about
from control_plane.endpoints import observations
from control_plane.endpoints.generations import overtake
from control_plane.endpoints.models import Endpoint, Revision
from control_plane.fleet.agent import (
    AlreadyPreparingError,
    ArmsNotReadyError,
    NodeAgent,
    StaleCommandError,
)
from control_plane.fleet.footprints import note_loads
from control_plane.fleet.loading import PrepareFailedError
from control_plane.fleet.retiring import StillBusyError
from control_plane.ports.clock import Clock
from control_plane.ports.memory import LoadsMeasured
from control_plane.ports.queue import Queue
from control_plane.ports.triton import TritonUnreachableError

logger = logging.getLogger(__name__)


def carry_out(
    *,
    verb: str,
    server: str,
    endpoint_id: UUID,
    generation: int,
    agent: NodeAgent,
    queue: Queue,
    clock: Clock,
    loads: LoadsMeasured | None = None,
) -> None:
    """Carries out prepare, switch, retire or remove, records it, and asks for the next look.

    What `loads` measured meanwhile is noted, also of a command that failed.

    Where nothing is recorded (Triton is away, a model is still busy, the same command is
    under way) the reconcile sends the command again after a while.
    """
    name = Endpoint.objects.filter(id=endpoint_id).values_list("name", flat=True).first()
    with about(endpoint=name or str(endpoint_id), generation=generation, server=server):
        if _is_done(verb, server, endpoint_id, generation, agent, clock, loads):
            queue.reconcile(endpoint_id=endpoint_id)


def _is_done(
    verb: str,
    server: str,
    endpoint_id: UUID,
    generation: int,
    agent: NodeAgent,
    clock: Clock,
    loads: LoadsMeasured | None,
) -> bool:
    """Carries it out and records it; False where nothing came of it that a look would see."""
    try:
        _act(verb, server, endpoint_id, generation, agent, clock)
    except StaleCommandError as error:
        logger.info("dropped %s: %s", verb, error)
        if not overtake(endpoint_id=endpoint_id, generation=generation, seen=error.highest):
            return False
    except (AlreadyPreparingError, StillBusyError) as error:
        logger.info("%s of generation %s: %s", verb, generation, error)
        return False
    except ArmsNotReadyError as error:
        logger.info("switch to generation %s: %s; preparing again", generation, error)
        observations.unprepared(endpoint_id=endpoint_id, server=server, generation=generation)
    except PrepareFailedError as error:
        if isinstance(error.__cause__, TritonUnreachableError):
            logger.warning("%s of generation %s: %s", verb, generation, error)
            return False
        logger.warning("%s of generation %s failed: %s", verb, generation, error)
        observations.failed(
            endpoint_id=endpoint_id,
            server=server,
            generation=generation,
            reason=str(error),
            now=clock.now(),
        )
    except TritonUnreachableError as error:
        logger.warning("%s of generation %s: %s", verb, generation, error)
        return False
    finally:
        if loads:
            note_loads(server=server, taken=loads.drain(), now=clock.now())
    return True


def _act(
    verb: str, server: str, endpoint_id: UUID, generation: int, agent: NodeAgent, clock: Clock
) -> None:
    if verb == "remove":
        endpoint = Endpoint.objects.filter(id=endpoint_id).first()
        if endpoint is not None:
            if not observations.may_go(endpoint=endpoint, server=server):
                raise StaleCommandError(f"{endpoint.name} is placed on {server} again")
            patient = observations.may_wait(endpoint=endpoint, server=server, now=clock.now())
            agent.remove(endpoint.name, generation, patient=patient)
            observations.removed(endpoint_id=endpoint_id, server=server)
        return
    revision = (
        Revision.objects.filter(endpoint_id=endpoint_id, generation=generation)
        .select_related("endpoint")
        .first()
    )
    plan = revision.compiled if revision else None
    if plan is None:
        raise StaleCommandError(f"there is no revision for generation {generation} any more")
    if verb in ("prepare", "switch") and not observations.may_come(
        endpoint_id=endpoint_id, server=server
    ):
        raise StaleCommandError(f"{plan.endpoint} is placed on {server} no longer")
    if verb == "prepare":
        ready = agent.prepare(plan)
    elif verb == "switch":
        ready = agent.switch(plan)
    else:
        ready = agent.retire(plan.endpoint, generation)
    observations.succeeded(
        endpoint_id=endpoint_id,
        server=server,
        verb=verb,
        generation=generation,
        ready_models=ready,
        now=clock.now(),
    )
