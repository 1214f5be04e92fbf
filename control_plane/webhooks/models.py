"""Webhooks, their deliveries, and every attempt."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from control_plane.domain.names import PUBLIC_NAME_RULE


class State(models.TextChoices):
    """What became of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    ABANDONED = "abandoned"


STATES = ("enabled", "failing", "disabled")
"""What `Webhook.state` says."""


class Webhook(models.Model):
    """A receiver, what it wants to be told, and how it is doing.

    `secret` is sealed (`secrets`); so is `old_secret`, which signs too until `old_secret_until`.
    `lease_*` is held by the worker that delivers: one at a time, so that a slow receiver keeps no
    second worker busy. It is left alone until `rests_until`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(
        max_length=63,
        unique=True,
        validators=[RegexValidator(r"\A[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?\Z", PUBLIC_NAME_RULE)],
    )
    url = models.CharField("URL", max_length=2000)
    events = ArrayField(models.CharField(max_length=64))
    names = ArrayField(models.CharField(max_length=63), default=list, blank=True)
    enabled = models.BooleanField(default=True)
    disabled_by = models.CharField(max_length=150, blank=True)
    disabled_reason = models.TextField(blank=True)
    secret = models.BinaryField()
    old_secret = models.BinaryField(null=True)
    old_secret_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150)

    failures = models.PositiveIntegerField(default=0, help_text="in a row")
    failing_since = models.DateTimeField(null=True, blank=True)
    rests_until = models.DateTimeField(null=True, blank=True)
    lease_owner = models.CharField(max_length=64, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.CheckConstraint(
                condition=Q(name__regex=r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$"),
                name="webhook_name_is_public",
            ),
            models.CheckConstraint(
                condition=Q(url__regex=r"^https?://[!-~]+$"), name="webhook_url_is_http"
            ),
            models.CheckConstraint(
                condition=Q(enabled=False) | Q(disabled_reason="", disabled_by=""),
                name="webhook_enabled_has_no_reason_against_it",
            ),
            models.CheckConstraint(
                condition=Q(old_secret__isnull=True, old_secret_until__isnull=True)
                | Q(old_secret__isnull=False, old_secret_until__isnull=False),
                name="webhook_old_secret_has_an_end",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def state(self) -> str:
        """`enabled`, `failing` or `disabled`."""
        if not self.enabled:
            return "disabled"
        return "failing" if self.failing_since else "enabled"


class Delivery(models.Model):
    """One event on its way to one webhook. `body` holds the very characters that are signed.

    `event_id` is the receiver's `webhook-id`: the same at every attempt and for every webhook.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event_id = models.CharField(max_length=64)
    event = models.CharField(max_length=64)
    body = models.TextField()
    state = models.CharField(max_length=16, choices=State.choices, default=State.PENDING)
    reason = models.TextField(blank=True)
    tries = models.PositiveIntegerField(default=0, help_text="since it was last sent off")
    due_at = models.DateTimeField(null=True, blank=True, help_text="the next attempt")
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)
        verbose_name_plural = "deliveries"
        indexes = (
            models.Index(
                fields=["webhook", "due_at"],
                condition=Q(state="pending"),
                name="delivery_pending",
            ),
            models.Index(fields=["webhook", "-created_at"], name="delivery_newest"),
            models.Index(fields=["ended_at"], condition=~Q(state="pending"), name="delivery_ended"),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(state__in=State.values), name="delivery_state_is_known"
            ),
            models.CheckConstraint(
                condition=Q(state="pending", due_at__isnull=False, ended_at__isnull=True)
                | (~Q(state="pending") & Q(due_at__isnull=True, ended_at__isnull=False)),
                name="delivery_is_due_or_ended",
            ),
        )

    def __str__(self) -> str:
        return f"{self.event} to {self.webhook}"


class Attempt(models.Model):
    """One POST: when, how long it took, and what came of it."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts")
    at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    error = models.TextField(blank=True)
    answer = models.TextField(blank=True, help_text="its first bytes")

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.status or self.error}"
