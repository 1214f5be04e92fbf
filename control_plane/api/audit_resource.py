"""`/audit/`."""

from __future__ import annotations

from django_filters.rest_framework import DjangoFilterBackend
from rest_framework import serializers
from rest_framework.filters import SearchFilter
from rest_framework.generics import ListAPIView

from control_plane.api.pagination import AllowedOrdering, NewestPagination
from control_plane.api.resource import ResourceView
from control_plane.audit.models import AuditEvent


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
        )


class AuditView(ResourceView, ListAPIView[AuditEvent]):
    """Who did what, newest first."""

    read_permission = "audit.view_auditevent"
    queryset = AuditEvent.objects.all()
    serializer_class = AuditEventSerializer
    pagination_class = NewestPagination
    filter_backends = (DjangoFilterBackend, SearchFilter, AllowedOrdering)
    ordering_fields = ("id", "at")
    filterset_fields = ("actor", "action", "object_type", "object_name")
    search_fields = ("object_name", "actor", "reason")
