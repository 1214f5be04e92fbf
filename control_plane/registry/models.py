"""Models, versions, artifacts."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib.postgres.indexes import GinIndex
from django.core.validators import RegexValidator
from django.db import models

from control_plane.domain.access import AccessPath, Kind
from control_plane.domain.names import PUBLIC_NAME_RULE
from control_plane.domain.registry.aliases import MAX_ALIAS
from control_plane.domain.registry.service_level import LIMITS
from control_plane.domain.registry.states import VersionState

STATES = [(state.value, state.value.capitalize()) for state in VersionState]

public_name = RegexValidator(r"\A[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?\Z", PUBLIC_NAME_RULE)


class Artifact(models.Model):
    """A file in the artifact store; the same content is one row."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    size = models.BigIntegerField(help_text="bytes")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"sha256:{self.sha256[:12]}"


class Model(models.Model):
    """A named line of versions."""

    access_path: ClassVar = AccessPath(Kind.MODEL, "name")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=63, unique=True, validators=[public_name])
    description = models.TextField(blank=True, help_text="Markdown")
    owner = models.CharField(max_length=150, blank=True)
    tags = models.JSONField(default=dict, blank=True)
    sla_p99_ms = models.FloatField(null=True, blank=True)
    sla_availability_percent = models.FloatField(null=True, blank=True)
    sla_required_qps = models.FloatField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(name__regex=r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$"),
                name="model_name_is_public",
            ),
            *(
                models.CheckConstraint(
                    # NaN compares above every number, so the upper bound keeps it out.
                    condition=models.Q(**{f"sla_{name}__gt": 0, f"sla_{name}__lte": highest})
                    | models.Q(**{f"sla_{name}__isnull": True}),
                    name=f"model_sla_{name}_in_range",
                )
                for name, (highest, _) in LIMITS.items()
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def sla(self) -> dict[str, float]:
        """The service level: what of `domain.registry.service_level.LIMITS` is asked for."""
        values = {name: getattr(self, f"sla_{name}") for name in LIMITS}
        return {name: value for name, value in values.items() if value is not None}

    @sla.setter
    def sla(self, level: Mapping[str, float]) -> None:
        for name in LIMITS:
            setattr(self, f"sla_{name}", level.get(name))


class ModelVersion(models.Model):
    """One immutable version: an artifact and what it takes and gives."""

    access_path: ClassVar = AccessPath(Kind.MODEL, "model__name")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    framework = models.CharField(max_length=32)
    artifact = models.ForeignKey(
        Artifact, on_delete=models.PROTECT, related_name="versions", null=True, blank=True
    )
    source = models.CharField(
        max_length=1024, blank=True, help_text="where its file was fetched from"
    )
    pending = models.JSONField(
        null=True, blank=True, editable=False, help_text="what was said of a file on its way"
    )
    filename = models.CharField(max_length=255)
    profile = models.CharField(max_length=63)
    overrides = models.JSONField(
        default=dict, blank=True, help_text="laid over its serving profile, in the same words"
    )
    state = models.CharField(max_length=16, choices=STATES, default=VersionState.VALIDATING)
    state_reason = models.TextField(blank=True)
    validating_since = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="when a worker took the validation on"
    )
    validation_attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    signature = models.JSONField(null=True, blank=True)
    code = models.JSONField(
        default=list, blank=True, editable=False, help_text="what of it can carry code, in words"
    )
    parameters = models.JSONField(
        default=dict, blank=True, editable=False, help_text="what the backend is told of it"
    )
    model_config = models.JSONField(
        default=dict,
        blank=True,
        editable=False,
        help_text="what its configuration says of it beside signature and serving profile",
    )
    golden = models.ForeignKey(
        Artifact,
        on_delete=models.PROTECT,
        related_name="golden_of",
        null=True,
        blank=True,
        editable=False,
        help_text="the examples that every server runs before it serves",
    )
    golden_shapes = models.JSONField(
        default=list, blank=True, editable=False, help_text="of the inputs of each example"
    )
    description = models.TextField(blank=True, help_text="Markdown")
    tags = models.JSONField(default=dict, blank=True)
    metrics = models.JSONField(default=dict, blank=True)
    provenance = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150)

    class Meta:
        ordering = ("model__name", "-number")
        verbose_name = "version"
        indexes = (
            # What is not ready is a handful among many, and is asked for again and again.
            models.Index(fields=["state", "-created_at"], name="version_by_state"),
            models.Index(fields=["-created_at"], name="version_by_time"),
            models.Index(fields=["created_by", "-created_at"], name="version_by_whom"),
            GinIndex(fields=["tags"], name="version_by_tag"),
        )
        permissions = (("publish_code", "Can publish versions that carry code"),)
        constraints = (
            models.UniqueConstraint(fields=["model", "number"], name="version_number_once"),
            models.CheckConstraint(
                condition=models.Q(number__gte=1, number__lt=1_000_000_000),
                name="version_number_in_range",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="ready") | models.Q(signature__isnull=False),
                name="version_ready_has_signature",
            ),
            models.CheckConstraint(
                condition=~models.Q(state__in=["validating", "ready"])
                | models.Q(artifact__isnull=False),
                name="version_checked_has_artifact",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=[state.value for state in VersionState]),
                name="version_state_is_known",
            ),
            models.CheckConstraint(
                condition=~models.Q(state__in=["rejected", "archived"])
                | ~models.Q(state_reason=""),
                name="version_out_of_use_says_why",
            ),
            # What the reference of an alias (migration 0003) leans on.
            models.UniqueConstraint(fields=["id", "model"], name="version_of_its_model"),
        )

    def __str__(self) -> str:
        return f"{self.model.name} v{self.number}"


