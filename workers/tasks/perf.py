"""Perf runs and tunes: measured by workers of their own, their models held by the nodes, and the
recordings that are sent again made by those."""

from __future__ import annotations

from celery import shared_task

from control_plane import node_wiring, wiring
from control_plane.tuning import holding, recording_node, running, studying, sweeping
from control_plane.tuning.recordings import expire_recordings


@shared_task(name="perf.run")
def run(*, run_id: int) -> None:
    """Brings one perf run as far as it can go: to its end, where it is its turn."""
    running.advance(run_id=run_id, means=wiring.perf_means())


@shared_task(name="perf.tune")
def tune(*, tune_id: int) -> None:
    """Brings a tune one step further: its next trial, or its end."""
    studying.advance_tune(tune_id=tune_id, means=wiring.tune_means())


@shared_task(name="perf.hold")
def hold(*, run_id: int) -> None:
    """Loads what a perf run measures on this node's Triton, and keeps it."""
    holding.hold(
        run_id=run_id, agent=node_wiring.node_agent(), clock=wiring.clock(), queue=wiring.queue()
    )


@shared_task(name="perf.release")
def release(*, run_id: int) -> None:
    """Lets go what a perf run that is over had loaded."""
    holding.release(run_id=run_id, agent=node_wiring.node_agent())


@shared_task(name="perf.record")
def look_at_recording(*, recording_id: int, key: str) -> None:
    """Brings a recording of this node's router as far as it can go."""
    recording_node.look_at(
        recording_id=recording_id,
        key=key,
        recorder=node_wiring.request_recorder(),
        store=wiring.recording_store(),
        clock=wiring.clock(),
    )


@shared_task(name="perf.sweep")
def sweep() -> None:
    """Finds the perf runs and tunes whose message was lost, or whose worker died."""
    sweeping.sweep(clock=wiring.clock(), queue=wiring.queue())


@shared_task(name="perf.forget")
def forget() -> None:
    """Removes what the load generator wrote a month ago, and recordings as old; figures stay."""
    wiring.telemetry().forget_perf_files(wiring.clock().now())
    expire_recordings(clock=wiring.clock(), queue=wiring.queue(), store=wiring.recording_store())
