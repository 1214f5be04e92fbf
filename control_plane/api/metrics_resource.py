"""`/metrics`: what Prometheus is told of the control plane."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Model, QuerySet
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from sqlalchemy.exc import SQLAlchemyError

from control_plane import wiring
from control_plane.api.resource import ResourceView
from control_plane.domain.four_eyes import ChangeState
from control_plane.domain.monitoring.catalogue import CONTROL_PLANE
from control_plane.domain.perf.states import PerfState
from control_plane.domain.planning.reconcile import Status
from control_plane.domain.registry.states import VersionState
from control_plane.domain.rollout.states import State
from control_plane.endpoints.models import ChangeRequest, Placement
from control_plane.endpoints.selectors import endpoints
from control_plane.fleet.drift_records import recent_drift
from control_plane.fleet.models import Server
from control_plane.fleet.selectors import server_status
from control_plane.registry.models import ModelVersion
from control_plane.rollouts.models import Rollout
from control_plane.tuning.models import PerfRun
from control_plane.version import VERSION
from control_plane.webhooks.selectors import in_trouble

logger = logging.getLogger(__name__)

SERVER_STATUSES = ("Ready", "NotReady", "Unknown")

Values = Mapping[tuple[str, ...], float]
"""The values of a metric's labels, in their order -> the value."""


class PlainText(BaseRenderer):
    """What Prometheus asks for; the view writes it itself."""

    media_type = "text/plain"
    format = "txt"

    def render(self, data: Any, *_: Any, **__: Any) -> bytes:
        return str(data).encode()


class MetricsView(ResourceView):
    """The control plane's own metrics."""

    read_permission = "fleet.view_server"
    renderer_classes = (PlainText,)

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        """Every metric of `domain.monitoring.catalogue.CONTROL_PLANE`, in Prometheus' text."""
        registry = CollectorRegistry()
        registry.register(_Page(wiring.clock().now()))
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Page:
    """A collector: the values are read when they are asked for."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def collect(self) -> Iterator[GaugeMetricFamily]:
        found = _measured(self._now)
        for metric in CONTROL_PLANE:
            family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, value in found[metric.name].items():
                family.add_metric(labels, value)
            yield family

    def describe(self) -> list[GaugeMetricFamily]:
        return []


def _measured(now: datetime) -> dict[str, Values]:
    """Metric -> its values, each state that there can be among them: what is 0 is said."""
    servers = list(Server.objects.all())
    states = [server_status(server, now)[0] for server in servers]
    failed = Placement.objects.filter(failed=F("endpoint__generation"), failed__gt=0)
    behind = endpoints().exclude(generation=F("observed_generation"))
    waiting = ChangeRequest.objects.filter(state=ChangeState.PENDING)
    return {
        "nereid_build_info": {(VERSION,): 1},
        "nereid_endpoints": _by(endpoints(), "status", Status),
        "nereid_endpoints_behind": {(): behind.count()},
        "nereid_servers": {(status,): states.count(status) for status in SERVER_STATUSES},
        "nereid_server_heard_seconds": {
            (server.name,): (now - server.last_seen_at).total_seconds()
            for server in servers
            if server.last_seen_at
        },
        "nereid_server_scraped_seconds": dict(_scraped(servers, now)),
        "nereid_preparations_failed": {(): failed.count()},
        "nereid_drift": _drift(servers, now),
        "nereid_versions": _by(ModelVersion.objects.all(), "state", VersionState),
        "nereid_rollouts": _by(Rollout.objects.all(), "state", State),
        "nereid_perf_runs": _by(PerfRun.objects.all(), "state", PerfState),
        "nereid_changes_waiting": {(): waiting.count()},
        "nereid_webhooks_in_trouble": {(): in_trouble().count()},
    }


def _by(rows: QuerySet[Any, Any] | QuerySet[Model], field: str, states: Iterable[str]) -> Values:
    counted = rows.order_by().values_list(field).annotate(count=Count("pk"))
    return {**{(str(state),): 0.0 for state in states}, **{(s,): float(n) for s, n in counted}}


def _drift(servers: Iterable[Server], now: datetime) -> Values:
    counts: dict[tuple[str, ...], float] = {
        (s.name, state): 0.0 for s in servers for state in ("stands", "put right")
    }
    for name, put_right_at in recent_drift(now).values_list("server__name", "put_right_at"):
        counts[name, "put right" if put_right_at else "stands"] += 1
    return counts


def _scraped(servers: Iterable[Server], now: datetime) -> Iterator[tuple[tuple[str, ...], float]]:
    """Of those that were scraped ever; none where the telemetry does not answer."""
    try:
        for server in servers:
            at, _ = wiring.telemetry().host(server.id)
            if at is not None:
                yield (server.name,), (now - at).total_seconds()
    except SQLAlchemyError:
        logger.warning("the telemetry store does not answer", exc_info=True)
