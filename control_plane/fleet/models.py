"""Servers, what their models were measured to take of them, and the proxies in front of them."""

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
    gate = models.CharField(
        max_length=255, blank=True, default="", db_default="", help_text="host:port of its node's"
    )
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
    not_ready_since = models.DateTimeField(
        null=True, blank=True, help_text="when its node first said so; empty: it is ready"
    )
    # What came later has a default in the database, too: a release before goes on writing rows.
    node_labels = models.JSONField(
        default=dict, db_default={}, blank=True, help_text="what its node says of it"
    )
    set_labels = models.JSONField(
        default=dict, db_default={}, blank=True, help_text="what people say of it"
    )
    devices = models.JSONField(
        null=True, blank=True, help_text="its GPUs, each with name and memory; empty: not known"
    )
    memory_limit = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="bytes that its Triton may take; empty: not known"
    )
    memory_used = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="bytes that its Triton takes; empty: not known"
    )
    gpu_memory_limit = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="bytes of all of its GPUs; empty: not known"
    )
    gpu_memory_used = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="bytes in use on its GPUs; empty: not known"
    )
    cordoned_at = models.DateTimeField(
        null=True, blank=True, help_text="since when nothing new is placed there"
    )
    cordoned_by = models.CharField(max_length=150, blank=True, default="", db_default="")
    cordon_reason = models.TextField(blank=True, default="", db_default="")
    draining = models.BooleanField(
        default=False, db_default=False, help_text="what it holds moves elsewhere"
    )
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
            models.CheckConstraint(
                condition=models.Q(draining=False) | models.Q(cordoned_at__isnull=False),
                name="server_draining_is_cordoned",
            ),
            models.CheckConstraint(
                condition=models.Q(cordoned_at=None, cordoned_by="")
                | (models.Q(cordoned_at__isnull=False) & ~models.Q(cordoned_by="")),
                name="server_cordoned_by_somebody",
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


class Edge(models.Model):
    """A proxy in front of the servers, and what the writer of its files last saw of it.

    A writer that is told to stop takes it away; one that died leaves it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=253, unique=True)
    sight = models.JSONField(default=dict, help_text="as domain.edge.sight has it")
    seen_at = models.DateTimeField(help_text="when its writer saw it last")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class ModelMemory(models.Model):
    """What loading a physical model took on one server, in bytes, when it was measured last."""

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="measured")
    model = models.CharField(max_length=100, db_index=True)
    host = models.PositiveBigIntegerField()
    gpu = models.PositiveBigIntegerField(default=0)
    measured_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["server", "model"], name="model_memory_once"),
        )

    def __str__(self) -> str:
        return f"{self.model} on {self.server.name}"


class FleetChange(models.Model):
    """One row: counts what changed of any server that placements look at (migration 0008).

    Who places something where others are placed holds it.
    """

    number = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = (
            models.CheckConstraint(condition=models.Q(id=1), name="fleet_change_is_one"),
        )

    def __str__(self) -> str:
        return str(self.number)


class ServerChange(models.Model):
    """Which server a counted change was of; the database writes it, and keeps the last thousand."""

    number = models.PositiveBigIntegerField(primary_key=True)
    server = models.CharField(max_length=63)

    def __str__(self) -> str:
        return f"{self.number}: {self.server}"
