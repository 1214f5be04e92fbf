"""`/models/{name}/versions/{n}/archive/` and `/unarchive/`."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.fields import TextField
from control_plane.api.resource import ResourceView, read_body
from control_plane.api.versions_resource import VersionSerializer, version_document
from control_plane.domain.access import Kind
from control_plane.registry.lifecycle import archive_version, unarchive_version
from control_plane.registry.selectors import get_version


class StateRequest(serializers.Serializer[Any]):
    """Why a version leaves or comes back."""

    reason = TextField(required=False, allow_blank=True, default="")


EXAMPLE = OpenApiExample("why", {"reason": "superseded by version 3"}, request_only=True)


class ArchiveView(ResourceView):
    """Out of use."""

    kind = Kind.MODEL
    read_permission = "registry.view_modelversion"
    write_permission = "registry.change_modelversion"

    @extend_schema(request=StateRequest, responses=VersionSerializer, examples=[EXAMPLE])
    def post(self, request: Request, name: str, number: str) -> Response:
        """Takes a version out of use; it stays with its artifact.

        One that serves, or that an alias points to, is refused (409), and the answer says where.
        """
        body = read_body(StateRequest, request)
        version = archive_version(
            version_id=get_version(name, number).id,
            actor=self.actor,
            serving=wiring.serving(),
            **body,
        )
        return Response(version_document(version, request))


class UnarchiveView(ResourceView):
    """And back."""

    kind = Kind.MODEL
    read_permission = "registry.view_modelversion"
    write_permission = "registry.change_modelversion"

    @extend_schema(request=StateRequest, responses={202: VersionSerializer})
    def post(self, request: Request, name: str, number: str) -> Response:
        """Brings an archived version back: it is validated anew, then ready or rejected."""
        body = read_body(StateRequest, request)
        version = unarchive_version(
            version_id=get_version(name, number).id,
            actor=self.actor,
            queue=wiring.queue(),
            **body,
        )
        document = version_document(version, request)
        return Response(document, status=202, headers={"Location": document["status_url"]})
