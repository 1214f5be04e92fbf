"""How the API shows a rollout: where it stands, what it found, and what may be done to it now."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from control_plane.analysis.models import AnalysisLook, AnalysisRun, Phase
from control_plane.analysis.selectors import last_looks
from control_plane.api.resource import link
from control_plane.api.rollout_schema import RolloutDocumentField
from control_plane.domain.rollout.states import State
from control_plane.rollouts.controls import controls_of
from control_plane.rollouts.models import Rollout, RolloutEvent, RolloutRun
from control_plane.rollouts.selectors import candidate_share, document_of, runs_of, step_standing


class HarmSerializer(serializers.Serializer[Rollout]):
    """The harm budget."""

    budget = serializers.IntegerField(
        source="harm_budget", help_text="failed attempts on the candidate that it may cost at most"
    )
    spent = serializers.IntegerField(source="harm_spent", help_text="so far, as far as is known")


class RolloutSerializer(serializers.Serializer[Rollout]):
    """A rollout as the API lists it."""

    id = serializers.UUIDField()
    endpoint = serializers.CharField(source="endpoint_name")
    number = serializers.IntegerField(help_text="among the endpoint's rollouts")
    document = serializers.SerializerMethodField(help_text="what was asked for")
    state = serializers.ChoiceField([state.value for state in State])
    active = serializers.BooleanField(
        help_text="it is under way: also one that is promoted, while it is watched"
    )
    reason = serializers.CharField(help_text="why it is in that state")
    since = serializers.DateTimeField(help_text="when it came into that state")
    look_at = serializers.DateTimeField(allow_null=True, help_text="the next look at it")
    step = serializers.IntegerField(help_text="where it stands, from 0; after the last: promotion")
    share = serializers.SerializerMethodField(
        help_text="the candidate's share of the endpoint's requests in percent, as it was last "
        "asked for; null: it has not begun"
    )
    harm = HarmSerializer(source="*")
    attempt = serializers.IntegerField(help_text="a retry begins another one")
    held_by = serializers.CharField(help_text="who paused it by hand; empty: nobody")
    pause_until = serializers.DateTimeField(allow_null=True)
    deadline_at = serializers.DateTimeField(allow_null=True, help_text="of what it waits for")
    watch_until = serializers.DateTimeField(
        allow_null=True, help_text="until when it may still return after its promotion"
    )
    generation = serializers.IntegerField(
        help_text="of the endpoint's policy that it wrote last; 0: none"
    )
    why = serializers.CharField(help_text="in the words of whoever started it")
    started_by = serializers.CharField()
    approved_by = serializers.CharField(help_text="the second person; empty: nobody was needed yet")
    supersedes = serializers.UUIDField(source="supersedes_id", allow_null=True)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    status_url = serializers.SerializerMethodField()

    @extend_schema_field(RolloutDocumentField)
    def get_document(self, rollout: Rollout) -> dict[str, Any]:
        return document_of(rollout)

    def get_share(self, rollout: Rollout) -> float | None:
        return candidate_share(rollout)

    @extend_schema_field(OpenApiTypes.URI)
    def get_status_url(self, rollout: Rollout) -> str:
        return link(self.context["request"], "rollout", rollout_id=rollout.id)


class RolloutStepSerializer(serializers.Serializer[Any]):
    """One step of a rollout."""

    text = serializers.CharField()
    standing = serializers.ChoiceField(["done", "current", "stopped", "ahead"])


class AnalysisRunSerializer(serializers.Serializer[AnalysisRun]):
    """One measurement of a candidate against a baseline."""

    id = serializers.UUIDField()
    endpoint = serializers.CharField()
    template = serializers.CharField(source="template_name")
    template_revision = serializers.IntegerField(
        allow_null=True, help_text="null: the template comes with Nereid"
    )
    candidate = serializers.CharField(help_text="the physical model")
    baseline = serializers.CharField(help_text="the physical model; empty: there is none")
    dry_run = serializers.BooleanField(help_text="it measures, and decides nothing")
    phase = serializers.ChoiceField(Phase.choices)
    reason = serializers.CharField()
    looks = serializers.IntegerField(source="looks_taken")
    began_at = serializers.DateTimeField()
    looked_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)


class TallySerializer(serializers.Serializer[Any]):
    """One arm since the run began: so many of so many, and the share or latency that makes."""

    of = serializers.IntegerField()
    count = serializers.IntegerField()
    estimate = serializers.FloatField(allow_null=True)


class MetricLookSerializer(serializers.Serializer[Any]):
    """One metric at one look: what it found, and how close that is to its limit."""

    name = serializers.CharField()
    kind = serializers.CharField()
    phase = serializers.ChoiceField(Phase.choices)
    reason = serializers.CharField()
    required = serializers.BooleanField(help_text="else it informs, and decides nothing")
    compare = serializers.CharField(help_text="what it was in fact compared with")
    better = serializers.CharField(help_text="`lower`, or `higher`: which way is good")
    unit = serializers.CharField(help_text="what counts as one piece of evidence")
    scale = serializers.CharField(help_text="of the estimate, its bounds and the limit")
    candidate = TallySerializer()
    baseline = TallySerializer()
    estimate = serializers.FloatField(allow_null=True)
    lower = serializers.FloatField(allow_null=True)
    upper = serializers.FloatField(allow_null=True)
    limit = serializers.FloatField()
    statistic = serializers.FloatField(help_text="the evidence against it: at `needed` it fails")
    needed = serializers.FloatField()
    for_passing = serializers.FloatField(help_text="at `needed_for_passing` it passes")
    needed_for_passing = serializers.FloatField()


class LookSerializer(serializers.Serializer[Any]):
    """All metrics at one look, and what follows."""

    number = serializers.IntegerField()
    at = serializers.DateTimeField()
    phase = serializers.ChoiceField(Phase.choices)
    reason = serializers.CharField()
    seconds = serializers.FloatField(help_text="that the run has measured")
    metrics = MetricLookSerializer(many=True)


class RolloutRunSerializer(serializers.Serializer[RolloutRun]):
    """A run of a rollout with its newest look."""

    step = serializers.IntegerField(help_text="the number of steps: it watches what was promoted")
    attempt = serializers.IntegerField()
    run = AnalysisRunSerializer()
    look = LookSerializer(allow_null=True)


class ControlsSerializer(serializers.Serializer[Any]):
    """Each control, and why it cannot be used now; empty: it can."""

    approve = serializers.CharField()
    promote = serializers.CharField()
    skip = serializers.CharField()
    pause = serializers.CharField()
    resume = serializers.CharField()
    abort = serializers.CharField()
    retry = serializers.CharField()


class RolloutDetailSerializer(RolloutSerializer):
    """A rollout with its steps, its evidence, and what may be done to it."""

    steps = serializers.SerializerMethodField()
    runs = serializers.SerializerMethodField(help_text="the first one first")
    controls = serializers.SerializerMethodField()

    @extend_schema_field(RolloutStepSerializer(many=True))
    def get_steps(self, rollout: Rollout) -> list[dict[str, str]]:
        return [
            {"text": str(step), "standing": step_standing(rollout, i)}
            for i, step in enumerate(rollout.steps)
        ]

    @extend_schema_field(RolloutRunSerializer(many=True))
    def get_runs(self, rollout: Rollout) -> list[dict[str, Any]]:
        links = list(runs_of(rollout))
        looks = last_looks([link.run_id for link in links])
        return [
            {
                "step": one.step,
                "attempt": one.attempt,
                "run": AnalysisRunSerializer(one.run).data,
                "look": look_document(looks[one.run_id]) if one.run_id in looks else None,
            }
            for one in links
        ]

    @extend_schema_field(ControlsSerializer)
    def get_controls(self, rollout: Rollout) -> dict[str, str]:
        return controls_of(rollout, self.context["request"].user.get_username())


class RolloutEventSerializer(serializers.ModelSerializer[RolloutEvent]):
    """One thing that happened to a rollout."""

    class Meta:
        model = RolloutEvent
        fields = (
            *("number", "at", "event", "state_before", "state_after"),
            *("step", "reason", "actor"),
        )


def look_document(look: AnalysisLook) -> dict[str, Any]:
    """A stored look as it is shown."""
    return dict(LookSerializer({**look.document, "number": look.number, "at": look.at}).data)


def rollout_document(request: Request, rollout: Rollout) -> dict[str, Any]:
    """The whole of a rollout."""
    return dict(RolloutDetailSerializer(rollout, context={"request": request}).data)
