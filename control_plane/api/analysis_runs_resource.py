"""`/analysis-runs/{id}/`: one measurement, with every look that was taken."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane.analysis.models import AnalysisLook, AnalysisRun
from control_plane.analysis.selectors import endpoint_of_run, get_run, last_looks, looks_of
from control_plane.api.analysis_templates_resource import TemplateDocumentField
from control_plane.api.pagination import AllowedOrdering, NumberPagination
from control_plane.api.resource import ResourceView
from control_plane.api.rollout_document import AnalysisRunSerializer, LookSerializer, look_document
from control_plane.domain.access import Kind


class AnalysisRunDetailSerializer(AnalysisRunSerializer):
    """A run with the template that it goes by, and its newest look."""

    template_document = TemplateDocumentField(
        source="template", help_text="as it was when the run began"
    )
    look = serializers.SerializerMethodField(help_text="the newest")

    @extend_schema_field(LookSerializer(allow_null=True))
    def get_look(self, run: AnalysisRun) -> dict[str, Any] | None:
        look = last_looks([run.id]).get(run.id)
        return None if look is None else look_document(look)


class OneRunView(ResourceView):
    """What concerns one run, by its id: the grant that counts is on its endpoint."""

    kind = Kind.ENDPOINT
    read_permission = "analysis.view_analysisrun"

    def target_name(self, request: Request) -> str | None:
        return endpoint_of_run(self.kwargs["run_id"])


class AnalysisRunView(OneRunView):
    """One analysis run."""

    @extend_schema(responses=AnalysisRunDetailSerializer)
    def get(self, request: Request, run_id: UUID) -> Response:
        """One measurement: by which template, how far it has come, and its newest look."""
        return Response(AnalysisRunDetailSerializer(get_run(run_id)).data)


class AnalysisLooksView(OneRunView, ListAPIView[AnalysisLook]):
    """Every look of a run."""

    queryset = AnalysisLook.objects.none()
    serializer_class = LookSerializer
    pagination_class = NumberPagination
    filter_backends: Any = (AllowedOrdering,)
    ordering_fields = ("number",)

    def get(self, request: Request, run_id: UUID) -> Response:
        """Every look, newest first; with `?ordering=number` in the order they were taken."""
        return self.list(request)

    def get_queryset(self) -> QuerySet[AnalysisLook]:
        if getattr(self, "swagger_fake_view", False):
            return AnalysisLook.objects.none()
        return looks_of(get_run(self.kwargs["run_id"]))

    def paginate_queryset(self, queryset: Any) -> Any:
        return [look_document(look) for look in super().paginate_queryset(queryset) or []]
