"""`/servers/{name}/cordon/`, `/uncordon/` and `/drain/`: whether endpoints are placed there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.fields import TextField
from control_plane.api.resource import read_body
from control_plane.api.servers_resource import OneServerView, ServerSerializer
from control_plane.fleet import cordoning
from control_plane.fleet.models import Server


class SchedulingRequest(serializers.Serializer[Any]):
    """Why, for the audit record and for whoever looks at the server."""

    reason = TextField(required=False, allow_blank=True, default="")


_said = extend_schema(
    request=SchedulingRequest,
    responses=ServerSerializer,
    examples=[
        OpenApiExample("with a reason", {"reason": "kernel update"}, request_only=True),
        OpenApiExample("without a word", {}, request_only=True),
    ],
)


class SchedulingView(OneServerView):
    """What says whether endpoints are placed on a server; the same again changes nothing."""

    write_permission = "fleet.change_server"
    service: ClassVar[Callable[..., Server]]

    def done(self, request: Request, name: str) -> Response:
        """The server as it stands after it."""
        body = read_body(SchedulingRequest, request)
        type(self).service(name=name, actor=self.actor, now=wiring.clock().now(), **body)
        return self.shown(name)


class CordonView(SchedulingView):
    """Nothing new."""

    service = staticmethod(cordoning.cordon_server)

    @_said
    def post(self, request: Request, name: str) -> Response:
        """Nothing new is placed there; what is there stays. A drain ends."""
        return self.done(request, name)


class UncordonView(SchedulingView):
    """Open again."""

    service = staticmethod(cordoning.uncordon_server)

    @_said
    def post(self, request: Request, name: str) -> Response:
        """Endpoints may be placed there again, and a drain ends.

        What is meant to be on every server comes back; replicas that moved stay where they are.
        """
        return self.done(request, name)


class DrainView(SchedulingView):
    """Empty it."""

    service = staticmethod(cordoning.drain_server)

    @_said
    def post(self, request: Request, name: str) -> Response:
        """Cordons it, and what it holds moves to other servers, as far as they can take it.

        Nothing leaves before it serves elsewhere. `scheduling` says what is left and what it waits
        for; `Drained` is empty, and may be stopped and removed. Uncordoning is the way back.
        """
        return self.done(request, name)
