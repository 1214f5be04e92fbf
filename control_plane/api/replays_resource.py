"""`/endpoints/{name}/replays/`: what a template would have said of what the arms did."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.analysis.replay import replay
from control_plane.api.analysis_simulations_resource import DocumentField
from control_plane.api.fields import TextField
from control_plane.api.resource import ResourceView, read_body
from control_plane.domain.access import Kind
from control_plane.endpoints.selectors import get_endpoint

EXAMPLE = OpenApiExample(
    "the last hour",
    value={
        "candidate": "digits.v2.bb2a8c",
        "baseline": "digits.v1.695b0d",
        "template": "default",
        "since": "2026-11-26T09:00:00Z",
        "until": "2026-11-26T10:00:00Z",
    },
    request_only=True,
)


class ReplayRequest(serializers.Serializer[Any]):
    """Two arms, a span of the last day, and a template by its name or as a document."""

    candidate = TextField(max_length=255, help_text="a physical model")
    baseline = TextField(max_length=255, help_text="a physical model")
    template = TextField(max_length=255, default="default", help_text="a name")
    document = DocumentField(default=None, allow_null=True, help_text="instead of a name")
    since = serializers.DateTimeField()
    until = serializers.DateTimeField(
        default=None, allow_null=True, help_text="left out: until now"
    )


class ReplaySerializer(serializers.Serializer[Any]):
    """What the run would have found."""

    template = DocumentField()
    look_every = serializers.FloatField(help_text="seconds")
    looks = serializers.IntegerField()
    phase = serializers.CharField()
    reason = serializers.CharField()
    ended_at = serializers.DateTimeField(allow_null=True, help_text="null: it would go on")
    look = DocumentField(help_text="the last look, as an analysis run keeps it")


class ReplaysView(ResourceView):
    """A backtest. Nothing is written, and nothing is kept."""

    kind = Kind.ENDPOINT
    read_permission = "endpoints.view_endpoint"
    write_permission = "endpoints.view_endpoint"

    @extend_schema(request=ReplayRequest, responses={200: ReplaySerializer}, examples=[EXAMPLE])
    def post(self, request: Request, name: str) -> Response:
        """What a run by this template would have found, look by look, in what was measured."""
        endpoint = get_endpoint(name)
        body = read_body(ReplayRequest, request)
        found = replay(
            endpoint=endpoint.name,
            candidate=body["candidate"],
            baseline=body["baseline"],
            name=body["template"],
            document=body["document"],
            since=body["since"],
            until=body["until"] or wiring.clock().now(),
            store=wiring.telemetry(),
        )
        return Response(ReplaySerializer(asdict(found)).data)
