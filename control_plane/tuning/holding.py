"""What a node does for a perf run: hold its models while it runs, and let them go.

A hold is a preparation like that of an endpoint's plan, under a name that no endpoint has: its
models are published, loaded, checked against their golden examples, and kept from being retired.
What an endpoint serves already is only kept. Its generation fences it: a hold that comes late,
after its own release or a newer hold, is refused.
"""

from __future__ import annotations

import logging

from control_plane.domain.perf.states import PerfState
from control_plane.fleet.agent import (
    AlreadyPreparingError,
    NodeAgent,
    StaleCommandError,
)
from control_plane.fleet.loading import PrepareFailedError
from control_plane.fleet.retiring import StillBusyError
from control_plane.ports.clock import Clock
from control_plane.ports.queue import Queue
from control_plane.ports.triton import TritonUnreachableError
from control_plane.tuning.ending import finish
from control_plane.tuning.models import PerfRun
from control_plane.tuning.targets import HOLD

logger = logging.getLogger(__name__)


def hold(*, run_id: int, agent: NodeAgent, clock: Clock, queue: Queue) -> None:
    """Loads what the run measures, and says so; where that fails the run has.

    Where nothing is said (Triton is away) the sweep sends the command again after a while.
    """
    run = PerfRun.objects.filter(pk=run_id, state=PerfState.PREPARING).first()
    plan = run.compiled if run else None
    if run is None or plan is None:
        return
    try:
        agent.prepare(plan)
    except AlreadyPreparingError as error:
        logger.info("perf run %s: %s", run_id, error)
        return
    except StaleCommandError as error:
        said = f"{run.server_name} has seen a later one already: its clock is another"
        finish(run, PerfState.FAILED, f"{said} ({error})", clock, queue)
        return
    except PrepareFailedError as error:
        if isinstance(error.__cause__, TritonUnreachableError):
            logger.warning("perf run %s: %s", run_id, error)
            return
        said = f"{run.server_name} cannot load {run.physical}: {error}"
        finish(run, PerfState.FAILED, said, clock, queue)
        return
    mine = PerfRun.objects.filter(pk=run_id, state=PerfState.PREPARING, generation=plan.generation)
    if mine.update(prepared_at=clock.now(), reason=f"{run.physical} is loaded"):
        queue.perf_run(run_id=run_id)


def release(*, run_id: int, agent: NodeAgent) -> None:
    """Lets the run's models go: what no endpoint needs is unloaded.

    What still has requests in flight, or a Triton that is away, is come back to by the sweep.
    """
    run = PerfRun.objects.filter(pk=run_id, held=True).first()
    if run is None or not run.over:
        return
    try:
        agent.retire(HOLD, run.generation + 1)
    except StaleCommandError:
        logger.info("perf run %s: a newer one has taken its place", run_id)
    except (StillBusyError, TritonUnreachableError) as error:
        logger.info("perf run %s: %s", run_id, error)
        return
    PerfRun.objects.filter(pk=run_id).update(held=False)
