"""Servers."""

from __future__ import annotations

import uuid

from django.db import models

from control_plane.domain.planning.drift import DriftKind


class Server(models.Model):
    """A Triton, its addresses, and what its node last said of it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=63, unique=True)
    http = models.CharField(max_length=255, help_text="host:port")
    grpc = models.CharField(max_length=255, help_text="host:port")
    metrics = models.URLField(max_length=255)
    accelerator = models.CharField(max_length=8, default="cpu")
    hardware = models.CharField(max_length=63, blank=True, help_text="the profile of its hardware")
    response_cache = models.BooleanField(null=True, blank=True, help_text="empty: not known")
    rate_limiter = models.BooleanField(null=True, blank=True, help_text="empty: not known")
    lab = models.BooleanField(
        default=False, help_text="may be put under load: it serves nothing that matters"
    )
    cores = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="that its node may use"
    )
    triton_version = models.CharField(max_length=32, blank=True)
    backends = models.JSONField(
        null=True, blank=True, help_text="what it can run models with; empty: not known"
    )
    ready = models.BooleanField(default=False, help_text="serves everything it should")
    not_ready_reason = models.TextField(blank=True)
    held = models.JSONField(default=list, blank=True, help_text="Triton's repository index")
    last_seen_at = models.DateTimeField(null=True, blank=True)
    lost_at = models.DateTimeField(
        null=True, blank=True, help_text="when it was noticed that nothing is heard of it"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(name__regex=r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$"),
                name="server_name_is_public",
            ),
            models.CheckConstraint(
                condition=models.Q(accelerator__in=["cpu", "gpu"]), name="server_accelerator_known"
            ),
        )

    def __str__(self) -> str:
        return self.name


class DriftFinding(models.Model):
    """Something that was changed by hand on a server, from its being seen to its end.

    `problem` is why it is not put right; empty where it is only told of.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="drift")
    kind = models.CharField(max_length=32, choices=[(k.value, k.value) for k in DriftKind])
    subject = models.CharField(max_length=255, help_text="the model or directory")
    endpoints = models.JSONField(default=list, blank=True)
    detail = models.TextField()
    problem = models.TextField(blank=True)
    seen_at = models.DateTimeField(db_index=True)
    put_right_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-seen_at",)
        constraints = (
            models.UniqueConstraint(
                fields=["server", "kind", "subject"],
                condition=models.Q(put_right_at=None),
                name="drift_is_open_once",
            ),
            models.CheckConstraint(
                condition=models.Q(kind__in=[k.value for k in DriftKind]), name="drift_kind_known"
            ),
        )

    def __str__(self) -> str:
        return f"{self.subject} on {self.server.name}"
