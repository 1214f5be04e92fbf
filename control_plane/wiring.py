"""The composition root: which adapter stands behind which port.

What stands beside one Triton alone is in `node_wiring`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from uuid import UUID

from celery import Celery
from django.conf import settings

from control_plane.adapters.any_source import AnySource
from control_plane.adapters.backup.manifest import secret_mark
from control_plane.adapters.backup.taking import State
from control_plane.adapters.clock import SystemClock
from control_plane.adapters.inspection import SandboxInspector
from control_plane.adapters.mlflow.server import MlflowServer
from control_plane.adapters.mlflow.sources import MlflowSources
from control_plane.adapters.oidc import OidcProvider
from control_plane.adapters.optuna_search import OptunaSearcher
from control_plane.adapters.partial_files import DiskPartialFiles
from control_plane.adapters.perf_analyzer.load import PerfAnalyzerLoad
from control_plane.adapters.prometheus import HttpPrometheus
from control_plane.adapters.queue import CeleryQueue, celery_application
from control_plane.adapters.receivers import HttpReceivers
from control_plane.adapters.remotes import GrpcRemoteModels
from control_plane.adapters.s3.partial_files import BucketPartialFiles
from control_plane.adapters.sources import FsspecSources
from control_plane.adapters.stores import bucket_at, store_at
from control_plane.adapters.triton.inference import HttpTritonInference
from control_plane.adapters.triton.metrics import HttpTritonMetrics
from control_plane.adapters.triton.pbtxt import config_text
from control_plane.adapters.workers import CeleryWorkers
from control_plane.audit.cause import cause
from control_plane.audit.models import AuditEvent
from control_plane.domain.kpis.report import Network
from control_plane.domain.perf.request import Protocol
from control_plane.domain.planning.plan import ModelDirectory
from control_plane.endpoints.serving import PlacedDuties, RevisionPlaces, RoutedEndpoints
from control_plane.ports.clock import Clock
from control_plane.ports.identity import IdentityProvider
from control_plane.ports.inference import TritonInference
from control_plane.ports.inspection import ModelInspector
from control_plane.ports.load import LoadGenerator
from control_plane.ports.partial_files import PartialFiles
from control_plane.ports.prometheus import Prometheus
from control_plane.ports.proposals import Searcher
from control_plane.ports.queue import Queue
from control_plane.ports.receivers import Receivers
from control_plane.ports.remotes import RemoteModels
from control_plane.ports.repository import ArtifactStore
from control_plane.ports.serving import EndpointFacts, ServerDuties, ServingPlaces
from control_plane.ports.sources import Sources
from control_plane.ports.triton import TritonMetrics
from control_plane.ports.workers import Workers
from control_plane.registry.uploads import Quota, locked_everywhere
from control_plane.telemetry.store import TelemetryStore
from control_plane.tuning import network
from control_plane.tuning.recordings import delete_recordings_of
from control_plane.tuning.running import Means
from control_plane.tuning.studying import TuneMeans
from control_plane.version import VERSION


@cache
def celery_app() -> Celery:
    """The Celery application; `workers.app` adds the tasks to it."""
    return celery_application(settings.CELERY_BROKER_URL)


def queue() -> Queue:
    return CeleryQueue(celery_app(), cause)


def workers() -> Workers:
    return CeleryWorkers(celery_app())


def clock() -> Clock:
    return SystemClock()


def artifact_store() -> ArtifactStore:
    return store_at(
        settings.NEREID_ARTIFACT_STORE or settings.NEREID_ARTIFACTS,
        settings.NEREID_ARTIFACT_CACHE,
        cache_bytes=settings.NEREID_ARTIFACT_CACHE_BYTES,
        owner=secret_mark(settings.SECRET_KEY),
    )


def recording_store() -> ArtifactStore:
    """What callers sent, apart from the artifacts: nobody downloads it, and no Triton has it."""
    return store_at(
        settings.NEREID_RECORDING_STORE,
        settings.NEREID_RECORDING_CACHE,
        cache_bytes=0,
        owner=secret_mark(settings.SECRET_KEY),
        private=True,
    )


def state() -> State:
    """All that a backup holds, and where it is."""
    return State(
        address=settings.DATABASE_URL,
        stores={"artifacts": artifact_store(), "recordings": recording_store()},
        keys={
            "secret_key": settings.SECRET_KEY,
            "control_key": settings.NEREID_TRITON_CONTROL_KEY,
            "shm_key": settings.NEREID_TRITON_SHM_KEY,
        },
        version=VERSION,
    )


def partial_files() -> PartialFiles:
    """What has arrived of uploads, beside the artifacts: every API process goes on with it."""
    if place := settings.NEREID_ARTIFACT_STORE:
        return BucketPartialFiles(
            bucket_at(place, secret_mark(settings.SECRET_KEY)), locked_everywhere
        )
    return DiskPartialFiles(settings.NEREID_ARTIFACTS / "uploads")


def sources() -> Sources:
    files = FsspecSources(settings.NEREID_SOURCE_ROOTS, settings.NEREID_S3_ENDPOINT)
    server = mlflow_server()
    return AnySource(files, MlflowSources(server, files) if server else None)


@cache
def mlflow_server() -> MlflowServer | None:
    """The tracking server that versions may come from; None where none is named."""
    named = settings.NEREID_MLFLOW
    if named is None:
        return None
    return MlflowServer(
        named.uri, token=named.token, username=named.username, password=named.password
    )


def remotes() -> RemoteModels:
    """Processes of people's own, whose models may be adopted."""
    return GrpcRemoteModels()


