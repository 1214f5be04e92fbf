"""`/analysis-templates/`: what rollouts measure, built in and added."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    extend_schema,
    extend_schema_field,
)
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane.analysis.selectors import (
    BUILT_IN,
    KnownTemplate,
    all_templates,
    get_template,
)
from control_plane.analysis.templates import delete_template, locked_template, put_template
from control_plane.api.conditions import IF_MATCH, RevisedView
from control_plane.api.pagination import ListedPagination
from control_plane.api.resource import ResourceView

DOCUMENT: dict[str, Any] = {
    "type": "object",
    "additionalProperties": True,
    "description": "An analysis template: its metrics, and how sure one has to be. Every word is "
    "explained in docs/analysis.md.",
    "example": {"alpha": 0.05, "metrics": [{"name": "errors", "kind": "error_rate"}]},
}
SEARCH = OpenApiParameter("search", str, description="A part of the name.")
IF_MATCH_TO_CHANGE = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="To change a template: the ETag that was read, or * to overwrite whatever is "
    "there. Left out where the template is new, or takes the place of the one of Nereid.",
)
EXAMPLE = OpenApiExample(
    "errors and labels",
    value={
        "alpha": 0.05,
        "metrics": [
            {
                "name": "errors",
                "kind": "error_rate",
                "compare": "baseline",
                "goal": "non_inferior",
                "margin": 0.005,
            },
            {
                "name": "labels",
                "kind": "feedback",
                "outcome": "correct",
                "goal": "superior",
                "required": False,
            },
        ],
        "interval": "1s",
        "inconclusiveAfter": "30m",
        "onInconclusive": "pause",
    },
    request_only=True,
)
PROMQL_EXAMPLE = OpenApiExample(
    "what Prometheus counts",
    value={
        "metrics": [
            {
                "name": "refunds",
                "kind": "promql",
                "of": 'orders_total{version="{{version}}"}',
                "count": 'refunds_total{version="{{version}}"}',
                "margin": 0.01,
            },
            {
                "name": "cost",
                "kind": "promql",
                "query": 'sum(rate(gpu_seconds_total{arm="{{arm}}"}[{{window}}]))',
                "marginRelative": 0.1,
                "required": False,
            },
        ]
    },
    request_only=True,
)


@extend_schema_field(DOCUMENT)
class TemplateDocumentField(serializers.JSONField):
    """A template as it may be sent again."""


class AnalysisTemplateSerializer(serializers.Serializer[Any]):
    """An analysis template as the API shows it."""

    name = serializers.CharField()
    built_in = serializers.BooleanField(help_text="it comes with Nereid")
    revision = serializers.IntegerField(allow_null=True, help_text="null: built in")
    document = TemplateDocumentField(help_text="with every value in force")
    changed_at = serializers.DateTimeField(allow_null=True)
    changed_by = serializers.CharField()


class AnalysisTemplatesView(ResourceView, ListAPIView[Any]):
    """All analysis templates."""

    read_permission = "analysis.view_analysistemplate"
    serializer_class = AnalysisTemplateSerializer
    pagination_class = ListedPagination
    filter_backends: Any = ()

    @extend_schema(parameters=[SEARCH])
    def get(self, request: Request) -> Response:
        """All analysis templates by name, built in and added."""
        return self.list(request)

    def get_queryset(self) -> Any:
        if getattr(self, "swagger_fake_view", False):
            return []
        word = self.request.query_params.get("search", "").lower()
        return [_document(known) for known in all_templates() if word in known.name]


class AnalysisTemplateView(RevisedView):
    """One analysis template."""

    read_permission = "analysis.view_analysistemplate"
    app = "analysis"
    record = "analysistemplate"
    address = "analysis-template"
    words = "analysis template"

    def find(self, name: str) -> object | None:
        return locked_template(name)

    def store(self, name: str, document: object) -> bool:
        return put_template(name=name, document=document, actor=self.actor)

    def comes_with_nereid(self, name: str) -> bool:
        return name in BUILT_IN

    def shown(self, **path: Any) -> dict[str, Any]:
        return _document(get_template(path["name"]))

    @extend_schema(responses=AnalysisTemplateSerializer)
    def get(self, request: Request, name: str) -> Response:
        """One analysis template at its newest revision."""
        return Response(self.shown(name=name))

    @extend_schema(
        request={"application/json": DOCUMENT},
        responses={200: AnalysisTemplateSerializer, 201: AnalysisTemplateSerializer},
        parameters=[IF_MATCH_TO_CHANGE],
        examples=[EXAMPLE, PROMQL_EXAMPLE],
    )
    def put(self, request: Request, name: str) -> Response:
        """Makes this document the template's newest revision, and the template where it is new.

        Runs that are under way go on by what they began with. One of the name `default` takes the
        place of the one that comes with Nereid.
        """
        return self.put_document(request, name)

    @extend_schema(responses={204: None}, parameters=[IF_MATCH])
    def delete(self, request: Request, name: str) -> Response:
        """Removes a template of your own; of the name `default` the one of Nereid is there again.

        Runs keep what they began with; a rollout that comes to its name later pauses there.
        """
        delete_template(name=name, actor=self.actor)
        return Response(status=204)


def _document(known: KnownTemplate) -> dict[str, Any]:
    return dict(AnalysisTemplateSerializer(known).data)
