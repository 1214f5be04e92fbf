"""Perf runs."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models

from control_plane.domain.perf.read_request import read_request
from control_plane.domain.perf.request import PerfRequest, Target, TargetKind
from control_plane.domain.perf.states import ACTIVE, OVER, PerfState
from control_plane.domain.planning.plan import Plan
from control_plane.fleet.models import Server
from control_plane.registry.models import ModelVersion

STATES = [(state.value, state.value) for state in PerfState]
KINDS = [(kind.value, kind.value) for kind in TargetKind]


class PerfRun(models.Model):
    """One target on one server under a list of loads, and how far that went.

    `request` is what was asked for with everything filled in, `plan` what the server holds for it
    while it runs; an endpoint has none. `generation` fences what its node is told (`holding`).
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
