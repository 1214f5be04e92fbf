"""The composition root of a node: what stands beside one Triton."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from django.conf import settings

from control_plane import wiring
from control_plane.adapters.repository import DiskRepository
from control_plane.adapters.request_log import RequestLog
from control_plane.adapters.request_recorder import FileRequestRecorder
from control_plane.adapters.triton.backends import observed_backends
from control_plane.adapters.triton.control import ApiTritonControl
from control_plane.adapters.triton.inference import HttpTritonInference
from control_plane.adapters.triton.measured_loads import MeasuredLoads
from control_plane.adapters.triton.memory import ProcessMemoryMeter
from control_plane.adapters.triton.metrics import HttpTritonMetrics
from control_plane.domain.planning.backends import Backend
from control_plane.fleet.agent import NodeAgent
from control_plane.fleet.drift import DriftWatch
from control_plane.fleet.gate import Gate
from control_plane.fleet.node_state import NodeState
from control_plane.ports.memory import MemoryMeter
from control_plane.ports.recorder import RequestRecorder
from control_plane.ports.triton import TritonControl

GOLDEN_TIMEOUT_S = 120.0
GOLDEN_ANSWER_BYTES = 256 << 20
"""A golden example may be a large batch, and a model's first request is its slowest."""

GATE_TIMEOUT_S = 1.0
"""Balancers wait little longer for a gate's answer."""


def _triton() -> tuple[str, str, str]:
    """Where this Triton answers HTTP and gRPC, and the key to it."""
    return (
        settings.NEREID_TRITON_URL,
        settings.NEREID_TRITON_GRPC,
        settings.NEREID_TRITON_CONTROL_KEY,
    )


@cache
def triton_control() -> TritonControl:
    """The Triton beside this process."""
    return ApiTritonControl(*_triton())


def backends() -> tuple[Backend, ...] | None:
    """What the Triton beside this process can run models with; None where it is not known."""
    place = settings.NEREID_TRITON_BACKENDS
    return observed_backends(Path(place) if place else None)


@cache
def request_log() -> RequestLog:
    """What the Triton beside this process remembers of the requests that it answered."""
    return RequestLog(settings.NEREID_REQUEST_LOG)


@cache
def node_state() -> NodeState:
    return NodeState(settings.NEREID_NODE_STATE)


@cache
def model_repository() -> DiskRepository:
    """What the Triton beside this process loads its models from."""
    return DiskRepository(settings.NEREID_MODEL_REPOSITORY, wiring.artifact_store())


@cache
def drift_watch() -> DriftWatch:
    """Who sees what is changed by hand on this node."""
    return DriftWatch(
        agent=node_agent(),
        triton=triton_control(),
        repository=model_repository(),
        state=node_state(),
        assured=gate().assured,
        unloads_foreign=settings.NEREID_FOREIGN_MODELS == "unload",
    )


@cache
def gate() -> Gate:
    """The gate of this node; it asks Triton with little patience."""
    return Gate(
        agent=node_agent(),
        triton=ApiTritonControl(*_triton(), timeout_s=GATE_TIMEOUT_S),
        state=node_state(),
        trust_s=settings.NEREID_GATE_TRUST_S,
    )


@cache
def request_recorder() -> RequestRecorder:
    """The recorder of the router of the Triton beside this process."""
    return FileRequestRecorder(settings.NEREID_RECORDINGS_ASKED, settings.NEREID_RECORDINGS)


@cache
def memory_meter() -> MemoryMeter:
    """What measures the memory of the Triton beside this node."""
    return ProcessMemoryMeter(
        settings.NEREID_TRITON_URL,
        settings.NEREID_SERVER_MEMORY,
        gpus=settings.NEREID_ACCELERATOR == "gpu",
    )


@cache
def measured_loads() -> MeasuredLoads:
    """The control of the Triton beside this node, with what its loads took in this process."""
    return MeasuredLoads(triton_control(), memory_meter())


@cache
def node_agent() -> NodeAgent:
    """The agent of the node that this process runs beside; it needs no database."""
    return NodeAgent(
        triton=measured_loads(),
        metrics=HttpTritonMetrics(settings.NEREID_TRITON_METRICS),
        inference=HttpTritonInference(
            settings.NEREID_TRITON_URL, timeout_s=GOLDEN_TIMEOUT_S, max_bytes=GOLDEN_ANSWER_BYTES
        ),
        repository=model_repository(),
        state=node_state(),
        accelerator=settings.NEREID_ACCELERATOR,
        hardware=settings.NEREID_HARDWARE,
        name=settings.NEREID_NODE_NAME,
    )
