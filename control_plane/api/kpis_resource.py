"""`/endpoints/{name}/kpis/`: how well an endpoint is served, arm by arm and step by step."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.analysis_simulations_resource import DocumentField
from control_plane.api.fields import read_moment
from control_plane.api.kpis_tries_resource import FindingTrySerializer
from control_plane.api.resource import ResourceView
from control_plane.domain.access import Kind
from control_plane.domain.kpis import figures
from control_plane.domain.kpis.opportunities import Opportunity
from control_plane.domain.kpis.span import DEFAULT, Span, read_span
from control_plane.endpoints.kpis import endpoint_kpis
from control_plane.telemetry.store import RETENTION
from control_plane.tuning.tries import place_of, tries_of

WINDOW = OpenApiParameter(
    "window", str, description=f"So long until now: `5m`, `1h`, `2d`; {DEFAULT}, unless you say."
)
SINCE = OpenApiParameter("since", datetime, description="In place of a window (RFC 3339).")
UNTIL = OpenApiParameter("until", datetime, description="With since; now, unless you say.")


def _figure(of: Any, what: str = "") -> serializers.FloatField:
    """A figure that may not be measured; its help is the first line of its definition."""
    first = (of.__doc__ or "").strip().splitlines()[0].rstrip(":.")
    return serializers.FloatField(allow_null=True, help_text=f"{what}{first}; null: not measured")


class RequestFiguresSerializer(serializers.Serializer[Any]):
    """What callers got, or an arm on their behalf."""

    requests = serializers.IntegerField()
    rps = _figure(figures.rate)
    success_rps = _figure(figures.success_rate)
    failed_share = _figure(figures.failed_share)
    p50_us = _figure(figures.latency_us)
    p95_us = _figure(figures.latency_us)
    p99_us = _figure(figures.latency_us)
    first_p50_us = _figure(figures.first_response_us)
    first_p95_us = _figure(figures.first_response_us)
    first_p99_us = _figure(figures.first_response_us)
    peak_rps = _figure(figures.sustained_peak)
    degradation = _figure(figures.degradation)


class ModelFiguresSerializer(serializers.Serializer[Any]):
    """What a physical model did, whoever asked it."""

    requests = serializers.IntegerField()
    rps = _figure(figures.model_rate)
    queue_us = _figure(figures.queue_us)
    processing_us = _figure(figures.processing_us)
    queue_share = _figure(figures.queue_share)
    batch_rows = _figure(figures.batch_rows)
    batch_requests = _figure(figures.batch_requests)
    utilisation = _figure(figures.utilisation)
    cache_hit_share = _figure(figures.cache_hit_share)
    pending = serializers.IntegerField(help_text="the most that was seen in its queue")
    instances = serializers.IntegerField(help_text="on all servers; 0: it has none of its own")


class TimePartSerializer(serializers.Serializer[Any]):
    """A part of a request's mean time."""

    name = serializers.CharField(
        help_text="network, router, queue, copy_in, compute, copy_out or rest"
    )
    us = serializers.FloatField(help_text="microseconds")


class StepReportSerializer(serializers.Serializer[Any]):
    """A step of a pipeline."""

    step = serializers.CharField()
    target = serializers.CharField(help_text="model:version, or pipeline:revision")
    physical = serializers.CharField()
    model = ModelFiguresSerializer(allow_null=True)
    time = TimePartSerializer(many=True)


class ArmReportSerializer(serializers.Serializer[Any]):
    """An arm; one that no policy names any more has no name."""

    name = serializers.CharField(allow_blank=True)
    target = serializers.CharField(allow_blank=True, help_text="model:version, pipeline:revision")
    physical = serializers.CharField()
    primary = serializers.BooleanField()
    share = serializers.FloatField(allow_null=True, help_text="of all attempts, 0 to 1")
    shared = serializers.BooleanField(
        help_text="others asked its model as well: shadows, other endpoints; `model` has them"
    )
    figures = RequestFiguresSerializer()
    model = ModelFiguresSerializer(allow_null=True)
    time = TimePartSerializer(many=True)
    steps = StepReportSerializer(many=True)


