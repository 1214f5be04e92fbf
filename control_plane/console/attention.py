"""What needs somebody: each line says what is wrong, where, why, and leads to where one can act."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef
from django.urls import reverse
from sqlalchemy.exc import SQLAlchemyError

from control_plane import wiring
from control_plane.console import words
from control_plane.console.record_admin import change_url
from control_plane.console.rights import visible
from control_plane.console.rollouts_under_way import waiting
from control_plane.console.server_faults import lasting_fault
from control_plane.domain.four_eyes import ChangeState, stale
from control_plane.domain.planning.reconcile import Status
from control_plane.endpoints.models import BudgetAlert, ChangeRequest, Endpoint, Placement
from control_plane.endpoints.selectors import physical_of, shown
from control_plane.fleet.models import Server
from control_plane.fleet.selectors import server_status
from control_plane.registry.models import ModelVersion, VersionState
from control_plane.rollouts.models import Rollout
from control_plane.telemetry.store import ArmGuard
from control_plane.webhooks.selectors import in_trouble

logger = logging.getLogger(__name__)

LATELY = timedelta(minutes=5)
MOST = 12
"""Lines of one kind: a broken fleet is not listed in full on the first page."""


@dataclass(frozen=True)
class Concern:
    """One line. `state` is a status with a colour; `deed` says what the link leads to."""

    key: str
    state: str
    what: str
    why: str
    url: str
    deed: str


def concerns(
    user: Any, now: datetime, *, servers: bool, rollouts: Iterable[Rollout] = ()
) -> list[Concern]:
    """Everything that the person may see and somebody should look at, the worst first.

    Args:
        rollouts: those under way that the person may see.
    """
    return list(
        chain(
            _degraded(user),
            _servers(now) if servers else (),
            _failed_prepares(user),
            _guarded(user),
            _burning(user),
            _queues(user, now),
            _rollouts(rollouts, user, now),
            _waiting(user),
            _rejected(user),
            _webhooks() if user.has_perm("webhooks.view_webhook") else (),
        )
    )


def _degraded(user: Any) -> Iterator[Concern]:
    rows = visible(user, Endpoint.objects.filter(status=Status.DEGRADED, deleted_at=None))
    for endpoint in rows.order_by("name")[:MOST]:
        yield Concern(
            key=f"endpoint-{endpoint.pk.hex}",
            state="Degraded",
            what=endpoint.name,
            why=endpoint.reason,
            url=change_url(endpoint),
            deed="Look at the endpoint",
        )


def _servers(now: datetime) -> Iterator[Concern]:
    for server in Server.objects.all():
        status, reason = server_status(server, now)
        lasting = lasting_fault(server, now)
        if status != "Ready":
            yield Concern(
                key=f"server-{server.pk.hex}",
                state=status,
                what=f"server {server.name}",
                why=f"{reason}, for {lasting}" if lasting else reason,
                url=change_url(server),
                deed="Look at the server",
            )


def _failed_prepares(user: Any) -> Iterator[Concern]:
    """Of endpoints that are not degraded by it: there the reason stands already."""
    failed = Placement.objects.filter(failed=F("endpoint__generation"), failed__gt=0)
    rows = failed.exclude(endpoint__status=Status.DEGRADED).select_related("server", "endpoint")
    for placement in visible(user, rows)[:MOST]:
        yield Concern(
            key=f"placement-{placement.pk.hex}",
            state="Failed",
            what=f"{placement.endpoint.name} on {placement.server.name}",
            why=placement.failure,
            url=change_url(placement.endpoint),
            deed="Look at the endpoint",
        )


def _waiting(user: Any) -> Iterator[Concern]:
    """Changes that wait for a second person; whoever asked is told who is waited for."""
    rows = ChangeRequest.objects.filter(state=ChangeState.PENDING).select_related("endpoint")
    name = user.get_username()
    for change in visible(user, rows).order_by("created_at")[:MOST]:
        late = stale(change.as_value(), change.endpoint.generation)
        own = change.asked_by == name
        asked = "you asked" if own else f"{change.asked_by} asked"
        why = f"{asked} for it, and somebody else has to approve it" if own else f"{asked} for it"
        yield Concern(
            key=f"change-{change.pk.hex}",
            state="stale" if late else "pending",
            what=f"{change.endpoint.name}, change {change.number}",
            why=late or (f"{why}: {change.reason}" if change.reason else why),
            url=change_url(change),
            deed="Look at your change" if own else "Review the change",
        )


def _burning(user: Any) -> Iterator[Concern]:
    """Endpoints whose error budget burns too fast, each by its most urgent alert."""
    burning = Endpoint.objects.filter(Exists(BudgetAlert.objects.filter(endpoint=OuterRef("pk"))))
    shown_here = visible(user, burning.filter(deleted_at=None)).order_by("name")[:MOST]
    for endpoint in shown_here.prefetch_related("budget_alerts"):
        alert = min(endpoint.budget_alerts.all(), key=lambda one: one.long_s)
        yield Concern(
            key=f"budget-{endpoint.pk.hex}",
            state=alert.severity,
            what=f"{endpoint.name}, error budget",
            why=alert.reason,
            url=change_url(endpoint),
            deed="Look at the endpoint",
        )


def _rollouts(rollouts: Iterable[Rollout], user: Any, now: datetime) -> Iterator[Concern]:
    """Rollouts that do not go on by themselves."""
    for found in islice(waiting(rollouts, user.get_username(), now), MOST):
        yield Concern(
            key=f"rollout-{found.rollout.pk.hex}",
            state=found.state,
            what=str(found.rollout),
            why=found.why,
            url=change_url(found.rollout),
            deed=found.deed,
        )


def _rejected(user: Any) -> Iterator[Concern]:
    """Versions that were rejected and that no newer one came after."""
    newer = ModelVersion.objects.filter(model=OuterRef("model"), number__gt=OuterRef("number"))
    rows = ModelVersion.objects.filter(~Exists(newer), state=VersionState.REJECTED)
    for version in visible(user, rows.select_related("model")).order_by("-created_at")[:MOST]:
        yield Concern(
            key=f"version-{version.pk.hex}",
            state="rejected",
            what=str(version),
            why=version.state_reason,
            url=change_url(version),
            deed="Look at the version",
        )


def _webhooks() -> Iterator[Concern]:
    """Webhooks whose receivers had them switched off, or fail."""
    for webhook in in_trouble()[:MOST]:
        words = f"{webhook.failures} attempts in a row came to nothing"
        yield Concern(
            key=f"webhook-{webhook.pk.hex}",
            state=webhook.state(),
            what=f"webhook {webhook.name}",
            why=webhook.disabled_reason or words,
            url=change_url(webhook),
            deed="Look at the webhook",
        )


def _guarded(user: Any) -> Iterator[Concern]:
    """Breakers that are not closed and allowances that are spent, of the arms in force."""
    try:
        guards = wiring.telemetry().guarded()
    except SQLAlchemyError:
        logger.warning("the telemetry store does not answer", exc_info=True)
        return
    if not guards:
        return
    found = Endpoint.objects.filter(name__in={guard.endpoint for guard in guards})
    endpoints = {endpoint.name: endpoint for endpoint in shown(visible(user, found))}
    names = dict(Server.objects.values_list("pk", "name"))
    for (name, arm), where in list(_by_arm(guards, endpoints).items())[:MOST]:
        endpoint = endpoints[name]
        trips = [guard for guard in where if guard.breaker != "closed"]
        spent = [guard for guard in where if guard.allowance_spent]
        if trips:
            words = sorted({guard.breaker for guard in trips})
            yield Concern(
                key=f"breaker-{endpoint.pk.hex}-{arm}",
                state="breaker",
                what=f"{name}, arm {arm}",
                why=f"its breaker is {' or '.join(words)}{_on(trips, names)}: other arms have "
                "its requests",
                url=change_url(endpoint),
                deed="Look at the endpoint",
            )
        if spent:
            yield Concern(
                key=f"allowance-{endpoint.pk.hex}-{arm}",
                state="allowance",
                what=f"{name}, arm {arm}",
                why=f"its allowance is spent{_on(spent, names)}: the primary has its share",
                url=reverse("admin:endpoints_endpoint_edit_policy", args=[endpoint.pk]),
                deed="Edit the policy",
            )


def _queues(user: Any, now: datetime) -> Iterator[Concern]:
    """Arms whose requests wait longer than they are worked on, and long enough to be felt."""
    try:
        waits = wiring.telemetry().waiting_arms(now - LATELY)
    except SQLAlchemyError:
        logger.warning("the telemetry store does not answer", exc_info=True)
        return
    if not waits:
        return
    found = Endpoint.objects.filter(name__in={one.endpoint for one in waits}, deleted_at=None)
    endpoints = {endpoint.name: endpoint for endpoint in shown(visible(user, found))}
    arms = {
        (endpoint.name, physical): arm
        for endpoint in endpoints.values()
        for arm, physical in physical_of(endpoint).items()
    }
    for one in [one for one in waits if (one.endpoint, one.arm) in arms][:MOST]:
        endpoint = endpoints[one.endpoint]
        arm = arms[one.endpoint, one.arm]
        yield Concern(
            key=f"queue-{endpoint.pk.hex}-{arm}",
            state="waiting",
            what=f"{one.endpoint}, arm {arm}",
            why=f"its requests wait {words.microseconds(one.queue_us)} for "
            f"{words.microseconds(one.processing_us)} of work",
            url=reverse("admin:endpoints_endpoint_figures", args=[endpoint.pk]),
            deed="See what would help",
        )


def _by_arm(
    guards: Iterable[ArmGuard], endpoints: Mapping[str, Endpoint]
) -> dict[tuple[str, str], list[ArmGuard]]:
    """(endpoint, arm) -> its guards; a router keeps the gauges of arms that are long gone."""
    arms = {
        (endpoint.name, physical): arm
        for endpoint in endpoints.values()
        for arm, physical in physical_of(endpoint).items()
    }
    found: dict[tuple[str, str], list[ArmGuard]] = defaultdict(list)
    for guard in guards:
        if arm := arms.get((guard.endpoint, guard.arm)):
            found[guard.endpoint, arm].append(guard)
    return found


def _on(guards: Iterable[ArmGuard], names: Mapping[UUID, str]) -> str:
    where = sorted(names[guard.server_id] for guard in guards if guard.server_id in names)
    return f" on {', '.join(where)}" if where else ""
