"""`/endpoints/{name}/revisions/`."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane.api.fields import read_moment
from control_plane.api.pagination import NumberPagination
from control_plane.api.policy_schema import PolicyField
from control_plane.api.resource import ResourceView
from control_plane.domain.access import Kind
from control_plane.domain.violations import NotFoundError
from control_plane.endpoints.models import Revision
from control_plane.endpoints.selectors import get_endpoint

AT = OpenApiParameter(
    "at", datetime, description="Only the revision that served at that time (RFC 3339)."
)


class RevisionSerializer(serializers.ModelSerializer[Revision]):
    """A revision as the API shows it."""

    policy = PolicyField(read_only=True)

    class Meta:
        model = Revision
        fields = (
            "number",
            "generation",
            "digest",
            "error",
            "policy",
            "diff",
            "created_at",
            "created_by",
            "served_from",
        )


class RevisionsView(ResourceView, ListAPIView[Revision]):
    """The revisions of an endpoint."""

    kind = Kind.ENDPOINT
    read_permission = "endpoints.view_revision"
    queryset = Revision.objects.none()
    serializer_class = RevisionSerializer
    pagination_class = NumberPagination
    ordering_fields = ("number", "created_at")

    @extend_schema(parameters=[AT])
    def get(self, request: Request, name: str) -> Response:
        """The revisions, newest first; with `?at=` the one that served at that time."""
        return self.list(request, name=name)

    def get_queryset(self) -> QuerySet[Revision]:
        if getattr(self, "swagger_fake_view", False):
            return Revision.objects.none()
        rows = get_endpoint(self.kwargs["name"]).revisions.all()
        at = self.request.query_params.get("at")
        if at is None:
            return rows
        served = rows.filter(served_from__lte=read_moment(at, "/at")).order_by(
            "-served_from", "-number"
        )
        return rows.filter(pk__in=served.values("pk")[:1])


class RevisionView(ResourceView):
    """One revision."""

    kind = Kind.ENDPOINT
    read_permission = "endpoints.view_revision"

    @extend_schema(responses=RevisionSerializer)
    def get(self, request: Request, name: str, number: int) -> Response:
        """One revision with its policy and diff."""
        revision = get_endpoint(name).revisions.filter(number=number).first()
        if revision is None:
            raise NotFoundError(f"endpoint {name!r} has no revision {number}")
        return Response(RevisionSerializer(revision).data)