class VersionFile(models.Model):
    """A file of a version that was sent as an archive, or whose file has a name of its own."""

    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="files")
    path = models.CharField(max_length=200, help_text="in the model's version folder")
    artifact = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="file_of")

    class Meta:
        ordering = ("path",)
        constraints = (
            models.UniqueConstraint(fields=["version", "path"], name="version_file_once"),
        )

    def __str__(self) -> str:
        return self.path


class Alias(models.Model):
    """A name that points to one version of its model, and can be moved to another.

    That the version is one of this model, the database holds (migration 0003).
    """

    access_path: ClassVar = AccessPath(Kind.MODEL, "model__name")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="aliases")
    name = models.CharField(max_length=MAX_ALIAS)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="aliases")
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.CharField(max_length=150)

    class Meta:
        ordering = ("name",)
        verbose_name_plural = "aliases"
        constraints = (
            models.UniqueConstraint(fields=["model", "name"], name="alias_once_in_model"),
            models.CheckConstraint(
                condition=models.Q(name__regex=r"^[A-Za-z0-9_-]+$")
                & ~models.Q(name__iregex=r"^(latest|v[0-9]+)$"),
                name="alias_follows_the_rule",
            ),
        )

    def __str__(self) -> str:
        return f"{self.model.name}@{self.name}"


class Revised(models.Model):
    """A named record whose documents are immutable revisions (`registry.revised`)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=63, unique=True, validators=[public_name])
    newest = models.PositiveIntegerField(help_text="the number of its newest revision")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150)
    revisions: Any  # its kind's own revisions, by their foreign key

    class Meta:
        abstract = True
        ordering = ("name",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(name__regex=r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$"),
                name="%(class)s_name_is_public",
            ),
        )

    def __str__(self) -> str:
        return self.name


class Profile(Revised):
    """A serving profile that somebody added; those that come with Nereid are files."""


class ProfileRevision(models.Model):
    """What a profile says from one change to the next; never changed (migration 0013)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    profile = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    document = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150)

    class Meta:
        ordering = ("profile__name", "-number")
        constraints = (
            models.UniqueConstraint(fields=["profile", "number"], name="profile_revision_once"),
        )

    def __str__(self) -> str:
        return f"{self.profile.name} r{self.number}"


class Pipeline(Revised):
    """A named line of steps. No model has its name: both give physical ones (migration 0017)."""


class PipelineRevision(models.Model):
    """A pipeline from one change to the next; never changed (migration 0017)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    pipeline = models.ForeignKey(Pipeline, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    document = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150)

    class Meta:
        ordering = ("pipeline__name", "-number")
        constraints = (
            models.UniqueConstraint(fields=["pipeline", "number"], name="pipeline_revision_once"),
            models.CheckConstraint(
                condition=models.Q(number__gte=1, number__lt=1_000_000_000),
                name="pipeline_revision_in_range",
            ),
        )

    def __str__(self) -> str:
        return f"pipeline {self.pipeline.name} revision {self.number}"


class PipelineStep(models.Model):
    """That a revision runs a version, or another pipeline's revision: neither can go away."""

    revision = models.ForeignKey(PipelineRevision, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=63)
    version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="pipeline_steps", null=True
    )
    inner = models.ForeignKey(
        PipelineRevision, on_delete=models.PROTECT, related_name="outer_steps", null=True
    )

    class Meta:
        ordering = ("revision", "position")
        constraints = (
            models.UniqueConstraint(fields=["revision", "name"], name="step_name_once"),
            models.CheckConstraint(
                condition=models.Q(version__isnull=False, inner__isnull=True)
                | models.Q(version__isnull=True, inner__isnull=False),
                name="step_runs_one_thing",
            ),
        )

    def __str__(self) -> str:
        return str(self.revision)


class Upload(models.Model):
    """An unfinished upload: how much of it has arrived, and until when it may be finished."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.CharField(max_length=150, db_index=True)
    filename = models.CharField(max_length=255)
    sha256 = models.CharField(max_length=64, blank=True, help_text="as its sender announced it")
    length = models.BigIntegerField(help_text="bytes in all")
    offset = models.BigIntegerField(default=0, help_text="bytes that have arrived")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(offset__gte=0, offset__lte=models.F("length")),
                name="upload_offset_in_length",
            ),
        )

    def __str__(self) -> str:
        return f"upload {self.id}"
