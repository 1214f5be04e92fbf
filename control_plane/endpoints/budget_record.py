"""That an endpoint's error budget burns: the record, of which `models` is one with the others."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from control_plane.domain.access import AccessPath, Kind
from control_plane.domain.analysis.burn_rate import Severity


class BudgetAlert(models.Model):
    """An endpoint's error budget burns too fast over a window of `long_s`, and over its short one.

    Burn rates are multiples of the pace that spends it in its whole period.
    """

    access_path: ClassVar = AccessPath(Kind.ENDPOINT, "endpoint__name")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(
        "endpoints.Endpoint", on_delete=models.CASCADE, related_name="budget_alerts"
    )
    long_s = models.PositiveIntegerField()
    severity = models.CharField(
        max_length=8, choices=[(severity.value, severity.value) for severity in Severity]
    )
    burn_long = models.FloatField()
    burn_short = models.FloatField()
    reason = models.TextField()
    since = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["endpoint", "long_s"], name="budget_alert_once"),
        )

    def __str__(self) -> str:
        return f"{self.severity} of {self.endpoint.name}"
