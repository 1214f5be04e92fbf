"""Rollouts, everything that happened to each, and the analysis runs that they point to."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from control_plane.analysis.models import AnalysisRun
from control_plane.domain.access import AccessPath, Kind
from control_plane.domain.four_eyes import Person
from control_plane.domain.rollout.read_steps import strategy_of
from control_plane.domain.rollout.states import FINAL, State
from control_plane.domain.rollout.steps import Step, Strategy
from control_plane.domain.routing.policy import Arm
from control_plane.endpoints.models import Endpoint

STATES = [(state.value, state.value) for state in State]


class Rollout(models.Model):
    """From what an endpoint serves to something new, in steps.

    Active until `finished_at`: also one that is promoted and still watched. `found` is the policy
    that it began at and goes back to, `written` the last one that it made the intent, at
    `generation`; each is empty before. `step` counts from 0; beyond the last one there is only
    the promotion left. `grant` is the word under which the routers count its harm budget, of which
    each of the `granted_servers` that are named in `granted_to` has `granted_each`, and no other
    server anything. `candidate` is the physical model that it brings.
    """

    access_path: ClassVar = AccessPath(Kind.ENDPOINT, "endpoint_name")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(
        Endpoint, null=True, on_delete=models.SET_NULL, related_name="rollouts"
    )
    endpoint_name = models.CharField(max_length=63)
    number = models.PositiveIntegerField(help_text="among the endpoint's rollouts")

    model = models.CharField(max_length=63, help_text="or a pipeline's name")
    version = models.PositiveIntegerField(help_text="or the number of its revision")
    pipeline = models.BooleanField(default=False)
    strategy = models.JSONField()
    harm_budget = models.PositiveIntegerField(help_text="failed attempts at most")
    confidence = models.FloatField(default=0.95)
    watch_seconds = models.FloatField(default=600)
    progress_deadline_seconds = models.FloatField(default=600)
    dry_run = models.BooleanField(default=False, help_text="measures, and decides nothing by it")
    why = models.TextField(blank=True, help_text="in the words of whoever started it")

    state = models.CharField(max_length=16, choices=STATES, default=State.PENDING)
    reason = models.TextField(blank=True)
    since = models.DateTimeField(help_text="when it came into this state")
    look_at = models.DateTimeField(null=True, blank=True, help_text="the next look at it")
    step = models.PositiveSmallIntegerField(default=0)
    step_since = models.DateTimeField(null=True, blank=True)
    step_written = models.BooleanField(default=False, help_text="the step's policy is the intent")
    pause_until = models.DateTimeField(null=True, blank=True)
    held_by = models.CharField(max_length=150, blank=True, help_text="who paused it by hand")
    deadline_at = models.DateTimeField(null=True, blank=True, help_text="of what it waits for")
    watch_until = models.DateTimeField(null=True, blank=True)
    ending = models.CharField(
        max_length=16, blank=True, choices=STATES, help_text="what it will be when it is back"
    )
    attempt = models.PositiveSmallIntegerField(default=1)

    found = models.JSONField(null=True, blank=True)
    found_revision = models.PositiveIntegerField(null=True, blank=True)
    written = models.JSONField(null=True, blank=True)
    generation = models.PositiveBigIntegerField(default=0)
    twin = models.BooleanField(
        default=False, help_text="what serves is there a second time, as small as the candidate"
    )
    grant = models.CharField(max_length=200, blank=True)
    granted_each = models.PositiveIntegerField(default=0)
    granted_servers = models.PositiveIntegerField(default=0)
    granted_to = models.JSONField(default=list, blank=True)
    granted_at = models.DateTimeField(null=True, blank=True, help_text="when it was in force")
    candidate = models.CharField(max_length=100, blank=True)
    harm_spent = models.PositiveIntegerField(
        default=0, help_text="failed attempts, and what counts as such because a server restarted"
    )
    harm_before = models.PositiveIntegerField(default=0, help_text="spent in earlier attempts")
    answered_seen = models.PositiveBigIntegerField(
        default=0, help_text="the candidate's attempts that had a result, in this one"
    )
    rate = models.FloatField(default=0, help_text="requests in a second that the primary had")
    share = models.PositiveIntegerField(
        default=0, help_text="parts per 10,000, where the evidence chooses it"
    )
    failed_seen = models.PositiveIntegerField(default=0, help_text="failed attempts in this one")
    harm_cursors = models.JSONField(default=dict, blank=True)

    started_by = models.CharField(max_length=150)
    starter = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    approved_by = models.CharField(
        max_length=150, blank=True, help_text="the second person, where the four-eyes rule held"
    )
    approver = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    supersedes = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="superseded_by"
    )
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    runs = models.ManyToManyField(AnalysisRun, through="RolloutRun", related_name="rollouts")

    class Meta:
        ordering = ("-created_at",)
        indexes = (
            models.Index(
                fields=["look_at"], condition=Q(finished_at__isnull=True), name="rollout_due"
            ),
        )
        constraints = (
            models.UniqueConstraint(
                fields=["endpoint_name"],
                condition=Q(finished_at__isnull=True),
                name="rollout_active_alone",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in State]),
                name="rollout_state_is_known",
            ),
            models.CheckConstraint(
                condition=Q(finished_at__isnull=True) | Q(state__in=sorted(FINAL)),
                name="rollout_finished_in_final_state",
            ),
            models.CheckConstraint(
                condition=Q(approved_by="") | ~Q(approved_by=models.F("started_by")),
                name="rollout_approved_by_another",
            ),
        )

    def __str__(self) -> str:
        return f"rollout {self.number} of {self.endpoint_name}"

    @property
    def to(self) -> Arm:
        """What it brings, as an arm without a share."""
        return Arm("", self.model, self.version, 0, pipeline=self.pipeline)

    @property
    def plan(self) -> Strategy:
        """Its strategy as a value."""
        return strategy_of(self.strategy)

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.plan.steps

    @property
    def active(self) -> bool:
        return self.finished_at is None

    @property
    def begun(self) -> bool:
        """Whether it has written a policy."""
        return self.written is not None

    @property
    def starter_person(self) -> Person:
        return Person(self.starter_id, self.started_by)


class RolloutEvent(models.Model):
    """One thing that happened to a rollout; `actor` is nereid where nobody did it by hand."""

    access_path: ClassVar = AccessPath(Kind.ENDPOINT, "rollout__endpoint_name")

    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="events")
    number = models.PositiveIntegerField()
    at = models.DateTimeField()
    event = models.CharField(max_length=32)
    state_before = models.CharField(max_length=16, blank=True)
    state_after = models.CharField(max_length=16)
    step = models.PositiveSmallIntegerField()
    reason = models.TextField(blank=True)
    actor = models.CharField(max_length=150)

    class Meta:
        ordering = ("rollout", "number")
        constraints = (
            models.UniqueConstraint(fields=["rollout", "number"], name="rollout_event_once"),
        )

    def __str__(self) -> str:
        return f"{self.event} of {self.rollout}"


class RolloutRun(models.Model):
    """That a run measures for a rollout, at which of its steps and in which attempt.

    `step` is the number of steps where the run watches what was promoted.
    """

    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="run_links")
    run = models.OneToOneField(AnalysisRun, on_delete=models.CASCADE, related_name="link")
    step = models.PositiveSmallIntegerField()
    attempt = models.PositiveSmallIntegerField(default=1)

    class Meta:
        ordering = ("rollout", "run__began_at")

    def __str__(self) -> str:
        return f"{self.run} for {self.rollout}"
