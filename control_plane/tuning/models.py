"""Perf runs, and the tunes that are made of them."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models

from control_plane.domain.perf.read_request import read_request
from control_plane.domain.perf.request import PerfRequest, Target, TargetKind
from control_plane.domain.perf.states import ACTIVE, OVER, PerfState
from control_plane.domain.planning.plan import Plan
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.tuning.configuration import Configuration
from control_plane.domain.tuning.read_request import read_tune
from control_plane.domain.tuning.request import Objective, TuneRequest
from control_plane.domain.tuning.space import Space
from control_plane.domain.tuning.states import AT_WORK, ENDED, TrialKind, TrialState, TuneState
from control_plane.fleet.models import Server
from control_plane.registry.models import ModelVersion
from control_plane.tuning.recording_record import Recording

__all__ = ["FindingTry", "PerfRun", "Recording", "Tune", "TuneTrial"]

STATES = [(state.value, state.value) for state in PerfState]
KINDS = [(kind.value, kind.value) for kind in TargetKind]
OBJECTIVES = [(one.value, one.value) for one in Objective]
TUNE_STATES = [(state.value, state.value) for state in TuneState]
TRIAL_STATES = [(state.value, state.value) for state in TrialState]
TRIAL_KINDS = [(kind.value, kind.value) for kind in TrialKind]


class PerfRun(models.Model):
    """One target on one server under a list of loads, and how far that went.

    `request` is what was asked for with everything filled in, `plan` what the server holds for it
    while it runs; an endpoint has none. `recording` is what is sent, where it is one: another may
    have its name by then. `generation` fences what its node is told (`holding`).
    Whoever measures holds the lease; the figures are in `telemetry`, under `key`.
    """

    id = models.BigAutoField(primary_key=True)
    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    server = models.ForeignKey(
        Server, null=True, on_delete=models.SET_NULL, related_name="perf_runs"
    )
    server_name = models.CharField("server", max_length=63)
    kind = models.CharField(max_length=16, choices=KINDS)
    name = models.CharField(max_length=63, help_text="of the model, pipeline or endpoint")
    number = models.PositiveIntegerField(
        null=True, blank=True, help_text="of the version or revision"
    )
    version = models.ForeignKey(
        ModelVersion, null=True, blank=True, on_delete=models.SET_NULL, related_name="perf_runs"
    )
    physical = models.CharField(max_length=100, help_text="the name that is called")
    request = models.JSONField()
    plan = models.JSONField(null=True, blank=True)
    allow_production = models.BooleanField(default=False)
    why = models.TextField(blank=True, help_text="in the words of whoever asked")
    recording = models.ForeignKey(
        Recording, null=True, blank=True, on_delete=models.SET_NULL, related_name="perf_runs"
    )

    state = models.CharField(max_length=16, choices=STATES, default=PerfState.QUEUED)
    reason = models.TextField(blank=True, default="waiting for a worker")
    progress = models.JSONField(default=dict, blank=True)
    asked_by = models.CharField(max_length=150)
    cancelled_by = models.CharField(max_length=150, blank=True)
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField("asked", auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    generation = models.BigIntegerField(default=0)
    held = models.BooleanField(default=False, help_text="its node may hold models for it")
    prepared_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True, help_text="the last command to its node")
    lease_owner = models.CharField(max_length=64, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-id",)
        verbose_name = "perf run"
        constraints = (
            models.UniqueConstraint(
                fields=["server"],
                condition=models.Q(state__in=[state.value for state in ACTIVE]),
                name="perf_run_alone_on_server",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=[state.value for state in PerfState]),
                name="perf_run_state_known",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=[s.value for s in OVER], finished_at__isnull=False)
                | (~models.Q(state__in=[s.value for s in OVER]) & models.Q(finished_at=None)),
                name="perf_run_over_has_its_end",
            ),
            models.CheckConstraint(
                condition=~models.Q(state=PerfState.FAILED) | ~models.Q(reason=""),
                name="perf_run_failed_for_a_reason",
            ),
            models.CheckConstraint(
                condition=models.Q(kind=TargetKind.ENDPOINT, number=None, plan=None)
                | (
                    models.Q(kind__in=[TargetKind.VERSION, TargetKind.PIPELINE])
                    & models.Q(number__isnull=False, plan__isnull=False)
                ),
                name="perf_run_of_what_is_loaded_for_it",
            ),
            models.CheckConstraint(
                condition=models.Q(accepted_at=None)
                | models.Q(kind=TargetKind.VERSION, state=PerfState.SUCCEEDED),
                name="perf_run_accepted_succeeded",
            ),
        )
        indexes = (
            models.Index(fields=["kind", "name", "number"], name="perf_run_by_target"),
            models.Index(fields=["state"], name="perf_run_by_state"),
        )

    def __str__(self) -> str:
        return f"perf run {self.pk}"

    @property
    def target(self) -> Target:
        return Target(TargetKind(self.kind), self.name, self.number)

    @property
    def over(self) -> bool:
        return self.state in OVER

    @property
    def asked(self) -> PerfRequest:
        """The request as a value."""
        return read_request(self.request)

    @property
    def compiled(self) -> Plan | None:
        """What the server holds for it, under the generation of its hold."""
        document: dict[str, Any] | None = self.plan
        if document is None:
            return None
        return Plan.from_document({**document, "generation": self.generation})


class Tune(models.Model):
    """The search for the serving configuration of a version that does best on a server.

    `request` is what was asked for with everything filled in, `space` where is searched, `profile`
    how the version was served when it began: what its trials' overrides are laid over. `result`
    (`domain.tuning.result`) is None until there is one.
    """

    id = models.BigAutoField(primary_key=True)
    server = models.ForeignKey(Server, null=True, on_delete=models.SET_NULL, related_name="tunes")
    server_name = models.CharField("server", max_length=63)
    name = models.CharField(max_length=63, help_text="of the model")
    number = models.PositiveIntegerField(help_text="of the version")
    version = models.ForeignKey(
        ModelVersion, null=True, blank=True, on_delete=models.SET_NULL, related_name="tunes"
    )
    objective = models.CharField(max_length=16, choices=OBJECTIVES)
    request = models.JSONField()
    space = models.JSONField()
    profile = models.JSONField()
    framework = models.CharField(max_length=32)
    cores = models.PositiveSmallIntegerField(help_text="of the server, that models may use")
    allow_production = models.BooleanField(default=False)
    why = models.TextField(blank=True, help_text="in the words of whoever asked")
    recording = models.ForeignKey(
        Recording, null=True, blank=True, on_delete=models.SET_NULL, related_name="tunes"
    )

    state = models.CharField(max_length=16, choices=TUNE_STATES, default=TuneState.QUEUED)
    reason = models.TextField(blank=True, default="waiting for a worker")
    result = models.JSONField(null=True, blank=True)
    asked_by = models.CharField(max_length=150)
    cancelled_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField("asked", auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=["server"],
                condition=models.Q(state__in=[state.value for state in AT_WORK]),
                name="tune_alone_on_server",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=[state.value for state in TuneState]),
                name="tune_state_known",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=[s.value for s in ENDED], finished_at__isnull=False)
                | (~models.Q(state__in=[s.value for s in ENDED]) & models.Q(finished_at=None)),
                name="tune_over_has_its_end",
            ),
            models.CheckConstraint(
                condition=~models.Q(state=TuneState.FAILED) | ~models.Q(reason=""),
                name="tune_failed_for_a_reason",
            ),
            models.CheckConstraint(
                condition=~models.Q(state=TuneState.SUCCEEDED) | models.Q(result__isnull=False),
                name="tune_succeeded_with_a_result",
            ),
        )
        indexes = (
            models.Index(fields=["name", "number"], name="tune_by_version"),
            models.Index(fields=["state"], name="tune_by_state"),
        )

    def __str__(self) -> str:
        return f"tune {self.pk}"

    @property
    def target(self) -> Target:
        return Target(TargetKind.VERSION, self.name, self.number)

    @property
    def over(self) -> bool:
        return self.state in ENDED

    @property
    def asked(self) -> TuneRequest:
        """The request as a value."""
        return read_tune(self.request)

    @property
    def served(self) -> ServingProfile:
        """How the version was served when it began, as a value."""
        return ServingProfile.from_values("served", self.profile)

    @property
    def searched(self) -> Space:
        """Where is searched, as a value."""
        return Space.from_document(self.space)


class TuneTrial(models.Model):
    """One configuration that a tune tries: measured by a perf run of its own.

    `why` is what makes it worth its time, `expected` what the model held of it before. Where it
    could not even be asked for, or its run is gone, there is no `run`.
    """

    id = models.BigAutoField(primary_key=True)
    tune = models.ForeignKey(Tune, on_delete=models.CASCADE, related_name="trials")
    number = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=16, choices=TRIAL_KINDS)
    configuration = models.JSONField()
    overrides = models.JSONField(default=dict, blank=True)
    loads = models.JSONField()
    why = models.TextField(blank=True)
    expected = models.JSONField(null=True, blank=True)
    state = models.CharField(max_length=16, choices=TRIAL_STATES, default=TrialState.RUNNING)
    reason = models.TextField(blank=True)
    run = models.OneToOneField(
        PerfRun, null=True, blank=True, on_delete=models.SET_NULL, related_name="trial"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("tune", "number")
        verbose_name = "trial of a tune"
        constraints = (
            models.UniqueConstraint(fields=["tune", "number"], name="trial_numbered_once"),
            models.UniqueConstraint(
                fields=["tune"],
                condition=models.Q(state=TrialState.RUNNING),
                name="trial_one_at_a_time",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=[state.value for state in TrialState]),
                name="trial_state_known",
            ),
            models.CheckConstraint(
                condition=~models.Q(state=TrialState.FAILED) | ~models.Q(reason=""),
                name="trial_failed_for_a_reason",
            ),
        )

    def __str__(self) -> str:
        return f"trial {self.number} of tune {self.tune_id}"

    @property
    def tried(self) -> Configuration:
        """The configuration as a value."""
        return Configuration.from_document(self.configuration)

    @property
    def purpose(self) -> TrialKind:
        """What it is for, as a value."""
        return TrialKind(self.kind)


class FindingTry(models.Model):
    """A change that a finding of an endpoint's figures named, measured: as it is, and changed.

    A finding is no record: it is found anew in each span's figures. `code`, `arm`, `step` and
    `target` say which it was, `change` in its own words. Rows are those of a request.
    """

    id = models.BigAutoField(primary_key=True)
    endpoint = models.CharField(max_length=63)
    code = models.CharField(max_length=40)
    arm = models.CharField(max_length=63)
    step = models.CharField(max_length=63, blank=True)
    target = models.CharField(max_length=80)
    change = models.TextField()
    overrides = models.JSONField(default=dict, blank=True)
    server_name = models.CharField("server", max_length=63)
    before = models.OneToOneField(
        PerfRun, null=True, on_delete=models.SET_NULL, related_name="tried_before"
    )
    after = models.OneToOneField(
        PerfRun, null=True, on_delete=models.SET_NULL, related_name="tried_after"
    )
    asked_by = models.CharField(max_length=150)
    created_at = models.DateTimeField("asked", auto_now_add=True)

    class Meta:
        ordering = ("-id",)
        verbose_name = "try of a finding"
        verbose_name_plural = "tries of findings"
        indexes = (models.Index(fields=["endpoint", "-id"], name="finding_try_by_endpoint"),)

    def __str__(self) -> str:
        return f"try {self.pk} of {self.code}"
