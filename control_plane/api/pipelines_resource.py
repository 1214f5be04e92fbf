"""`/pipelines/`: steps that hand tensors on to each other, their revisions, and the dry run."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.conditions import IF_MATCH, RevisedView
from control_plane.api.pagination import ListedPagination, NumberPagination
from control_plane.api.pipeline_schema import (
    DOCUMENT,
    EXAMPLE,
    CheckAnswerSerializer,
    PipelineSerializer,
)
from control_plane.api.resource import ResourceView
from control_plane.domain.pipelines.members import WiredStep, Wiring
from control_plane.registry.models import Pipeline, PipelineRevision
from control_plane.registry.pipeline_edits import (
    check_pipeline,
    delete_pipeline,
    locked_pipeline,
    put_pipeline,
)
from control_plane.registry.pipelines import (
    KnownPipeline,
    all_known,
    get_pipeline,
    get_pipeline_revision,
    newest_revisions,
)

SEARCH = OpenApiParameter("search", str, description="A part of the name or the description.")
IF_MATCH_TO_CHANGE = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="To change a pipeline: the ETag that was read, or * to overwrite whatever is "
    "there. Left out where the pipeline is new.",
)


class PipelinesView(ResourceView, ListAPIView[Any]):
    """All pipelines."""

    read_permission = "registry.view_pipeline"
    serializer_class = PipelineSerializer
    pagination_class = ListedPagination
    filter_backends: Any = ()

    @extend_schema(parameters=[SEARCH])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """All pipelines by name, each at its newest revision."""
        return self.list(request, *args, **kwargs)

    def get_queryset(self) -> Any:
        if getattr(self, "swagger_fake_view", False):
            return []
        word = self.request.query_params.get("search", "").lower()
        rows = [row for row in newest_revisions() if word in _searched(row)]
        return _Shown(rows)


class PipelineView(RevisedView):
    """One pipeline."""

    read_permission = "registry.view_pipeline"
    record = "pipeline"
    words = "pipeline"

    def find(self, name: str) -> object | None:
        return locked_pipeline(name)

    def store(self, name: str, document: object) -> bool:
        return put_pipeline(name=name, document=document, actor=self.actor)

    def shown(self, **path: Any) -> dict[str, Any]:
        [document] = documents([get_pipeline_revision(path["name"])])
        return document

    @extend_schema(responses=PipelineSerializer)
    def get(self, request: Request, name: str) -> Response:
        """One pipeline at its newest revision, with its tensors and where it serves."""
        return Response(self.shown(name=name))

    @extend_schema(
        request={"application/json": DOCUMENT},
        responses={200: PipelineSerializer, 201: PipelineSerializer},
        parameters=[IF_MATCH_TO_CHANGE],
        examples=[EXAMPLE],
    )
    def put(self, request: Request, name: str) -> Response:
        """Makes this document the pipeline's newest revision, and the pipeline where it is new.

        What serves is pinned to its own revision: a policy that names the new one moves traffic.
        """
        return self.put_document(request, name)

    @extend_schema(responses={204: None}, parameters=[IF_MATCH])
    def delete(self, request: Request, name: str) -> Response:
        """Removes a pipeline that no endpoint's revision and no other pipeline uses."""
        delete_pipeline(name=name, actor=self.actor)
        return Response(status=204)


class PipelineCheckView(ResourceView):
    """The dry run of a pipeline."""

    read_permission = "registry.view_pipeline"
    write_permission = "registry.view_pipeline"

    @extend_schema(
        request={"application/json": DOCUMENT},
        responses=CheckAnswerSerializer,
        examples=[EXAMPLE],
    )
    def post(self, request: Request, name: str) -> Response:
        """What this pipeline would be; nothing is written, and there need not be one."""
        pipeline, wired, steps = check_pipeline(name, request.data)
        found = pipeline.to_document()
        present = Pipeline.objects.filter(name=name).first()
        before = get_pipeline_revision(name).document if present else None
        document = {"document": found, **_wired(wired, steps), "diff": _diff(before, found)}
        return Response(CheckAnswerSerializer(document).data)


class PipelineRevisionsView(ResourceView, ListAPIView[Any]):
    """The revisions of a pipeline."""

    read_permission = "registry.view_pipeline"
    queryset = PipelineRevision.objects.none()
    serializer_class = PipelineSerializer
    pagination_class = NumberPagination
    ordering_fields = ("number", "created_at")

    @extend_schema(operation_id="pipelines_revisions_list")
    def get(self, request: Request, name: str) -> Response:
        """The revisions, newest first."""
        return self.list(request, name=name)

    def get_queryset(self) -> QuerySet[PipelineRevision]:
        if getattr(self, "swagger_fake_view", False):
            return PipelineRevision.objects.none()
        return get_pipeline(self.kwargs["name"]).revisions.select_related("pipeline")

    def paginate_queryset(self, queryset: Any) -> Any:
        return documents(super().paginate_queryset(queryset) or [])


class PipelineRevisionView(ResourceView):
    """One revision of a pipeline."""

    read_permission = "registry.view_pipeline"

    @extend_schema(responses=PipelineSerializer)
    def get(self, request: Request, name: str, number: str) -> Response:
        """One revision, with where it serves."""
        [document] = documents([get_pipeline_revision(name, int(number))])
        return Response(document)


class _Shown:
    """Revisions as a list that is looked into page by page: only what is shown is put together."""

    def __init__(self, rows: list[PipelineRevision]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: slice) -> list[dict[str, Any]]:
        return documents(self._rows[place])


def documents(rows: Iterable[PipelineRevision]) -> list[dict[str, Any]]:
    """Revisions as the API shows them, however many in as many queries."""
    known = all_known(rows)
    places = wiring.serving().of_pipelines([one.revision.id for one in known])
    return [_document(one, places.get(one.revision.id, ())) for one in known]


def _document(known: KnownPipeline, places: Any) -> dict[str, Any]:
    row = known.revision
    document = {
        "name": row.pipeline.name,
        "revision": row.number,
        "document": row.document,
        **_wired(known.wiring, known.steps),
        "error": known.error,
        "serves_in": places,
        "changed_at": row.created_at,
        "changed_by": row.created_by,
    }
    return dict(PipelineSerializer(document).data)


def _wired(wired: Wiring | None, steps: Iterable[WiredStep]) -> dict[str, Any]:
    """What is known of the tensors; nothing where they do not fit together any more."""
    return {
        "inputs": wired.signature.inputs if wired else (),
        "outputs": wired.signature.outputs if wired else (),
        "max_batch_size": wired.max_batch_size if wired else 0,
        "decoupled": wired.decoupled if wired else False,
        "steps": [_step(step) for step in steps],
        "own_steps": [
            {**_step(step), "pipeline": step.runs.pipeline}
            for step in (wired.steps if wired else ())
        ],
        "tensors": list(wired.tensors.values()) if wired else [],
        "findings": wired.findings if wired else (),
    }


def _step(step: WiredStep) -> dict[str, Any]:
    return {
        "name": step.name,
        "model": step.runs.name,
        "version": step.runs.number,
        "inputs": step.inputs,
        "outputs": step.outputs,
    }


def _searched(row: PipelineRevision) -> str:
    return f"{row.pipeline.name} {row.document.get('description', '')}".lower()


def _diff(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> str:
    """Of the documents, line by line."""
    old, new = ([] if one is None else _lines(one) for one in (before, after))
    return "\n".join(difflib.unified_diff(old, new, "before", "after", lineterm=""))


def _lines(document: Mapping[str, Any]) -> list[str]:
    return json.dumps(document, indent=2, ensure_ascii=False).splitlines()
