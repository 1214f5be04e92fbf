"""Analysis templates, and the runs that measure by them, look by look."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q

from control_plane.domain.access import AccessPath, Kind
from control_plane.registry.models import Revised


class Phase(models.TextChoices):
    """How far a run has come, in the words of Argo."""

    RUNNING = "Running"
    SUCCESSFUL = "Successful"
    FAILED = "Failed"
    ERROR = "Error"
    INCONCLUSIVE = "Inconclusive"
    STOPPED = "Stopped"


class AnalysisTemplate(Revised):
    """A template that somebody added; those that come with Nereid are in the code."""


class AnalysisTemplateRevision(models.Model):
    """What a template says from one change to the next; never changed (migration 0002)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    template = models.ForeignKey(
        AnalysisTemplate, on_delete=models.CASCADE, related_name="revisions"
    )
    number = models.PositiveIntegerField()
    document = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150)

    class Meta:
        ordering = ("template__name", "-number")
        constraints = (
            models.UniqueConstraint(fields=["template", "number"], name="template_revision_once"),
        )

    def __str__(self) -> str:
        return f"{self.template.name} r{self.number}"


class AnalysisRun(models.Model):
    """One measurement of a candidate against a baseline, by a template as it was then.

    `state` is what the tests remember from look to look, `cursors` what was read of each server
    (its id -> the time of the last scrape that counted). `revision` None: the template comes
    with Nereid. `candidate`, `baseline` and its `twin` are physical models; empty: there is none.
    """

    access_path: ClassVar = AccessPath(Kind.ENDPOINT, "endpoint")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.CharField(max_length=63, db_index=True)
    template_name = models.CharField(max_length=63)
    template_revision = models.PositiveIntegerField(null=True, blank=True)
    template = models.JSONField(help_text="as it was when the run began")
    candidate = models.CharField(max_length=100)
    baseline = models.CharField(max_length=100, blank=True)
    twin = models.CharField(max_length=100, blank=True)
    dry_run = models.BooleanField(default=False, help_text="measures, and decides nothing")
    phase = models.CharField(max_length=16, choices=Phase.choices, default=Phase.RUNNING)
    reason = models.TextField(blank=True)
    state = models.JSONField(default=dict)
    cursors = models.JSONField(default=dict)
    looks_taken = models.PositiveIntegerField(default=0)
    began_at = models.DateTimeField()
    passes_from = models.DateTimeField(
        null=True, blank=True, help_text="until then it goes on, though everything was good"
    )
    looked_at = models.DateTimeField(null=True, blank=True, help_text="the last look")
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-began_at",)
        indexes = (
            models.Index(
                fields=["endpoint"], condition=Q(ended_at__isnull=True), name="run_under_way"
            ),
        )
        constraints = (
            models.CheckConstraint(condition=Q(phase__in=Phase.values), name="run_phase_is_known"),
            models.CheckConstraint(
                condition=Q(phase="Running", ended_at__isnull=True)
                | (~Q(phase="Running") & Q(ended_at__isnull=False)),
                name="run_ended_has_phase",
            ),
        )

    def __str__(self) -> str:
        return f"analysis {self.template_name} of {self.candidate}"


class AnalysisLook(models.Model):
    """One look of a run: what was new, the statistics, and what follows (`document`)."""

    access_path: ClassVar = AccessPath(Kind.ENDPOINT, "run__endpoint")

    run = models.ForeignKey(AnalysisRun, on_delete=models.CASCADE, related_name="looks")
    number = models.PositiveIntegerField()
    at = models.DateTimeField()
    document = models.JSONField()

    class Meta:
        ordering = ("run", "number")
        constraints = (models.UniqueConstraint(fields=["run", "number"], name="look_number_once"),)

    def __str__(self) -> str:
        return f"look {self.number} of {self.run}"


class AnalysisReading(models.Model):
    """What Prometheus said for one metric of a run since it began; read by its looks.

    `totals` has a pair for each arm, "candidate" and "baseline": of counters (of how many, how
    many), of figures (their sum, how many were read). `series` are the counters' last values.
    `problem` is why the last question had no answer.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    run = models.ForeignKey(AnalysisRun, on_delete=models.CASCADE, related_name="readings")
    metric = models.CharField(max_length=63)
    asked_at = models.DateTimeField(null=True, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    problem = models.TextField(blank=True)
    series = models.JSONField(default=dict)
    totals = models.JSONField(default=dict)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["run", "metric"], name="reading_metric_once"),
        )

    def __str__(self) -> str:
        return f"{self.metric} of {self.run}"
