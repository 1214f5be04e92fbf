"""`/versions/`: versions of all models."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework.generics import ListAPIView

from control_plane.api.pagination import AllowedOrdering, CreatedPagination
from control_plane.api.registry_filters import AllVersionsFilter, DeclaredFilters
from control_plane.api.resource import OnlyVisible, ResourceView
from control_plane.api.versions_resource import VersionSerializer, with_places
from control_plane.domain.access import Kind
from control_plane.registry.models import ModelVersion


class AllVersionsView(ResourceView, ListAPIView[ModelVersion]):
    """Versions of all models, newest first: which were rejected, whose they are, what tag they
    have. `search` looks in the names of models."""

    kind = Kind.MODEL
    read_permission = "registry.view_modelversion"
    queryset = ModelVersion.objects.none()
    serializer_class = VersionSerializer
    pagination_class = CreatedPagination
    filter_backends = (OnlyVisible, DeclaredFilters, AllowedOrdering)
    filterset_class = AllVersionsFilter
    ordering_fields = ("created_at",)

    def get_queryset(self) -> QuerySet[ModelVersion]:
        if getattr(self, "swagger_fake_view", False):
            return ModelVersion.objects.none()
        rows = ModelVersion.objects.select_related("model", "artifact")
        return rows.prefetch_related("aliases")

    def paginate_queryset(self, queryset: Any) -> Any:
        """A page of versions, with where each serves: one question for all of them."""
        return with_places(super().paginate_queryset(queryset) or [])
