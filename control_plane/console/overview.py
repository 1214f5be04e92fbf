"""What the home page and an endpoint's page say: intent beside what was observed."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, IntegerField, QuerySet, Value, When
from sqlalchemy.exc import SQLAlchemyError

from control_plane import wiring
from control_plane.console import words
from control_plane.console.policy_words import Said, policy_in_words
from control_plane.console.server_faults import lasting_fault
from control_plane.domain.latency import merged, quantile
from control_plane.domain.placement.placing import Placing
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.placing import placement_of, placing_of
from control_plane.endpoints.selectors import physical_of, placement_status, shown
from control_plane.fleet.drift_records import drift_of
from control_plane.fleet.models import DriftFinding, Server
from control_plane.fleet.selectors import server_status
from control_plane.telemetry.store import ArmTraffic

logger = logging.getLogger(__name__)

SPAN = timedelta(minutes=1)
COLOURS = 8
"""Arms beyond this many share colours; the legend still names them."""

_ATTENTION = ("Degraded", "Progressing", "Unconfigured", "Healthy")


@dataclass(frozen=True)
class Segment:
    """A piece of a stacked bar; `x` and `width` are percents of the bar."""

    x: float
    width: float
    colour: int
    title: str


@dataclass(frozen=True)
class ArmShare:
    """One arm: the share people asked for beside the one it got.

    `requests` are those it got by the policy, without what it answered in another's place;
    `failures` are its own, also those that callers did not see.
    """

    name: str
    target: str
    physical: str
    primary: bool
    colour: int
    configured: float
    observed: float | None
    requests: int
    failures: int
    p50_us: float | None = None
    p99_us: float | None = None


@dataclass(frozen=True)
class ServerPart:
    """One server's part in an endpoint."""

    name: str
    server_id: Any
    status: str
    reason: str


@dataclass(frozen=True)
class EndpointCard:
    """An endpoint as the home page shows it; `requests` and `failures` are what callers saw.

    `rescues` are requests that the primary was asked after another arm had failed them.
    """

    endpoint: Endpoint
    status: str
    reason: str
    arms: list[ArmShare]
    servers: list[ServerPart]
    revision: int | None
    measured: bool
    requests: int
    failures: int
    rescues: int
    sketch: Mapping[int, float] = field(default_factory=dict)

    @property
    def latency(self) -> tuple[float | None, float | None]:
        """p50 and p99 of the attempts on all arms, in microseconds."""
        return quantiles([self.sketch])

    @property
    def policy_words(self) -> list[Said]:
        """Everything of the policy but the split."""
        return policy_in_words(self.endpoint.policy)

    @property
    def placing(self) -> Placing | None:
        """Where it is placed, where that is more than everywhere."""
        found = placing_of(self.endpoint)
        told = found and (found.problem or len(found.servers) < len(found.said))
        return found if told or self.endpoint.placement else None

    @property
    def placing_is_of_before(self) -> bool:
        """Whether the placement was changed since it was last looked at."""
        found = self.endpoint.placing or {}
        return bool(found) and found.get("wanted") != self.endpoint.placement

    @property
    def placement_words(self) -> str:
        """Which servers it shall be on."""
        return placement_of(self.endpoint).in_words()

    @property
    def drift(self) -> list[DriftFinding]:
        """What of it was changed by hand on a server: what stands, and of the last day."""
        return drift_of(self.endpoint.name, wiring.clock().now())[:20]

    @property
    def has_others(self) -> bool:
        """Whether there is an arm beside the primary, that traffic could be taken from."""
        return len((self.endpoint.policy or {}).get("arms", [])) > 1

    @property
    def rate(self) -> float:
        """Requests per second over the span."""
        return self.requests / SPAN.total_seconds()

    @property
    def failed_percent(self) -> float:
        return 100 * self.failures / self.requests if self.requests else 0.0

    @property
    def configured_bar(self) -> list[Segment]:
        return _bar((arm.configured, arm, "configured") for arm in self.arms)

    @property
    def observed_bar(self) -> list[Segment]:
        return _bar((arm.observed or 0.0, arm, "observed") for arm in self.arms)


@dataclass(frozen=True)
class ServerRow:
    """A server as the home page shows it."""

    server: Server
    status: str
    reason: str
    lasting: str  # how long it is not ready; empty: it is, or nobody knows
    models: int
    models_ready: int


@dataclass(frozen=True)
class Traffic:
    """Requests in the last minute by endpoint and arm; `known` is False when nobody can say.

    The sums are what callers saw: a request that one arm failed and the primary answered is one
    request, and no failure.
    """

    known: bool
    since: datetime | None = None
    arms: Mapping[str, Mapping[str, ArmTraffic]] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        return sum(arm.calls for arms in self.arms.values() for arm in arms.values())

    @property
    def failures(self) -> int:
        return sum(arm.errors for arms in self.arms.values() for arm in arms.values())

    @property
    def rate(self) -> float:
        return self.requests / SPAN.total_seconds()


def recent_traffic(now: datetime) -> Traffic:
    """What the telemetry has; the page goes on without it."""
    try:
        found = wiring.telemetry().traffic(now - SPAN)
    except SQLAlchemyError:
        logger.warning("the telemetry store does not answer", exc_info=True)
        return Traffic(known=False)
    arms: dict[str, dict[str, ArmTraffic]] = defaultdict(dict)
    for arm in found:
        arms[arm.endpoint][arm.arm] = arm
    return Traffic(known=True, since=now - SPAN, arms=dict(arms))


