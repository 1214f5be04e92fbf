"""Endpoints, their revisions, and what each server was observed to hold of them."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models

from control_plane.domain.access import AccessPath, Kind
from control_plane.domain.four_eyes import Change, ChangeState, Person
from control_plane.domain.names import PUBLIC_NAME_RULE
from control_plane.domain.planning.plan import Plan
from control_plane.domain.planning.reconcile import Status
from control_plane.endpoints.budget_record import BudgetAlert
from control_plane.fleet.models import Server
from control_plane.registry.models import ModelVersion, PipelineRevision

__all__ = [
    "BudgetAlert",
    "ChangeRequest",
    "Endpoint",
    "Placement",
    "RetiredName",
    "RetiredRevision",
    "Revision",
    "RevisionPipeline",
    "RevisionVersion",
]

CHANGE_STATES = [(state.value, state.value) for state in ChangeState]


class Endpoint(models.Model):
    """A public name and the traffic people want behind it.

    `policy` and `generation` are intent; `observed_generation`, `status` and `reason` are
    what reconcile found. `lease_*` is held by the reconcile that is at work. `placement` says where
    it shall be (None: everywhere), `placing` where it was placed, and why not elsewhere.
    """

    access_path: ClassVar = AccessPath(Kind.ENDPOINT, "name")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(
        max_length=63,
        unique=True,
        validators=[RegexValidator(r"\A[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?\Z", PUBLIC_NAME_RULE)],
    )
    description = models.TextField(blank=True, help_text="Markdown")
    four_eyes = models.BooleanField(
        default=False, help_text="whether a second person has to approve its changes of traffic"
    )
    policy = models.JSONField(null=True, blank=True)
    generation = models.PositiveBigIntegerField(default=0)
    generation_floor = models.PositiveBigIntegerField(default=0)
    observed_generation = models.PositiveBigIntegerField(default=0)
    status = models.CharField(
        max_length=16, choices=[(s, s) for s in Status], default=Status.UNCONFIGURED
    )
    reason = models.TextField(blank=True, default="no routing policy yet")
    placement = models.JSONField(null=True, blank=True)
    placing = models.JSONField(null=True, blank=True)
    placed_at_change = models.BigIntegerField(default=-1, db_default=-1)
    judged_at_change = models.BigIntegerField(default=-1, db_default=-1)
    deleted_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    created_by = models.CharField(max_length=150)
    changed_by = models.CharField(max_length=150, blank=True)

    lease_owner = models.CharField(max_length=64, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    look_again = models.BooleanField(default=False)
    look_at = models.DateTimeField(null=True, blank=True, db_index=True)

    told = models.CharField(max_length=16, blank=True, help_text="the condition last told of")
    told_generation = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ("name",)
        permissions = (
            ("lift_four_eyes", "Can switch the four-eyes rule off"),
            ("report_feedback", "Can report feedback on its answers"),
        )
        constraints = (
            models.CheckConstraint(
                condition=models.Q(deleted_at=None) | models.Q(four_eyes=False),
                name="endpoint_with_four_eyes_stays",
            ),
            models.CheckConstraint(
                condition=models.Q(name__regex=r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$"),
                name="endpoint_name_is_public",
            ),
            models.CheckConstraint(
                condition=models.Q(generation=0) | models.Q(policy__isnull=False),
                name="endpoint_generation_has_policy",
            ),
            models.CheckConstraint(
                condition=models.Q(observed_generation__lte=models.F("generation")),
                name="endpoint_observed_not_ahead",
            ),
        )

    def __str__(self) -> str:
        return self.name


class RetiredName(models.Model):
    """A name whose endpoint is gone, and the last generation it had."""

    name = models.CharField(max_length=63, primary_key=True)
    generation = models.PositiveBigIntegerField()

    def __str__(self) -> str:
        return self.name


class Revision(models.Model):
    """An immutable compiled plan of an endpoint, or why it could not be compiled."""

    access_path: ClassVar = AccessPath(Kind.ENDPOINT, "endpoint__name")
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    generation = models.PositiveBigIntegerField()
    policy = models.JSONField()
    plan = models.JSONField(null=True, blank=True)
    digest = models.CharField(max_length=64, blank=True)
    diff = models.TextField(blank=True)
    error = models.TextField(blank=True)
    versions = models.ManyToManyField(
        ModelVersion, through="RevisionVersion", related_name="revisions"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150)
    approved_by = models.CharField(
        max_length=150, blank=True, help_text="the second person, where the four-eyes rule held"
    )
    reason = models.TextField(blank=True, help_text="why, in the words of whoever made it")
    switched_from = models.DateTimeField(
        null=True, blank=True, help_text="when the first server's router was switched to it"
    )
    served_from = models.DateTimeField(
        null=True, blank=True, help_text="when every server that could be reached had it"
    )
    restores = models.PositiveIntegerField(
        null=True, blank=True, help_text="the revision that this one goes back to"
    )
    passing = models.BooleanField(
        default=False, help_text="a rollout's step on its way: no rollback leads to it by itself"
    )

    class Meta:
        ordering = ("-number",)
        constraints = (
            models.UniqueConstraint(fields=["endpoint", "number"], name="revision_number_once"),
            models.UniqueConstraint(
                fields=["endpoint", "generation"], name="revision_generation_once"
            ),
            models.CheckConstraint(
                condition=models.Q(plan__isnull=False) | ~models.Q(error=""),
                name="revision_has_plan_or_error",
            ),
        )

    def __str__(self) -> str:
        return f"{self.endpoint.name} revision {self.number}"

    @property
    def compiled(self) -> Plan | None:
        """The plan as a value; None where the policy could not be compiled."""
        return Plan.from_document(self.plan) if self.plan else None


class RetiredRevision(models.Model):
    """What a revision served, kept by the endpoint's name when the endpoint is gone."""

    endpoint_name = models.CharField(max_length=63)
    endpoint_id = models.UUIDField()
    number = models.PositiveIntegerField()
    generation = models.PositiveBigIntegerField()
    policy = models.JSONField()
    arms = models.JSONField(default=list)
    digest = models.CharField(max_length=64, blank=True)
    diff = models.TextField(blank=True)
    error = models.TextField(blank=True)
    restores = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=150)
    reason = models.TextField(blank=True)
    approved_by = models.CharField(max_length=150, blank=True)
    switched_from = models.DateTimeField(null=True, blank=True)
    served_from = models.DateTimeField(null=True, blank=True)
    served_until = models.DateTimeField()

    class Meta:
        ordering = ("-served_until", "-number")
        constraints = (
            models.UniqueConstraint(fields=["endpoint_id", "number"], name="retired_number_once"),
            models.CheckConstraint(
                condition=models.Q(switched_from__isnull=False)
                | models.Q(served_from__isnull=False),
                name="retired_revision_served",
            ),
        )
        indexes = (
            models.Index(fields=["endpoint_name", "served_until"], name="retired_by_name_and_time"),
        )

    def __str__(self) -> str:
        return f"{self.endpoint_name} revision {self.number}"


