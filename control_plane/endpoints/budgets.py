"""Error budgets of endpoints: how fast they burn, who is told, and when it is over.

An endpoint's objective is the availability that its primary arm's model is to keep up (its service
level). What counts is what callers got; a failure that the primary answered in an arm's stead
burns nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from control_plane.domain.analysis.burn_rate import (
    WINDOWS,
    Alert,
    Rule,
    burn_rate,
    burning,
    window_words,
)
from control_plane.endpoints.models import BudgetAlert, Endpoint
from control_plane.registry.models import Model
from control_plane.telemetry.store import TelemetryStore
from control_plane.webhooks.outbox import tell


@dataclass(frozen=True)
class WindowBurn:
    """One window: what callers sent, what came back as errors, and how fast the budget burnt."""

    window: timedelta
    requests: int
    errors: int
    burn_rate: float

    @property
    def words(self) -> str:
        """How long it is, for people."""
        return window_words(self.window)


@dataclass(frozen=True)
class Budget:
    """An endpoint's objective in percent, its windows, and the alerts that fire."""

    objective_percent: float | None
    windows: tuple[WindowBurn, ...] = ()
    alerts: tuple[BudgetAlert, ...] = ()


def objectives(endpoints: Iterable[Endpoint]) -> dict[str, float]:
    """Endpoint -> the availability that it is to have, in percent, where that leaves a budget."""
    primaries = {endpoint.name: primary_model(endpoint.policy) for endpoint in endpoints}
    rows = Model.objects.filter(
        name__in=set(filter(None, primaries.values())), sla_availability_percent__lt=100
    )
    known = {row.name: row.sla_availability_percent or 0.0 for row in rows}
    return {name: known[model] for name, model in primaries.items() if model in known}


def primary_model(policy: Mapping[str, Any] | None) -> str:
    """The model of a policy's primary arm; empty where there is none, or it is a pipeline."""
    arms = (policy or {}).get("arms", ())
    primary = next((arm for arm in arms if arm.get("primary") or len(arms) == 1), None)
    if primary is None or primary.get("pipeline"):
        return ""
    return str(primary.get("model") or "")


def budget_of(endpoint: Endpoint, store: TelemetryStore, now: datetime) -> Budget:
    """How an endpoint's error budget stands."""
    objective = objectives([endpoint]).get(endpoint.name)
    if objective is None:
        return Budget(None)
    counted = store.windows([endpoint.name], WINDOWS, now)[endpoint.name]
    windows = tuple(
        WindowBurn(window, of, bad, burn_rate(of, bad, objective / 100))
        for window, (of, bad) in counted.items()
    )
    return Budget(objective, windows, tuple(endpoint.budget_alerts.order_by("long_s")))


def watch_budgets(*, store: TelemetryStore, now: datetime) -> None:
    """Looks at every endpoint that has an objective: raises alerts, and ends those that are over.

    Telling is once for each endpoint: when its first alert fires, when one joins that is more
    urgent, and when the last is over.
    """
    endpoints = {one.name: one for one in Endpoint.objects.filter(deleted_at=None)}
    wanted = objectives(endpoints.values())
    BudgetAlert.objects.exclude(endpoint__name__in=wanted).delete()
    counted = store.windows(list(wanted), WINDOWS, now) if wanted else {}
    for name, objective in wanted.items():
        with transaction.atomic():
            _look(endpoints[name], burning(objective / 100, counted[name]), now)


def _look(endpoint: Endpoint, found: tuple[Alert, ...], now: datetime) -> None:
    locked = Endpoint.objects.select_for_update(of=("self",)).filter(id=endpoint.id).first()
    if locked is None:  # it was deleted meanwhile
        return
    before = {row.long_s: row for row in endpoint.budget_alerts.all()}
    present = {_seconds(alert.rule): alert for alert in found}
    endpoint.budget_alerts.exclude(long_s__in=present).delete()
    for long_s, alert in present.items():
        BudgetAlert.objects.update_or_create(
            endpoint=endpoint,
            long_s=long_s,
            defaults={
                "severity": alert.rule.severity,
                "burn_long": alert.long,
                "burn_short": alert.short,
                "reason": alert.reason,
                "since": before[long_s].since if long_s in before else now,
                "seen_at": now,
            },
        )
    urgent = {alert.rule.severity for alert in found}
    was_urgent = {row.severity for row in before.values()}
    subject = {"endpoint": endpoint.name}
    if new := [alert for alert in found if alert.rule.severity not in was_urgent]:
        reason = f"{new[0].rule.severity}: {new[0].reason}"
        tell("endpoint.budget_burning", at=now, subject=subject, reason=reason)
    elif was_urgent and not urgent:
        reason = "the error budget burns no faster than it may"
        tell("endpoint.budget_calm", at=now, subject=subject, reason=reason)


def _seconds(rule: Rule) -> int:
    return int(rule.long.total_seconds())
