"""The audit record."""

from __future__ import annotations

from django.db import models


class AuditEvent(models.Model):
    """One deed. The database refuses to change or remove a row (migrations 0002 and 0003)."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.CharField(max_length=150)
    action = models.CharField(max_length=64)
    object_type = models.CharField(max_length=64)
    object_id = models.CharField(max_length=64)
    object_name = models.CharField(max_length=200)
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)
    reason = models.TextField(blank=True)
    request_id = models.CharField(max_length=128, blank=True)

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["object_type", "object_id"]),
            models.Index(fields=["actor", "-id"], name="audit_by_actor"),
            models.Index(fields=["action", "-id"], name="audit_by_action"),
            models.Index(fields=["object_name", "-id"], name="audit_by_name"),
            models.Index(
                fields=["request_id"],
                condition=~models.Q(request_id=""),
                name="audit_by_request",
            ),
        )

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.object_name}"
