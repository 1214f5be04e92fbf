"""`/perf-runs/`: models under load, and what came of it."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.http import HttpResponse
from django_filters.rest_framework import FilterSet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.fields import TextField, TruthField
from control_plane.api.pagination import AllowedOrdering, CreatedPagination
from control_plane.api.perf_schema import START_BODY, START_EXAMPLES, PerfRequestField
from control_plane.api.registry_filters import DeclaredFilters
from control_plane.api.resource import ResourceView, link, read_body, read_object
from control_plane.domain.violations import InvalidInputError, NotFoundError, Violation
from control_plane.tuning.accepting import accept_perf_run
from control_plane.tuning.models import KINDS, STATES, PerfRun
from control_plane.tuning.recordings import may_send_by
from control_plane.tuning.results import files_of, levels_of, peak_of, with_levels
from control_plane.tuning.selectors import get_perf_run, perf_runs
from control_plane.tuning.services import LOAD_PRODUCTION, cancel_perf_run, start_perf_run


class PerfOptions(serializers.Serializer[Any]):
    """What is said of a run beside what it measures."""

    allow_production = TruthField(required=False, default=False)
    reason = TextField(required=False, allow_blank=True, default="")


class PerfCancel(serializers.Serializer[Any]):
    """Why it is ended."""

    reason = TextField(required=False, allow_blank=True, default="")


class PerfAccept(serializers.Serializer[Any]):
    """Why it is good enough."""

    reason = TextField(required=False, allow_blank=True, default="")


class PerfLevelSerializer(serializers.Serializer[Any]):
    """One level of load, measured; latencies in microseconds, `*_us` beside percentiles means."""

    value = serializers.FloatField(help_text="Callers, requests a second, or rows.")
    measured_at = serializers.DateTimeField()
    requests = serializers.IntegerField()
    throughput = serializers.FloatField(help_text="Inferences a second.")
    mean_us = serializers.FloatField()
    p50_us = serializers.FloatField()
    p90_us = serializers.FloatField()
    p95_us = serializers.FloatField()
    p99_us = serializers.FloatField()
    queue_us = serializers.FloatField()
    compute_input_us = serializers.FloatField()
    compute_infer_us = serializers.FloatField()
    compute_output_us = serializers.FloatField()
    network_us = serializers.FloatField(help_text="With the server's own endpoint.")
    client_us = serializers.FloatField(help_text="Of the load generator, to send and to receive.")
    rest_us = serializers.FloatField(help_text="What nobody accounts for.")
    spread = serializers.FloatField(help_text="How far its three windows lie apart, percent.")
    delayed = serializers.FloatField(help_text="Requests that left later than wanted, percent.")
    batch = serializers.FloatField(allow_null=True, help_text="Rows of an execution, mean.")
    cpu = serializers.FloatField(allow_null=True, help_text="Of the server's machine, 0 to 1.")
    gpu = serializers.FloatField(allow_null=True, help_text="Mean of its GPUs, 0 to 1.")
    left_out = serializers.CharField(help_text="Files that were too large to be kept.")


class PerfProgress(serializers.Serializer[Any]):
    """How far a run is; empty before its first level."""

    done = serializers.IntegerField(required=False)
    of = serializers.IntegerField(required=False, help_text="Of a search, at most.")
    level = serializers.FloatField(required=False)
    kind = serializers.CharField(required=False)
    why = serializers.CharField(required=False)


class PerfRunSerializer(serializers.ModelSerializer[PerfRun]):
    """A run as lists show it; `peak` is its level with the most throughput within the limit."""

    request = PerfRequestField(read_only=True)
    state = serializers.ChoiceField(choices=STATES)
    target = serializers.SerializerMethodField(help_text="digits:3, or an endpoint's name.")
    server = serializers.CharField(source="server_name")
    progress = PerfProgress()
    peak = serializers.SerializerMethodField()
    status_url = serializers.SerializerMethodField()

    class Meta:
        model = PerfRun
        fields: tuple[str, ...] = (
            "id",
            "state",
            "reason",
            "target",
            "kind",
            "name",
            "number",
            "physical",
            "server",
            "request",
            "allow_production",
            "why",
            "progress",
            "peak",
            "asked_by",
            "cancelled_by",
            "accepted_by",
            "accepted_at",
            "created_at",
            "started_at",
            "finished_at",
            "status_url",
        )

    def get_target(self, run: PerfRun) -> str:
        return str(run.target)

    @extend_schema_field(PerfLevelSerializer(allow_null=True))
    def get_peak(self, run: PerfRun) -> Any:
        level = peak_of(run)
        return level.to_document() if level else None

    def get_status_url(self, run: PerfRun) -> str:
        return link(self.context["request"], "perf-run", number=run.pk)


class WholePerfRunSerializer(PerfRunSerializer):
    """A run with every level that was measured, and the files that are kept of each."""

    levels = serializers.SerializerMethodField()
    files = serializers.SerializerMethodField(help_text="Paths of files, gzipped.")

    class Meta(PerfRunSerializer.Meta):
        fields = (*PerfRunSerializer.Meta.fields, "levels", "files")

    @extend_schema_field(PerfLevelSerializer(many=True))
    def get_levels(self, run: PerfRun) -> Any:
        return [level.to_document() for level in levels_of(run)]

    def get_files(self, run: PerfRun) -> list[str]:
        request = self.context["request"]
        return [
            link(request, "perf-file", number=run.pk, level=level, file=name)
            for level, name in files_of(run, wiring.telemetry())
        ]


class PerfRunFilter(FilterSet):
    """Runs by what was measured, where, and how it ended."""

    state = django_filters.ChoiceFilter(choices=STATES)
    kind = django_filters.ChoiceFilter(choices=KINDS)
    name = django_filters.CharFilter(max_length=63)
    number = django_filters.NumberFilter(min_value=1, max_value=1_000_000_000)
    server = django_filters.CharFilter(field_name="server_name", max_length=63)
    asked_by = django_filters.CharFilter(max_length=150)

    class Meta:
        model = PerfRun
        fields = ()


class PerfRunsView(ResourceView, ListAPIView[PerfRun]):
    """Perf runs."""

    read_permission = "tuning.view_perfrun"
    write_permission = "tuning.add_perfrun"
    serializer_class = PerfRunSerializer
    pagination_class = CreatedPagination
    filter_backends = (DeclaredFilters, AllowedOrdering)
    filterset_class = PerfRunFilter
    ordering_fields = ("created_at",)

    def get_queryset(self) -> QuerySet[PerfRun]:
        return perf_runs()

    def paginate_queryset(self, queryset: Any) -> Any:
        """A page of runs, with what they measured: one question for all of them."""
        return with_levels(super().paginate_queryset(queryset) or [], wiring.telemetry())

    @extend_schema(request=START_BODY, responses={202: PerfRunSerializer}, examples=START_EXAMPLES)
    def post(self, request: Request) -> Response:
        """Asks for a run: it begins when its server is free, one at a time.

        A server that is not marked `lab` is refused (409) unless `allow_production` says that it
        may be put under load, which takes the right to change servers.
        """
        if not isinstance(request.data, dict):
            raise InvalidInputError([Violation("", "type", "not a JSON object")])
        document = dict(request.data)
        said = {key: document.pop(key) for key in ("allow_production", "reason") if key in document}
        run = start_perf_run(
            document=document,
            actor=self.actor,
            clock=wiring.clock(),
            queue=wiring.queue(),
            endpoints=wiring.endpoint_facts(),
            store=wiring.artifact_store(),
            may_load_production=request.user.has_perm(LOAD_PRODUCTION),
            may_send=may_send_by(request.user),
            **read_object(PerfOptions, said),
        )
        return _answer(PerfRunSerializer, request, run, status=202)


class PerfRunView(ResourceView):
    """One perf run."""

    read_permission = "tuning.view_perfrun"

    @extend_schema(responses=WholePerfRunSerializer)
    def get(self, request: Request, number: int) -> Response:
        """One run, with every level that it measured so far."""
        return _answer(WholePerfRunSerializer, request, get_perf_run(int(number)))


class PerfRunCancelView(ResourceView):
    """The end of a perf run before its end."""

    read_permission = "tuning.view_perfrun"
    write_permission = "tuning.change_perfrun"

    @extend_schema(
        request=PerfCancel,
        responses={202: PerfRunSerializer},
        examples=[OpenApiExample("with a word", {"reason": "wrong server"}, request_only=True)],
    )
    def post(self, request: Request, number: int) -> Response:
        """Ends a run: its load stops within seconds, and what it measured stays.

        One that is over is refused (409); cancelling once more changes nothing.
        """
        run = cancel_perf_run(
            number=int(number),
            actor=self.actor,
            clock=wiring.clock(),
            queue=wiring.queue(),
            **read_body(PerfCancel, request),
        )
        return _answer(PerfRunSerializer, request, run, status=202)


class PerfRunAcceptView(ResourceView):
    """A perf run that is good."""

    read_permission = "tuning.view_perfrun"
    write_permission = "tuning.change_perfrun"

    @extend_schema(
        request=PerfAccept,
        responses={200: PerfRunSerializer},
        examples=[OpenApiExample("with a word", {"reason": "as it should be"}, request_only=True)],
    )
    def post(self, request: Request, number: int) -> Response:
        """Accepts a version's run: later versions of its model are held against it.

        A metric of the kind `perf_regression` compares with the last one that was accepted. One
        that did not succeed is refused (409); accepting once more changes nothing.
        """
        run = accept_perf_run(
            number=int(number),
            actor=self.actor,
            clock=wiring.clock(),
            **read_body(PerfAccept, request),
        )
        return _answer(PerfRunSerializer, request, run)


class PerfFileView(ResourceView):
    """What the load generator wrote of a level."""

    read_permission = "tuning.view_perfrun"

    @extend_schema(responses={(200, "application/gzip"): OpenApiTypes.BINARY})
    def get(self, request: Request, number: int, level: int, file: str) -> HttpResponse:
        """A file of perf_analyzer's, gzipped: its report (CSV), or every request (JSON).

        Files are kept for 30 days, and left out where they are larger than 4 MiB.
        """
        run = get_perf_run(int(number))
        content = wiring.telemetry().perf_file(run.key, int(level), file)
        if content is None:
            raise NotFoundError(f"perf run {run.pk} has no file {file} of level {level} (any more)")
        name = f"perf-run-{run.pk}-{level}-{file}.gz"
        return HttpResponse(
            content,
            content_type="application/gzip",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )


def _answer(
    form: type[PerfRunSerializer], request: Request, run: PerfRun, status: int = 200
) -> Response:
    [run] = with_levels([run], wiring.telemetry())
    document = form(run, context={"request": request}).data
    headers = {"Location": document["status_url"]} if status == 202 else None
    return Response(document, status=status, headers=headers)