class NetworkSerializer(serializers.Serializer[Any]):
    """What a perf run measured between its client and the server."""

    us = serializers.FloatField(help_text="mean, microseconds")
    perf_run = serializers.IntegerField()
    level = serializers.CharField(help_text="the level of it that was nearest in rate")


class OpportunitySerializer(serializers.Serializer[Any]):
    """A change that would help, and what it is worth."""

    code = serializers.CharField(help_text="a stable word for programs: docs/kpis.md explains it")
    arm = serializers.CharField()
    step = serializers.CharField(allow_blank=True, help_text="of the arm's pipeline; empty: none")
    target = serializers.CharField(help_text="model:version, or pipeline:revision")
    detail = serializers.CharField(help_text="what was found")
    change = serializers.CharField(help_text="what would help")
    overrides = DocumentField(help_text="the change in the words of a serving profile; {}: none")
    saves_us = serializers.FloatField(help_text="of a request's mean time: an estimate")
    of_us = serializers.FloatField(help_text="a request's mean time at the arm")
    rps = serializers.FloatField(help_text="requests a second that it is for")
    effort = serializers.IntegerField(help_text="1 to 3")
    effort_words = serializers.CharField()
    roi = serializers.FloatField(
        help_text="improvement * traffic / effort: seconds of waiting saved each second"
    )
    estimate = serializers.CharField(help_text="how `saves_us` was come by")
    measure = serializers.CharField(
        allow_blank=True, help_text="a command that looks around it on a lab server; empty: none"
    )
    can_be_tried = serializers.SerializerMethodField(
        help_text="whether a POST to `tries/` measures it"
    )
    tried = serializers.SerializerMethodField(
        help_text="the newest try of it; null: it was not measured"
    )

    def get_can_be_tried(self, one: Opportunity) -> bool:
        return one.experiment is not None

    @extend_schema_field(FindingTrySerializer(allow_null=True))
    def get_tried(self, one: Opportunity) -> Any:
        found = self.context["tries"].get(place_of(one))
        return None if found is None else FindingTrySerializer(found, context=self.context).data


class KpisSerializer(serializers.Serializer[Any]):
    """How well an endpoint was served within a span."""

    endpoint = serializers.CharField()
    since = serializers.DateTimeField(help_text="the beginning of its first minute")
    until = serializers.DateTimeField(help_text="the last scrape of it")
    measured_seconds = serializers.FloatField(help_text="how much of the span was measured")
    figures = RequestFiguresSerializer()
    time = TimePartSerializer(many=True)
    network = NetworkSerializer(allow_null=True, help_text="null: no perf run of it succeeded")
    arms = ArmReportSerializer(many=True)
    findings = OpportunitySerializer(many=True, help_text="the highest ROI first")


class KpisView(ResourceView):
    """The figures of an endpoint."""

    kind = Kind.ENDPOINT
    read_permission = "endpoints.view_endpoint"

    @extend_schema(responses=KpisSerializer, parameters=[WINDOW, SINCE, UNTIL])
    def get(self, request: Request, name: str) -> Response:
        """How well it is served: latency, rate, queue, batches, utilisation, cache, and where the
        time of a request goes, by arm and by step of a pipeline; and what would help, ranked by
        what it is worth.

        Figures are of whole minutes and are kept for 14 days; docs/kpis.md defines each.
        """
        found = endpoint_kpis(
            name=name,
            span=span_of(request),
            store=wiring.telemetry(),
            network_of=wiring.network_to,
        )
        tries = tries_of(name, found.findings, wiring.telemetry())
        shown = KpisSerializer(
            {**vars(found.report), "findings": found.findings},
            context={"request": request, "tries": tries},
        )
        return Response(shown.data)


def span_of(request: Request) -> Span:
    """The span that the query asks for.

    Raises:
        InvalidInputError: it is none, or nothing is kept of it.
    """
    said = request.query_params
    moments = [
        read_moment(said[key], f"/{key}") if key in said else None for key in ("since", "until")
    ]
    return read_span(said.get("window"), *moments, now=wiring.clock().now(), kept=RETENTION)
