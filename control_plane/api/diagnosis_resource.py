"""`/diagnosis/`: what the control plane knows of its own state, for whoever looks for a fault."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.adapters.queue import CONTROL_PLANE_QUEUES, node_queue
from control_plane.api.resource import ResourceView
from control_plane.fleet.edges import known_edges
from control_plane.fleet.models import Server
from control_plane.ports.repository import ArtifactStore, ArtifactStoreFailedError
from control_plane.ports.workers import WorkersUnknownError
from control_plane.telemetry.migrate import lacking
from control_plane.version import VERSION


class QueueSerializer(serializers.Serializer[Any]):
    """A queue that there has to be a worker for."""

    name = serializers.CharField()
    workers = serializers.ListField(
        child=serializers.CharField(), help_text="those that answered when they were called"
    )


class DiskSerializer(serializers.Serializer[Any]):
    """A disk that Nereid writes to."""

    what = serializers.CharField()
    free_bytes = serializers.IntegerField()
    total_bytes = serializers.IntegerField()


class StoreSerializer(serializers.Serializer[Any]):
    """A store of files."""

    what = serializers.CharField()
    place = serializers.CharField(help_text="a folder, or `s3://bucket/prefix`")
    problem = serializers.CharField(help_text="why it cannot be used; empty: it can")


class ScrapeSerializer(serializers.Serializer[Any]):
    """When a server's metrics were read last, which happens by the clock every few seconds."""

    server = serializers.CharField()
    scraped_at = serializers.DateTimeField(allow_null=True)


class EdgeServerSerializer(serializers.Serializer[Any]):
    """A server as a proxy sees it, by protocol: why it is sent nothing, empty where it is."""

    server = serializers.CharField()
    http = serializers.CharField(allow_null=True, help_text="null: it was not told of it")
    grpc = serializers.CharField(allow_null=True, help_text="null: it was not told of it")


class EdgeSerializer(serializers.Serializer[Any]):
    """A proxy in front of the servers, as the writer of its files saw it last."""

    name = serializers.CharField()
    seen_at = serializers.DateTimeField()
    live = serializers.BooleanField(help_text="it answers, and has read its files")
    listeners = serializers.DictField(child=serializers.CharField(), help_text="by protocol")
    behind = serializers.ListField(
        child=serializers.CharField(), help_text="files whose newest version it has not taken up"
    )
    servers = EdgeServerSerializer(many=True)


class DiagnosisSerializer(serializers.Serializer[Any]):
    """What is known; `queues` null: the broker could not be asked."""

    version = serializers.CharField()
    time = serializers.DateTimeField()
    queues = QueueSerializer(many=True, allow_null=True)
    disks = DiskSerializer(many=True)
    stores = StoreSerializer(many=True)
    migrations = serializers.ListField(
        child=serializers.CharField(), help_text="those that the database lacks"
    )
    scrapes = ScrapeSerializer(many=True)
    edges = EdgeSerializer(many=True)


class DiagnosisView(ResourceView):
    """The control plane's own state."""

    read_permission = "fleet.view_server"

    @extend_schema(responses=DiagnosisSerializer)
    def get(self, request: Request) -> Response:
        """Version, clock, who works on which queue, free disk, what the database lacks.

        Workers have a second to answer, and a bucket that is away a quarter of a minute.
        """
        body = {
            "version": VERSION,
            "time": wiring.clock().now(),
            "queues": _queues(),
            "disks": _disks(),
            "stores": _stores(),
            "migrations": _migrations(),
            "scrapes": _scrapes(),
            "edges": _edges(),
        }
        response = Response(DiagnosisSerializer(body).data)
        response["Cache-Control"] = "no-store"
        return response


def _queues() -> list[dict[str, Any]] | None:
    wanted = list(CONTROL_PLANE_QUEUES)
    for name in Server.objects.order_by("name").values_list("name", flat=True):
        wanted += [node_queue(name, "switch"), node_queue(name, "prepare")]
    try:
        there = wiring.workers().by_queue()
    except WorkersUnknownError:
        return None
    return [{"name": name, "workers": list(there.get(name, ()))} for name in wanted]


def _disks() -> list[dict[str, Any]]:
    found = []
    places = {"artifacts": settings.NEREID_ARTIFACTS, "state": settings.NEREID_HOME}
    if settings.NEREID_ARTIFACT_STORE:
        places["artifact cache"] = settings.NEREID_ARTIFACT_CACHE
    for what, place in places.items():
        if not Path(place).exists():  # nothing was stored yet
            continue
        usage = shutil.disk_usage(place)
        found.append({"what": what, "free_bytes": usage.free, "total_bytes": usage.total})
    return found


def _stores() -> list[dict[str, Any]]:
    stores = {"artifacts": wiring.artifact_store(), "recordings": wiring.recording_store()}
    return [
        {"what": what, "place": store.place, "problem": _problem(store)}
        for what, store in stores.items()
    ]


def _problem(store: ArtifactStore) -> str:
    try:
        store.check()
    except ArtifactStoreFailedError as error:
        return str(error)
    return ""


def _migrations() -> list[str]:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [
        *(f"{migration.app_label}.{migration.name}" for migration, _ in plan),
        *(f"telemetry.{revision}" for revision in lacking(wiring.telemetry().address)),
    ]


def _scrapes() -> list[dict[str, Any]]:
    found = wiring.telemetry().scraped()
    servers = Server.objects.order_by("name").values_list("id", "name")
    return [{"server": name, "scraped_at": found.get(key)} for key, name in servers]


def _edges() -> list[dict[str, Any]]:
    found = []
    for edge in known_edges(wiring.clock().now()):
        servers = [
            {"server": name, "http": said.get("http"), "grpc": said.get("grpc")}
            for name, said in sorted(edge.sight["servers"].items())
        ]
        found.append({**edge.sight, "name": edge.name, "seen_at": edge.seen_at, "servers": servers})
    return found
