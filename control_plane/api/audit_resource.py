"""`/audit/`."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.filters import SearchFilter
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane.api.fields import read_moment
from control_plane.api.pagination import AllowedOrdering, NewestPagination
from control_plane.api.resource import ResourceView
from control_plane.audit.models import AuditEvent
from control_plane.audit.selectors import events_for
from control_plane.domain.stored_json import check_text

EXACT = ("actor", "action", "object_type", "object_name", "object_id", "request_id")
RANGE = {"since": "at__gte", "until": "at__lt"}
FILTERS = [
    *(OpenApiParameter(name, str, description="Only this one.") for name in EXACT),
    OpenApiParameter("since", str, description="From this time on (RFC 3339)."),
    OpenApiParameter("until", str, description="Before this time (RFC 3339)."),
]


class AuditEventSerializer(serializers.ModelSerializer[AuditEvent]):
    """One deed as the API shows it."""

    class Meta:
        model = AuditEvent
        fields = (
            "id",
            "at",
            "actor",
            "action",
            "object_type",
            "object_id",
            "object_name",
            "before",
            "after",
            "reason",
            "request_id",
        )


class AuditView(ResourceView, ListAPIView[AuditEvent]):
    """Who did what."""

    read_permission = "audit.view_auditevent"
    queryset = AuditEvent.objects.none()
    serializer_class = AuditEventSerializer
    pagination_class = NewestPagination
    filter_backends = (SearchFilter, AllowedOrdering)
    ordering_fields = ("id", "at")
    search_fields = ("object_name", "actor", "reason")

    @extend_schema(parameters=FILTERS)
    def get(self, request: Request) -> Response:
        """Who did what, newest first."""
        return self.list(request)

    def get_queryset(self) -> QuerySet[AuditEvent]:
        if getattr(self, "swagger_fake_view", False):
            return AuditEvent.objects.none()
        asked = self.request.query_params
        wanted: dict[str, Any] = {}
        for name in EXACT:
            if name in asked:
                check_text(asked[name], f"/{name}")
                wanted[name] = asked[name]
        for name, lookup in RANGE.items():
            if name in asked:
                wanted[lookup] = read_moment(asked[name], f"/{name}")
        return events_for(self.request.user).filter(**wanted)
