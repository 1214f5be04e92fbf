"""`/endpoints/{name}/budget/`: how fast an endpoint's error budget burns."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.resource import ResourceView
from control_plane.domain.access import Kind
from control_plane.domain.routing.fields import duration_text
from control_plane.domain.routing.policy import SECOND
from control_plane.endpoints.budgets import budget_of
from control_plane.endpoints.selectors import get_endpoint


class BudgetWindowSerializer(serializers.Serializer[Any]):
    """One window that ends now."""

    window = serializers.CharField()
    requests = serializers.IntegerField(help_text="that callers sent")
    errors = serializers.IntegerField(help_text="that callers got")
    burn_rate = serializers.FloatField(help_text="1 spends the budget in 30 days")


class BudgetAlertSerializer(serializers.Serializer[Any]):
    """An alert that fires."""

    severity = serializers.CharField(help_text="page or ticket")
    window = serializers.CharField(help_text="the longer of its two windows")
    burn_rate = serializers.FloatField()
    reason = serializers.CharField()
    since = serializers.DateTimeField()


class ErrorBudgetSerializer(serializers.Serializer[Any]):
    """An endpoint's error budget."""

    objective_percent = serializers.FloatField(
        allow_null=True,
        help_text="the availability that the primary's model is to have; null: none is said, or "
        "one that leaves no budget",
    )
    windows = BudgetWindowSerializer(many=True)
    alerts = BudgetAlertSerializer(many=True, help_text="of the last minute")


class BudgetView(ResourceView):
    """An endpoint's error budget."""

    kind = Kind.ENDPOINT
    read_permission = "endpoints.view_endpoint"

    @extend_schema(responses=ErrorBudgetSerializer)
    def get(self, request: Request, name: str) -> Response:
        """How fast it burns over each window, and which alerts fire."""
        budget = budget_of(get_endpoint(name), wiring.telemetry(), wiring.clock().now())
        body = {
            "objective_percent": budget.objective_percent,
            "windows": [
                {
                    "window": _text(window.window.total_seconds()),
                    "requests": window.requests,
                    "errors": window.errors,
                    "burn_rate": round(window.burn_rate, 4),
                }
                for window in budget.windows
            ],
            "alerts": [
                {
                    "severity": alert.severity,
                    "window": _text(alert.long_s),
                    "burn_rate": round(alert.burn_long, 4),
                    "reason": alert.reason,
                    "since": alert.since,
                }
                for alert in budget.alerts
            ],
        }
        return Response(ErrorBudgetSerializer(body).data)


def _text(seconds: float) -> str:
    return duration_text(round(seconds * SECOND))
