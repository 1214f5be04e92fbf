"""`/endpoints/{name}/placement/`."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.placing_schema import PlacingSerializer, shown
from control_plane.api.policy_resource import REASON
from control_plane.api.resource import ResourceView
from control_plane.domain.access import Kind
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.placements import placing_now, placing_with, set_placement
from control_plane.endpoints.placing import placement_of
from control_plane.endpoints.selectors import get_endpoint

DOCUMENT = {
    "servers": {"tier": "gpu", "zone": {"in": ["a", "b"]}},
    "replicas": 2,
    "spread": "zone",
}
DOCUMENTS = [
    OpenApiExample("two replicas in different zones", DOCUMENT, request_only=True),
    OpenApiExample("every server but the labs", {"servers": {"lab": "false"}}, request_only=True),
]


class PlacementSerializer(PlacingSerializer):
    """An endpoint's placement."""

    placement = serializers.JSONField(allow_null=True, help_text="Null: every server.")
    words = serializers.CharField(help_text="The placement in words.")


class PlacementView(ResourceView):
    """Which servers an endpoint is on."""

    kind = Kind.ENDPOINT
    read_permission = "endpoints.view_endpoint"
    write_permission = "endpoints.change_endpoint"

    @extend_schema(responses=PlacementSerializer)
    def get(self, request: Request, name: str) -> Response:
        """The placement, the servers, and for every server why it is there or not."""
        return self._shown(get_endpoint(name))

    @extend_schema(
        request=OpenApiTypes.OBJECT,
        responses=PlacementSerializer,
        parameters=[REASON],
        examples=DOCUMENTS,
    )
    def put(self, request: Request, name: str) -> Response:
        """Says which servers it shall be on; it moves at once, and nobody is left before the
        others serve."""
        return self._set(request, name, request.data)

    @extend_schema(responses=PlacementSerializer, parameters=[REASON])
    def delete(self, request: Request, name: str) -> Response:
        """Takes the placement back: it shall be on every server."""
        return self._set(request, name, None)

    def _set(self, request: Request, name: str, document: Any) -> Response:
        endpoint = set_placement(
            name=name,
            document=document,
            actor=self.actor,
            queue=wiring.queue(),
            reason=request.query_params.get("reason", ""),
        )
        return self._shown(endpoint)

    def _shown(self, endpoint: Endpoint) -> Response:
        placing = placing_now(endpoint, wiring.clock().now())
        wanted = placement_of(endpoint)
        body = {**shown(placing), "placement": endpoint.placement, "words": wanted.in_words()}
        return Response(body)


class PlacementPlanView(ResourceView):
    """The dry run of a placement."""

    kind = Kind.ENDPOINT
    read_permission = "endpoints.view_endpoint"
    write_permission = "endpoints.view_endpoint"

    @extend_schema(request=OpenApiTypes.OBJECT, responses=PlacingSerializer, examples=DOCUMENTS)
    def post(self, request: Request, name: str) -> Response:
        """Which servers it would be on by that placement, and why; nothing is written."""
        return Response(shown(placing_with(name, request.data, wiring.clock().now())))
