"""`/endpoints/{name}/kpis/tries/`: what a finding says, measured by two perf runs."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.fields import TextField
from control_plane.api.resource import ResourceView, link, read_body
from control_plane.domain.access import Kind
from control_plane.domain.kpis.opportunities import finding_at
from control_plane.domain.kpis.span import read_span
from control_plane.endpoints.kpis import endpoint_kpis
from control_plane.telemetry.store import RETENTION
from control_plane.tuning.tries import Tried, get_try, start_try, tried


class FindingTryRequest(serializers.Serializer[Any]):
    """Which finding is measured, in the words of `/kpis/`, and where."""

    code = TextField()
    arm = TextField()
    step = TextField(required=False, allow_blank=True, default="")
    window = TextField(required=False, help_text="In whose figures it stands: `5m`, `1h`, `2d`.")
    server = TextField(required=False, help_text="The one that is a lab, unless you say.")


class FindingTrySerializer(serializers.Serializer[Any]):
    """A change that was measured: the mean time of a row as it is, and changed."""

    id = serializers.IntegerField(source="row.pk")
    code = serializers.CharField(source="row.code")
    arm = serializers.CharField(source="row.arm")
    step = serializers.CharField(source="row.step", allow_blank=True)
    change = serializers.CharField(source="row.change")
    state = serializers.CharField(help_text="Of both runs: `succeeded` when both are measured.")
    reason = serializers.CharField()
    server = serializers.CharField(source="row.server_name")
    before = serializers.IntegerField(
        source="row.before_id", allow_null=True, help_text="The perf run as it is."
    )
    after = serializers.IntegerField(
        source="row.after_id", allow_null=True, help_text="The perf run of the change."
    )
    before_us = serializers.FloatField(
        source="measured.before_us", default=None, allow_null=True, help_text="null: not measured"
    )
    after_us = serializers.FloatField(
        source="measured.after_us", default=None, allow_null=True, help_text="null: not measured"
    )
    ratio = serializers.FloatField(
        source="measured.ratio", default=None, allow_null=True, help_text="after / before"
    )
    asked_by = serializers.CharField(source="row.asked_by")
    created_at = serializers.DateTimeField(source="row.created_at")
    status_url = serializers.SerializerMethodField()

    def get_status_url(self, of: Tried) -> str:
        where = {"name": of.row.endpoint, "number": of.row.pk}
        return link(self.context["request"], "kpis-try", **where)


class KpisTriesView(ResourceView):
    """Findings that are to be measured; the load is the whole server's, so no grant is enough."""

    read_permission = "tuning.view_perfrun"
    write_permission = "tuning.add_perfrun"

    @extend_schema(
        request=FindingTryRequest,
        responses={202: FindingTrySerializer},
        examples=[
            OpenApiExample(
                "the first one", {"code": "shorter-delay", "arm": "digits-v1"}, request_only=True
            )
        ],
    )
    def post(self, request: Request, name: str) -> Response:
        """Measures what a finding says: a perf run as it is, and one with the change.

        Both under the same load on one lab server: a version at the rate that one server has of
        it, an endpoint with one caller. Nothing that serves changes. A finding that the figures do
        not have (any more), or that no perf run can measure, is refused (409).
        """
        body = read_body(FindingTryRequest, request)
        span = read_span(body.get("window"), None, None, now=wiring.clock().now(), kept=RETENTION)
        found = endpoint_kpis(
            name=name, span=span, store=wiring.telemetry(), network_of=wiring.network_to
        )
        row = start_try(
            endpoint=name,
            finding=finding_at(found.findings, body["code"], body["arm"], body["step"]),
            server=body.get("server"),
            actor=self.actor,
            clock=wiring.clock(),
            queue=wiring.queue(),
            endpoints=wiring.endpoint_facts(),
            store=wiring.artifact_store(),
        )
        document = _shown(request, tried(row, wiring.telemetry()))
        return Response(document, status=202, headers={"Location": document["status_url"]})


class KpisTryView(ResourceView):
    """One finding that was measured."""

    kind = Kind.ENDPOINT
    read_permission = "endpoints.view_endpoint"

    @extend_schema(responses=FindingTrySerializer)
    def get(self, request: Request, name: str, number: int) -> Response:
        """How far it is, and what it measured."""
        row = get_try(name, int(number))
        return Response(_shown(request, tried(row, wiring.telemetry())))


def _shown(request: Request, of: Tried) -> dict[str, Any]:
    return dict(FindingTrySerializer(of, context={"request": request}).data)