class RevisionVersion(models.Model):
    """That a revision uses a version: while it does, the version cannot go away."""

    revision = models.ForeignKey(Revision, on_delete=models.CASCADE)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT)
    physical = models.CharField(max_length=100)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["revision", "version"], name="revision_uses_version_once"
            ),
        )

    def __str__(self) -> str:
        return str(self.revision)


class RevisionPipeline(models.Model):
    """That an arm of a revision is a pipeline: while it is, the pipeline cannot go away.

    The versions that run in it stand in `RevisionVersion`, as those of other arms do.
    """

    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="pipelines")
    pipeline = models.ForeignKey(PipelineRevision, on_delete=models.PROTECT, related_name="uses")
    physical = models.CharField(max_length=100)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["revision", "pipeline"], name="revision_uses_pipeline_once"
            ),
        )

    def __str__(self) -> str:
        return str(self.revision)


class Placement(models.Model):
    """What one server was observed to hold of one endpoint, and what it was last told."""

    access_path: ClassVar = AccessPath(Kind.ENDPOINT, "endpoint__name")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="placements")
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="placements")
    assigned = models.BooleanField(
        default=True, db_default=True
    )  # otherwise it goes once the others serve,
    leaving_at = models.DateTimeField(null=True, blank=True)  # which they do since then
    prepared = models.PositiveBigIntegerField(default=0)
    switched = models.PositiveBigIntegerField(default=0)
    retired = models.PositiveBigIntegerField(default=0)
    failed = models.PositiveBigIntegerField(default=0)
    failure = models.TextField(blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    ready_models = models.JSONField(default=list, blank=True)
    unready = models.PositiveBigIntegerField(
        default=0, help_text="the generation whose switch found an arm that was not ready"
    )
    observed_at = models.DateTimeField(null=True, blank=True)
    sent_verb = models.CharField(max_length=16, blank=True)
    sent_generation = models.PositiveBigIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("server__name",)
        constraints = (
            models.UniqueConstraint(fields=["server", "endpoint"], name="placement_once"),
            models.CheckConstraint(
                condition=models.Q(assigned=False) | models.Q(leaving_at=None),
                name="placement_leaving_goes",
            ),
        )

    def __str__(self) -> str:
        return f"{self.endpoint.name} on {self.server.name}"


class ChangeRequest(models.Model):
    """A policy that somebody asked for and that another person lets through, or not.

    `effect` is its dry run at the moment it was asked for, `digest` that of the plan it is
    compiled into: what is approved is what was shown. What was asked for never changes, nor does
    what was decided (migration 0010).
    """

    access_path: ClassVar = AccessPath(Kind.ENDPOINT, "endpoint__name")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="changes")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=16, choices=CHANGE_STATES, default=ChangeState.PENDING)
    generation = models.PositiveBigIntegerField(help_text="the one that the policy is based on")
    policy = models.JSONField()
    digest = models.CharField(max_length=64)
    effect = models.JSONField()
    reason = models.TextField(blank=True)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    asked_by = models.CharField(max_length=150)
    created_at = models.DateTimeField("asked", auto_now_add=True)
    decider = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    decided_by = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_reason = models.TextField(blank=True)
    revision = models.OneToOneField(
        Revision, null=True, on_delete=models.CASCADE, related_name="change"
    )

    class Meta:
        ordering = ("-created_at",)
        verbose_name = "change"
        constraints = (
            models.UniqueConstraint(fields=["endpoint", "number"], name="change_number_once"),
            models.UniqueConstraint(
                fields=["endpoint"],
                condition=models.Q(state=ChangeState.PENDING),
                name="change_waits_alone",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=[state.value for state in ChangeState]),
                name="change_state_is_known",
            ),
            models.CheckConstraint(
                condition=models.Q(state=ChangeState.PENDING, decided_by="", decided_at=None)
                | (
                    ~models.Q(state=ChangeState.PENDING)
                    & ~models.Q(decided_by="")
                    & models.Q(decided_at__isnull=False)
                ),
                name="change_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=~models.Q(state=ChangeState.APPROVED)
                | (
                    ~models.Q(decided_by=models.F("asked_by"))
                    & (
                        models.Q(decider=None)
                        | models.Q(author=None)
                        | ~models.Q(decider=models.F("author"))
                    )
                ),
                name="change_approved_by_another",
            ),
            models.CheckConstraint(
                condition=models.Q(state=ChangeState.APPROVED, revision__isnull=False)
                | (~models.Q(state=ChangeState.APPROVED) & models.Q(revision=None)),
                name="change_approved_has_revision",
            ),
        )

    def __str__(self) -> str:
        return f"{self.endpoint.name} change {self.number}"

    def as_value(self) -> Change:
        """What the rule looks at."""
        return Change(
            endpoint=self.endpoint.name,
            number=self.number,
            author=Person(self.author_id, self.asked_by),
            generation=self.generation,
            state=ChangeState(self.state),
            decided_by=Person(self.decider_id, self.decided_by) if self.decided_by else None,
        )