def upload_quota() -> Quota:
    return Quota(
        upload_bytes=settings.NEREID_MAX_UPLOAD_BYTES,
        all_bytes=settings.NEREID_UPLOAD_QUOTA_BYTES,
        count=settings.NEREID_UPLOAD_QUOTA_COUNT,
        patience=timedelta(seconds=settings.NEREID_UPLOAD_EXPIRY_S),
    )


def inspector() -> ModelInspector:
    return SandboxInspector(
        settings.NEREID_ARTIFACTS / "inspection",
        max_bytes=settings.NEREID_MAX_UPLOAD_BYTES,
        memory_bytes=settings.NEREID_INSPECTION_MEMORY_BYTES,
    )


def receivers() -> Receivers:
    """The receivers of webhooks, behind the rules for addresses."""
    return HttpReceivers(settings.NEREID_WEBHOOK_ALLOW)


def hand_over_deliveries(*, webhook_ids: Sequence[UUID], **_: object) -> None:
    """Receives the outbox's signal: the workers are told which webhooks have something due."""
    for webhook_id in webhook_ids:
        queue().deliver(webhook_id=webhook_id)


def forget_what_was_recorded(*, event: AuditEvent, **_: object) -> None:
    """Receives every audit event in its deed's transaction: an endpoint's recordings go with it."""
    if event.action == "endpoint.delete":
        delete_recordings_of(
            event.object_name, actor=event.actor, queue=queue(), store=recording_store()
        )


@cache
def prometheus() -> Prometheus | None:
    """What metrics of PromQL are asked of; None where no address is named."""
    named = settings.NEREID_PROMETHEUS
    return HttpPrometheus(named.url, token=named.token) if named else None


def identity_provider() -> IdentityProvider | None:
    """The provider that people may sign in with, where there is one."""
    said = settings.NEREID_OIDC
    if said is None:
        return None
    return OidcProvider(
        said.issuer, said.client_id, said.client_secret, said.scopes, said.rules.groups_claim
    )


def serving() -> ServingPlaces:
    return RevisionPlaces()


def duties() -> ServerDuties:
    return PlacedDuties()


def endpoint_facts() -> EndpointFacts:
    return RoutedEndpoints()


@cache
def load_generator() -> LoadGenerator:
    """perf_analyzer, with what opens the shared memory of the Triton beside this process."""
    key = settings.NEREID_TRITON_SHM_KEY
    headers = {
        Protocol.HTTP: {"nereid-shm": key},
        Protocol.GRPC: {"triton-grpc-protocol-nereid-shm": key},
    }
    tools = settings.NEREID_TOOLS
    return PerfAnalyzerLoad(Path(tools) if tools else None, headers if key else None)


def network_to(endpoint: str, rps: float | None) -> Network | None:
    """What the newest perf run of an endpoint measured of the network, nearest to a rate."""
    return network.network_to(endpoint, rps, telemetry())


def perf_means() -> Means:
    """What perf runs are carried out with."""
    return Means(
        clock=clock(),
        queue=queue(),
        generator=load_generator(),
        endpoints=endpoint_facts(),
        artifacts=artifact_store(),
        recordings=recording_store(),
        telemetry=telemetry(),
        metrics_of=metrics_of,
    )


@cache
def searcher() -> Searcher:
    """What proposes where a tune may look."""
    return OptunaSearcher()


def tune_means() -> TuneMeans:
    """What tunes are carried out with."""
    return TuneMeans(
        clock=clock(),
        queue=queue(),
        endpoints=endpoint_facts(),
        artifacts=artifact_store(),
        telemetry=telemetry(),
        searcher=searcher(),
    )


def print_config(directory: ModelDirectory) -> str:
    """The configuration as a server without accelerators gets it."""
    return config_text(directory.name, directory.variants["cpu"])


@cache
def telemetry() -> TelemetryStore:
    return TelemetryStore(settings.DATABASE_URL)


@cache
def metrics_of(url: str) -> TritonMetrics:
    return HttpTritonMetrics(url)


def inference_of(address: str) -> TritonInference:
    """Inference at one server of the fleet."""
    return HttpTritonInference(address)
