"""`/endpoints/{name}/revisions/`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.fields import read_moment
from control_plane.api.pagination import NumberPagination
from control_plane.api.policy_schema import PolicyField
from control_plane.api.resource import ResourceView
from control_plane.domain.access import Kind
from control_plane.domain.violations import NotFoundError
from control_plane.endpoints.history import arms_of, served_at, with_end
from control_plane.endpoints.models import Revision
from control_plane.endpoints.selectors import get_endpoint

AT = OpenApiParameter(
    "at",
    datetime,
    description="What served at that time (RFC 3339): one revision; two while a change was on its "
    "way; none where nothing served. Also for an endpoint that is gone.",
)


class RevisionArmSerializer(serializers.Serializer[Any]):
    """An arm of a revision with the physical model behind it; `weight` is a percent."""

    name = serializers.CharField()
    model = serializers.CharField(allow_null=True, help_text="null: a pipeline")
    version = serializers.IntegerField(allow_null=True)
    pipeline = serializers.CharField(allow_null=True, help_text="null: a version")
    revision = serializers.IntegerField(allow_null=True, help_text="of the pipeline")
    weight = serializers.FloatField()
    primary = serializers.BooleanField()
    physical = serializers.CharField(allow_null=True)
    profile_revision = serializers.IntegerField(
        allow_null=True,
        help_text="of the serving profile that it was compiled with; null: one that is built in",
    )


class RevisionSerializer(serializers.ModelSerializer[Revision]):
    """A revision as the API shows it."""

    policy = PolicyField(read_only=True)
    arms = serializers.SerializerMethodField()
    served_until = serializers.SerializerMethodField(
        help_text="when every server had the next one; null: it serves, or never did"
    )

    class Meta:
        model = Revision
        fields = (
            "number",
            "generation",
            "digest",
            "error",
            "policy",
            "arms",
            "diff",
            "restores",
            "created_at",
            "created_by",
            "reason",
            "approved_by",
            "switched_from",
            "served_from",
            "served_until",
        )

    @extend_schema_field(RevisionArmSerializer(many=True))
    def get_arms(self, revision: Revision) -> list[dict[str, object]]:
        return arms_of(revision)

    def get_served_until(self, revision: Any) -> datetime | None:
        until: datetime | None = revision.served_until
        return until if revision.began else None


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
        """The revisions, newest first; with `?at=` what served at that time."""
        at = request.query_params.get("at")
        if at is None:
            return self.list(request, name=name)
        served = served_at(name, read_moment(at, "/at"), wiring.clock().now())
        results = RevisionSerializer(served, many=True).data
        return Response({"results": results, "next": None, "previous": None})

    def get_queryset(self) -> QuerySet[Revision]:
        if getattr(self, "swagger_fake_view", False):
            return Revision.objects.none()
        return with_end(get_endpoint(self.kwargs["name"]).revisions.all())


class RevisionView(ResourceView):
    """One revision."""

    kind = Kind.ENDPOINT
    read_permission = "endpoints.view_revision"

    @extend_schema(responses=RevisionSerializer)
    def get(self, request: Request, name: str, number: int) -> Response:
        """One revision with its policy and diff."""
        revision = with_end(get_endpoint(name).revisions.filter(number=number)).first()
        if revision is None:
            raise NotFoundError(f"endpoint {name!r} has no revision {number}")
        return Response(RevisionSerializer(revision).data)
