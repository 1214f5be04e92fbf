"""`/tunes/`: how a version is best served, searched for by measurement."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from django_filters.rest_framework import FilterSet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.fields import TextField, TruthField
from control_plane.api.pagination import AllowedOrdering, CreatedPagination
from control_plane.api.perf_runs_resource import PerfLevelSerializer
from control_plane.api.policy_resource import PolicyAccepted, change_waits, policy_accepted
from control_plane.api.registry_filters import DeclaredFilters
from control_plane.api.resource import ResourceView, link, read_body, read_object
from control_plane.api.tune_schema import START_BODY, START_EXAMPLES, TuneRequestField
from control_plane.domain.access import Kind
from control_plane.domain.tuning.applying import with_overrides
from control_plane.domain.violations import ConflictError, InvalidInputError, Violation
from control_plane.endpoints.changes import put_policy
from control_plane.endpoints.models import ChangeRequest
from control_plane.endpoints.selectors import get_endpoint
from control_plane.tuning.models import OBJECTIVES, TUNE_STATES, Tune, TuneTrial
from control_plane.tuning.recordings import may_send_by
from control_plane.tuning.results import levels_of, with_levels
from control_plane.tuning.services import LOAD_PRODUCTION
from control_plane.tuning.tune_selectors import get_tune, tunes, whole_tunes
from control_plane.tuning.tunes import cancel_tune, overrides_to_apply, start_tune


class TuneOptions(serializers.Serializer[Any]):
    """What is said of a tune beside what it searches."""

    allow_production = TruthField(required=False, default=False)
    reason = TextField(required=False, allow_blank=True, default="")


class TuneCancel(serializers.Serializer[Any]):
    """Why it is ended."""

    reason = TextField(required=False, allow_blank=True, default="")


class TuneApply(serializers.Serializer[Any]):
    """Which endpoint is to serve the version as it was found."""

    endpoint = TextField()
    reason = TextField(required=False, allow_blank=True, default="")


class TuneConfigurationSerializer(serializers.Serializer[Any]):
    """One way to serve a version."""

    max_batch_size = serializers.IntegerField(help_text="Rows; 0: no batches.")
    dynamic = serializers.BooleanField(help_text="Whether requests are put together.")
    queue_delay_us = serializers.IntegerField()
    preferred = serializers.ListField(child=serializers.IntegerField())
    instances = serializers.IntegerField()
    threads = serializers.IntegerField(help_text="0: the backend's own choice.")
    accelerator = serializers.CharField(help_text="Empty: none.")


class TunePointSerializer(serializers.Serializer[Any]):
    """A configuration under one load: the mean of all that was measured of it."""

    configuration = TuneConfigurationSerializer()
    said = serializers.CharField(help_text="The configuration in words.")
    load = serializers.FloatField(help_text="Callers, or requests a second.")
    throughput = serializers.FloatField(help_text="Inferences a second.")
    latency_us = serializers.FloatField(help_text="At the request's percentile.")
    instances = serializers.IntegerField(help_text="Copies in memory: what it costs.")
    within = serializers.BooleanField(help_text="Within the limit, or keeping up with the rate.")
    times = serializers.IntegerField(help_text="How often it was measured.")
    trials = serializers.ListField(child=serializers.IntegerField())


class TuneChange(serializers.Serializer[Any]):
    """One thing that is served otherwise."""

    what = serializers.CharField()
    before = serializers.CharField()
    after = serializers.CharField()


class TuneModel(serializers.Serializer[Any]):
    """The analytical model: an execution of b rows takes fixed_us + row_us b."""

    fixed_us = serializers.FloatField()
    row_us = serializers.FloatField()
    error = serializers.FloatField(help_text="Root mean square of the relative error.")
    overhead_us = serializers.FloatField(help_text="Of a request, outside of queue and model.")


class TuneResult(serializers.Serializer[Any]):
    """What is chosen, held against what is there."""

    chosen = TunePointSerializer(allow_null=True)
    present = TunePointSerializer(allow_null=True, help_text="The best of how it is served now.")
    gain = serializers.FloatField(allow_null=True, help_text="Percent.")
    changes = TuneChange(many=True)
    overrides = serializers.JSONField(help_text="In the words of a profile; empty: none.")
    profile = serializers.JSONField(help_text="The whole of it, as a serving profile.")
    diff = serializers.CharField(help_text="Unified, of the serving profiles.")
    front = TunePointSerializer(many=True, help_text="The Pareto front, the most throughput first.")
    remarks = serializers.ListField(child=serializers.CharField())
    measurements = serializers.IntegerField()
    model = TuneModel(allow_null=True)


class TuneExpectedSerializer(serializers.Serializer[Any]):
    """What the model held of a trial before it was measured; deviations are of logarithms."""

    load = serializers.FloatField()
    throughput = serializers.FloatField()
    throughput_deviation = serializers.FloatField()
    latency_us = serializers.FloatField()
    latency_deviation = serializers.FloatField()
    within = serializers.FloatField(help_text="Probability of being within the limit.")
    better = serializers.FloatField(help_text="Probability of being better than the best.")


class TuneTrialSerializer(serializers.ModelSerializer[TuneTrial]):
    """One configuration that was tried."""

    configuration = TuneConfigurationSerializer()
    said = serializers.SerializerMethodField(help_text="The configuration in words.")
    loads = serializers.ListField(child=serializers.FloatField())
    expected = TuneExpectedSerializer(allow_null=True)
    run = serializers.IntegerField(source="run_id", allow_null=True, help_text="Its perf run.")
    physical = serializers.SerializerMethodField(help_text="The model that was loaded for it.")
    levels = serializers.SerializerMethodField()

    class Meta:
        model = TuneTrial
        fields = (
            *("number", "kind", "state", "reason", "why", "configuration", "said", "overrides"),
            *("loads", "expected", "run", "physical", "levels", "created_at"),
        )

    def get_said(self, trial: TuneTrial) -> str:
        return str(trial.tried)

    def get_physical(self, trial: TuneTrial) -> str:
        return trial.run.physical if trial.run else ""

    @extend_schema_field(PerfLevelSerializer(many=True))
    def get_levels(self, trial: TuneTrial) -> Any:
        return [one.to_document() for one in levels_of(trial.run)] if trial.run else []


class TuneSerializer(serializers.ModelSerializer[Tune]):
    """A tune as lists show it."""

    request = TuneRequestField(read_only=True)
    target = serializers.SerializerMethodField()
    server = serializers.CharField(source="server_name")
    result = TuneResult(allow_null=True)
    status_url = serializers.SerializerMethodField()

    class Meta:
        model = Tune
        fields: tuple[str, ...] = (
            *("id", "state", "reason", "target", "name", "number", "server", "objective"),
            *("request", "allow_production", "why", "result", "asked_by", "cancelled_by"),
            *("created_at", "started_at", "finished_at", "status_url"),
        )

    def get_target(self, tune: Tune) -> str:
        return str(tune.target)

    def get_status_url(self, tune: Tune) -> str:
        return link(self.context["request"], "tune", number=tune.pk)


class WholeTuneSerializer(TuneSerializer):
    """A tune with every trial; `space` is where is searched."""

    trials = TuneTrialSerializer(many=True)

    class Meta(TuneSerializer.Meta):
        fields = (*TuneSerializer.Meta.fields, "space", "trials")


class TuneFilter(FilterSet):
    """Tunes by what was tuned, where, and how it ended."""

    state = django_filters.ChoiceFilter(choices=TUNE_STATES)
    objective = django_filters.ChoiceFilter(choices=OBJECTIVES)
    name = django_filters.CharFilter(max_length=63)
    number = django_filters.NumberFilter(min_value=1, max_value=1_000_000_000)
    server = django_filters.CharFilter(field_name="server_name", max_length=63)

    class Meta:
        model = Tune
        fields = ()


class TunesView(ResourceView, ListAPIView[Tune]):
    """Tunes."""

    read_permission = "tuning.view_tune"
    write_permission = "tuning.add_tune"
    serializer_class = TuneSerializer
    pagination_class = CreatedPagination
    filter_backends = (DeclaredFilters, AllowedOrdering)
    filterset_class = TuneFilter
    ordering_fields = ("created_at",)

    def get_queryset(self) -> QuerySet[Tune]:
        return tunes()

    @extend_schema(request=START_BODY, responses={202: TuneSerializer}, examples=START_EXAMPLES)
    def post(self, request: Request) -> Response:
        """Asks for a tune: it begins when no other one is at work on its server.

        Each trial is a perf run of its own, under a physical name that nothing else serves. A
        server that is not marked `lab` is refused (409) unless `allow_production` says that it
        may be put under load, which takes the right to change servers.
        """
        if not isinstance(request.data, dict):
            raise InvalidInputError([Violation("", "type", "not a JSON object")])
        document = dict(request.data)
        said = {key: document.pop(key) for key in ("allow_production", "reason") if key in document}
        tune = start_tune(
            document=document,
            actor=self.actor,
            clock=wiring.clock(),
            queue=wiring.queue(),
            endpoints=wiring.endpoint_facts(),
            store=wiring.artifact_store(),
            may_load_production=request.user.has_perm(LOAD_PRODUCTION),
            may_send=may_send_by(request.user),
            **read_object(TuneOptions, said),
        )
        return _accepted(request, tune)


class TuneView(ResourceView):
    """One tune."""

    read_permission = "tuning.view_tune"

    @extend_schema(responses=WholeTuneSerializer)
    def get(self, request: Request, number: int) -> Response:
        """One tune, with every trial and what it measured so far."""
        tune = get_tune(int(number), whole_tunes())
        runs = [trial.run for trial in tune.trials.all() if trial.run is not None]
        with_levels(runs, wiring.telemetry())
        return Response(WholeTuneSerializer(tune, context={"request": request}).data)


class TuneCancelView(ResourceView):
    """The end of a tune before its end."""

    read_permission = "tuning.view_tune"
    write_permission = "tuning.change_tune"

    @extend_schema(
        request=TuneCancel,
        responses={202: TuneSerializer},
        examples=[OpenApiExample("with a word", {"reason": "wrong server"}, request_only=True)],
    )
    def post(self, request: Request, number: int) -> Response:
        """Ends a tune with the trial that it is at; what it measured stays.

        One that is over is refused (409); cancelling once more changes nothing.
        """
        tune = cancel_tune(
            number=int(number),
            actor=self.actor,
            clock=wiring.clock(),
            queue=wiring.queue(),
            **read_body(TuneCancel, request),
        )
        return _accepted(request, tune)


class TuneApplyView(ResourceView):
    """What a tune found, in an endpoint's policy."""

    kind = Kind.ENDPOINT
    read_permission = "endpoints.view_endpoint"
    write_permission = "endpoints.change_endpoint"

    def target_name(self, request: Request) -> str | None:
        """The endpoint in the body is what a grant has to be on."""
        body = None if request.method in SAFE_METHODS else request.data
        name = body.get("endpoint") if isinstance(body, dict) else None
        return name if isinstance(name, str) else None

    @extend_schema(
        request=TuneApply,
        responses={202: PolicyAccepted},
        examples=[OpenApiExample("to an endpoint", {"endpoint": "digits"}, request_only=True)],
    )
    def post(self, request: Request, number: int) -> Response:
        """Lays the overrides that were found over those of the endpoint's arms of the version.

        That is a change of the policy as any other: planned, audited, and under the four-eyes rule
        kept until a second person approves it. A tune without anything to apply is refused (409).
        """
        body = read_body(TuneApply, request)
        tune = get_tune(int(number))
        overrides = overrides_to_apply(tune)
        endpoint = get_endpoint(body["endpoint"])
        if not endpoint.policy:
            raise ConflictError(f"endpoint {endpoint.name} serves nothing yet")
        done = put_policy(
            name=endpoint.name,
            document=with_overrides(
                endpoint.policy, endpoint.name, (tune.name, tune.number), overrides
            ),
            actor=self.actor,
            queue=wiring.queue(),
            print_config=wiring.print_config,
            expected_generation=endpoint.generation,
            reason=body["reason"] or f"tune {tune.pk}",
        )
        if isinstance(done, ChangeRequest):
            return change_waits(request, done)
        return policy_accepted(request, done)


def _accepted(request: Request, tune: Tune) -> Response:
    document = TuneSerializer(tune, context={"request": request}).data
    return Response(document, status=202, headers={"Location": document["status_url"]})
