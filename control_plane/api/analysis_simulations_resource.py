"""`/analysis-simulations/`: what a template would do, before it is used."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane.analysis.simulation import DEFAULT_RUNS, MAX_WORK, BusyError, try_template
from control_plane.api.fields import TextField, WholeNumberField
from control_plane.api.resource import ResourceView, read_body

BUSY_S = 5

SCENARIO: dict[str, Any] = {
    "type": "object",
    "additionalProperties": True,
    "description": "What the candidate is like, and the traffic: docs/analysis.md has every word.",
    "example": {"rate": 200, "weight": 5, "candidateError": 0.02, "baselineError": 0.01},
}
EXAMPLE = OpenApiExample(
    "twice the failures",
    value={"template": "default", "scenario": SCENARIO["example"], "runs": 100},
    request_only=True,
)


@extend_schema_field(SCENARIO)
class ScenarioField(serializers.JSONField):
    """What rollouts are to meet."""


@extend_schema_field({"type": "object", "additionalProperties": True})
class DocumentField(serializers.JSONField):
    """An analysis template's document."""


class SimulationRequest(serializers.Serializer[Any]):
    """A template by its name or as a document, and what it is to meet."""

    template = TextField(max_length=255, default="default", help_text="a name")
    document = DocumentField(default=None, allow_null=True, help_text="instead of a name")
    scenario = ScenarioField(default=dict)
    runs = WholeNumberField(default=DEFAULT_RUNS, min_value=1, max_value=MAX_WORK)


class PairField(serializers.ListField):
    """The median, and what 9 of 10 stay under."""

    child = serializers.FloatField()


class OutcomeSerializer(serializers.Serializer[Any]):
    """How the rollouts ended."""

    runs = serializers.IntegerField()
    look_every = serializers.FloatField(help_text="seconds")
    failed = serializers.FloatField(help_text="share of the runs")
    successful = serializers.FloatField()
    inconclusive = serializers.FloatField()
    failed_by = serializers.DictField(child=serializers.FloatField(), help_text="by metric")
    seconds_to_fail = PairField(allow_null=True, help_text="median and 90 %; null: none failed")
    candidate_requests_to_fail = PairField(allow_null=True)
    harmed_until_failed = PairField(allow_null=True, help_text="failed requests of the candidate")
    seconds_to_succeed = PairField(allow_null=True)


class SimulationSerializer(serializers.Serializer[Any]):
    """A simulation, with everything that it was made of in force."""

    template = DocumentField()
    scenario = ScenarioField()
    outcome = OutcomeSerializer()


class AnalysisSimulationsView(ResourceView):
    """Simulated rollouts. Nothing is written, and nothing is kept."""

    read_permission = "analysis.view_analysistemplate"
    write_permission = "analysis.view_analysistemplate"

    @extend_schema(
        request=SimulationRequest, responses={200: SimulationSerializer}, examples=[EXAMPLE]
    )
    def post(self, request: Request) -> Response:
        """Plays rollouts of a template: how many it fails, how soon, and what that costs.

        One at a time in each process: 429 says when to come back.
        """
        body = read_body(SimulationRequest, request)
        try:
            trial = try_template(
                name=body["template"],
                document=body["document"],
                scenario=body["scenario"],
                runs=body["runs"],
            )
        except BusyError as error:
            raise Throttled(wait=BUSY_S, detail=str(error)) from error
        return Response(SimulationSerializer(asdict(trial)).data)