def quantiles(sketches: Iterable[Mapping[int, float]]) -> tuple[float | None, float | None]:
    """p50 and p99 of all of these, in microseconds; None without a request."""
    whole = merged(sketches)
    return quantile(whole, 0.5), quantile(whole, 0.99)


def endpoint_cards(
    rows: QuerySet[Endpoint], traffic: Traffic, at_most: int = 1
) -> list[EndpointCard]:
    """The cards of these endpoints, those that need attention first: three queries in all."""
    first = Case(
        *(When(status=status, then=Value(i)) for i, status in enumerate(_ATTENTION)),
        output_field=IntegerField(),
    )
    found = shown(rows).order_by(first, "name")[:at_most]
    endpoints = list(found)
    latencies, now = _latencies(endpoints, traffic), wiring.clock().now()
    return [
        _card(endpoint, physical_of(endpoint), traffic, latencies.get(endpoint.name, {}), now)
        for endpoint in endpoints
    ]


def _latencies(
    endpoints: Iterable[Endpoint], traffic: Traffic
) -> Mapping[str, Mapping[str, Mapping[int, float]]]:
    """Endpoint -> arm -> the sketch of its latencies in the span."""
    names = [endpoint.name for endpoint in endpoints]
    found: dict[str, dict[str, Mapping[int, float]]] = defaultdict(dict)
    if traffic.since is None or not names:
        return found
    try:
        for (name, arm), sketch in wiring.telemetry().latencies(traffic.since, names).items():
            found[name][arm] = sketch
    except SQLAlchemyError:
        logger.warning("the telemetry store does not answer", exc_info=True)
    return found


def server_rows(now: datetime) -> list[ServerRow]:
    """Every server with what its node last said."""
    rows = []
    for server in Server.objects.all():
        status, reason = server_status(server, now)
        ready = sum(1 for held in server.held if held.get("state") == "READY")
        lasting = lasting_fault(server, now)
        rows.append(ServerRow(server, status, reason, lasting, len(server.held), ready))
    return rows


def _card(
    endpoint: Endpoint,
    planned: Mapping[str, str],
    traffic: Traffic,
    latencies: Mapping[str, Mapping[int, float]],
    now: datetime,
) -> EndpointCard:
    observed = traffic.arms.get(endpoint.name, {})
    total = sum(arm.calls for arm in observed.values())
    rescues = sum(arm.handed_on for arm in observed.values())
    arms = [
        _share(arm, i, planned.get(arm["name"], ""), observed, total, rescues, latencies)
        for i, arm in enumerate((endpoint.policy or {}).get("arms", []))
    ]
    # Models that still answer, or did within the minute, and that the policy names no more.
    named = {arm.physical for arm in arms}
    arms += [
        ArmShare(
            name="earlier policy",
            target=left.arm,
            physical=left.arm,
            primary=False,
            colour=-1,
            configured=0.0,
            observed=100 * left.requests / total,
            requests=left.requests,
            failures=left.failures,
            p50_us=quantile(latencies.get(left.arm, {}), 0.5),
            p99_us=quantile(latencies.get(left.arm, {}), 0.99),
        )
        for left in observed.values()
        if left.arm not in named and left.requests
    ]
    return EndpointCard(
        endpoint=endpoint,
        status="Removing" if endpoint.deleted_at else endpoint.status,
        reason=endpoint.reason,
        arms=arms,
        servers=[
            ServerPart(
                placement.server.name,
                placement.server_id,
                *placement_status(placement, endpoint.generation, now),
            )
            for placement in endpoint.placements.all()
        ],
        revision=endpoint.serving_number,  # type: ignore[attr-defined] # annotated by shown()
        measured=traffic.known,
        requests=total,
        failures=sum(arm.errors for arm in observed.values()),
        rescues=rescues,
        sketch=merged(latencies.values()),
    )


def _share(
    arm: Mapping[str, Any],
    index: int,
    physical: str,
    observed: Mapping[str, ArmTraffic],
    total: int,
    rescues: int,
    latencies: Mapping[str, Mapping[int, float]],
) -> ArmShare:
    seen = observed.get(physical)
    requests = seen.requests if seen else 0
    if arm["primary"]:
        # Attempts, of which some were another arm's requests. Counters of two arms are scraped
        # in one moment, but a rescue may end after it.
        requests = max(0, requests - rescues)
    return ArmShare(
        name=arm["name"],
        target=words.served(arm),
        physical=physical,
        primary=arm["primary"],
        colour=index % COLOURS,
        configured=float(arm["weight"]),
        observed=100 * requests / total if total else None,
        requests=requests,
        failures=seen.failures if seen else 0,
        p50_us=quantile(latencies.get(physical, {}), 0.5),
        p99_us=quantile(latencies.get(physical, {}), 0.99),
    )


def _bar(parts: Iterable[tuple[float, ArmShare, str]]) -> list[Segment]:
    segments, x = [], 0.0
    for width, arm, word in parts:
        if width > 0:
            title = f"{arm.name}: {width:.4g} % {word}"
            segments.append(Segment(round(x, 3), round(width, 3), arm.colour, title))
        x += width
    return segments
