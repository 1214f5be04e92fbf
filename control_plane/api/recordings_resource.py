"""`/endpoints/{name}/recordings/`: what callers sent, for perf runs to send again."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.fields import NumberField, TextField, WholeNumberField
from control_plane.api.pagination import CreatedPagination
from control_plane.api.resource import ResourceView, link
from control_plane.domain.access import Kind
from control_plane.domain.perf.recording import MAX_BYTES, MAX_REQUESTS
from control_plane.domain.violations import InvalidInputError, Violation
from control_plane.endpoints.selectors import get_endpoint
from control_plane.tuning.models import Recording
from control_plane.tuning.recordings import (
    delete_recording,
    get_recording,
    recordings,
    start_recording,
    stop_recording,
)


class RecordingRequest(serializers.Serializer[Any]):
    """What is recorded: it ends with the first of its bounds."""

    name = TextField(required=False, help_text="One of the endpoint's name, unless you say.")
    server = TextField(required=False, help_text="One of those that serve it.")
    requests = WholeNumberField(
        required=False, min_value=1, max_value=MAX_REQUESTS, help_text="At most; 200."
    )
    bytes = WholeNumberField(
        required=False, min_value=1024, max_value=MAX_BYTES, help_text="At most; 16 MiB."
    )
    length = serializers.RegexField(
        r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)$", required=False, help_text="At most, 1s to 24h; 10m."
    )
    percent = NumberField(
        required=False, min_value=0.01, max_value=100, help_text="Of the requests; 100."
    )
    reason = TextField(required=False, allow_blank=True)


class RecordedInput(serializers.Serializer[Any]):
    """An input as it was sent; shapes with the batch."""

    name = serializers.CharField()
    datatype = serializers.CharField()
    least = serializers.ListField(child=serializers.IntegerField())
    most = serializers.ListField(child=serializers.IntegerField())
    requests = serializers.IntegerField(help_text="That had it.")


class RecordedRows(serializers.Serializer[Any]):
    """Rows of a request."""

    mean = serializers.FloatField()
    most = serializers.IntegerField()


class RecordingFacts(serializers.Serializer[Any]):
    """What may be shown of a recording; empty before it is ready."""

    requests = serializers.IntegerField(required=False)
    bytes = serializers.IntegerField(required=False, help_text="Of tensors.")
    batched = serializers.BooleanField(required=False)
    rows = RecordedRows(required=False, allow_null=True)
    seconds = serializers.FloatField(required=False, help_text="From the first to the last.")
    inputs = RecordedInput(many=True, required=False)


class RecordingSerializer(serializers.ModelSerializer[Recording]):
    """A recording; nothing of what was sent is in it."""

    server = serializers.CharField(source="server_name")
    asked = serializers.SerializerMethodField(help_text="With what was left out filled in.")
    facts = RecordingFacts()
    status_url = serializers.SerializerMethodField()

    class Meta:
        model = Recording
        fields = (
            *("name", "endpoint", "server", "state", "reason", "asked", "requests", "size"),
            *("facts", "asked_by", "stopped_by", "created_at", "started_at", "ends_at"),
            *("finished_at", "status_url"),
        )

    def get_asked(self, row: Recording) -> dict[str, Any]:
        return row.asked.to_document()

    def get_status_url(self, row: Recording) -> str:
        where = {"name": row.endpoint, "recording": row.name}
        return link(self.context["request"], "recording", **where)


class RecordingsView(ResourceView, ListAPIView[Recording]):
    """Recordings of an endpoint."""

    kind = Kind.ENDPOINT
    read_permission = "tuning.view_recording"
    write_permission = "tuning.add_recording"
    serializer_class = RecordingSerializer
    pagination_class = CreatedPagination
    ordering_fields = ("created_at",)

    def get_queryset(self) -> QuerySet[Recording]:
        return recordings().filter(endpoint=get_endpoint(self.kwargs["name"]).name)

    @extend_schema(
        request=RecordingRequest,
        responses={202: RecordingSerializer},
        examples=[
            OpenApiExample(
                "for ten minutes",
                {"requests": 500, "percent": 5, "length": "10m"},
                request_only=True,
            )
        ],
    )
    def post(self, request: Request, name: str) -> Response:
        """Begins to record what callers send: inputs alone, of requests outside of sequences.

        It ends by itself with the first of its bounds, and is deleted after 30 days. A request that
        does not fit into what is left of its bytes ends it; one that cannot be copied is left out.
        No caller waits for more than the copy, or loses a request. One at a time is recorded of an
        endpoint (409).
        """
        document = dict(request.data) if isinstance(request.data, dict) else request.data
        reason = document.pop("reason", "") if isinstance(document, dict) else ""
        if not isinstance(reason, str):
            raise InvalidInputError([Violation("/reason", "type", "not a string")])
        row = start_recording(
            endpoint=name,
            document=document,
            actor=self.actor,
            clock=wiring.clock(),
            queue=wiring.queue(),
            endpoints=wiring.endpoint_facts(),
            reason=reason,
        )
        return _accepted(request, row)


class RecordingView(ResourceView):
    """One recording."""

    kind = Kind.ENDPOINT
    read_permission = "tuning.view_recording"
    write_permission = "tuning.delete_recording"

    @extend_schema(responses=RecordingSerializer)
    def get(self, request: Request, name: str, recording: str) -> Response:
        """How far it is, and what may be told of it."""
        row = get_recording(recording, name)
        return Response(RecordingSerializer(row, context={"request": request}).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, name: str, recording: str) -> Response:
        """Deletes it with all that it holds; one that goes on is ended."""
        delete_recording(
            name=recording,
            endpoint=name,
            actor=self.actor,
            queue=wiring.queue(),
            store=wiring.recording_store(),
        )
        return Response(status=204)


class RecordingStopView(ResourceView):
    """The end of a recording before its end."""

    kind = Kind.ENDPOINT
    read_permission = "tuning.view_recording"
    write_permission = "tuning.change_recording"

    @extend_schema(request=None, responses={202: RecordingSerializer})
    def post(self, request: Request, name: str, recording: str) -> Response:
        """Ends it now; what it has is kept. One that is over is refused (409)."""
        row = stop_recording(name=recording, endpoint=name, actor=self.actor, queue=wiring.queue())
        return _accepted(request, row)


def _accepted(request: Request, row: Recording) -> Response:
    document = RecordingSerializer(row, context={"request": request}).data
    return Response(document, status=202, headers={"Location": document["status_url"]})
