"""Reading endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from django.db.models import (
    Count,
    Exists,
    F,
    JSONField,
    Max,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
)

from control_plane.domain.four_eyes import ChangeState
from control_plane.domain.placement.placing import Placing
from control_plane.domain.planning.plan import Plan
from control_plane.domain.planning.reconcile import RETRY_FAILED, ServerView, Snapshot, Status
from control_plane.domain.violations import NotFoundError
from control_plane.endpoints.models import ChangeRequest, Endpoint, Placement, Revision
from control_plane.fleet.models import Server
from control_plane.fleet.selectors import HEARTBEAT_EXPIRY, briefly, is_alive, server_status

LEAVING = "the others serve: it goes from here"
"""Why a part says that it is left."""

LEASE = timedelta(seconds=10)
"""A reconcile takes milliseconds; a lease older than this belongs to a dead worker."""

LATEST_LOOK = 2 * RETRY_FAILED
"""No look is put off for so long: one that is was so before a clock was set back."""


def endpoints() -> QuerySet[Endpoint]:
    """Every endpoint that is not being deleted."""
    return Endpoint.objects.filter(deleted_at=None)


def get_endpoint(name: str) -> Endpoint:
    """The endpoint of that name.

    Raises:
        NotFoundError: there is none.
    """
    try:
        return endpoints().get(name=name)
    except Endpoint.DoesNotExist:
        raise NotFoundError(f"there is no endpoint named {name!r}") from None


def waiting_change(endpoint: Endpoint) -> ChangeRequest | None:
    """The change that waits for a second person, if one does."""
    return endpoint.changes.filter(state=ChangeState.PENDING).first()


def listed_changes(rows: QuerySet[ChangeRequest]) -> QuerySet[ChangeRequest]:
    """Changes for a list, without what is long: their dry run, and their revision's files."""
    return rows.select_related("endpoint", "revision").defer(
        *("effect", "revision__policy", "revision__plan", "revision__diff")
    )


def serving_revision(endpoint: Endpoint) -> Revision | None:
    """The newest revision that was switched to on every server."""
    return endpoint.revisions.exclude(served_from=None).order_by("-number").first()


def serving_plan(endpoint: Endpoint) -> Plan | None:
    """The plan of the serving revision."""
    revision = serving_revision(endpoint)
    return revision.compiled if revision else None


def latest_plan(endpoint: Endpoint) -> Plan | None:
    """The newest plan there is, whether it came to serve or not: the next one goes on from it."""
    revision = endpoint.revisions.filter(plan__isnull=False).order_by("-number").first()
    return revision.compiled if revision else None


def free(now: datetime) -> Q:
    """Of endpoints: that nobody is looking at.

    A lease that runs out later than any that is taken now was taken before a clock was set back.
    """
    over = Q(lease_expires_at__lte=now) | Q(lease_expires_at__gt=now + 2 * LEASE)
    return Q(lease_expires_at=None) | over


def due_endpoints(now: datetime) -> QuerySet[Endpoint]:
    """Endpoints that a reconcile should look at and nobody is looking at.

    Those that a change of servers touches are asked for another look (`endpoints.touching`).
    """
    troubled = Server.objects.filter(
        Q(ready=False)
        | Q(last_seen_at__lt=now - HEARTBEAT_EXPIRY)
        | Q(last_seen_at__gt=now + HEARTBEAT_EXPIRY),
        placements__endpoint=OuterRef("pk"),
    )
    wanting = (
        ~Q(generation=F("observed_generation"))
        | Q(look_again=True)
        | Q(look_at__lte=now)
        | Q(look_at__gt=now + LATEST_LOOK)
        | Q(deleted_at__isnull=False)
        | (Q(status=Status.HEALTHY) & Exists(troubled))
    )
    return Endpoint.objects.filter(free(now) & wanting)


def present_revision(endpoint: Endpoint) -> Revision | None:
    """The revision of the present generation; None where it is not compiled yet."""
    return endpoint.revisions.filter(generation=endpoint.generation).first()


def snapshot(
    endpoint: Endpoint,
    revision: Revision | None,
    plan: Plan | None,
    placing: Placing,
    now: datetime,
) -> Snapshot:
    """The frozen state that `domain.planning.reconcile.decide` looks at."""
    placements = {p.server_id: p for p in endpoint.placements.all()}
    placed = frozenset(placing.servers)
    left = any(placement.leaving_at for placement in placements.values())
    # Who has a placement is found by the endpoint's own parts.
    gates = _gates_shut() if left and not endpoint.placement else {}
    return Snapshot(
        endpoint=endpoint.name,
        generation=endpoint.generation,
        now=now,
        servers=tuple(
            _by_gate(
                _server_view(server, placements.get(server.id), server.name in placed, now),
                gates,
            )
            for server in briefly()
        ),
        compiled=plan is not None,
        compile_error=revision.error if revision else "",
        models=plan.required if plan else frozenset(),
        urgent=plan.urgent if plan else False,
        deleted=endpoint.deleted_at is not None,
        unplaced=placing.problem,
    )


def _gates_shut() -> dict[str, datetime | None]:
    """Servers that are drained, and since when everything there is left; None: not yet."""
    rows = holding(Placement.objects.filter(server__draining=True)).values("server__name")
    found = rows.annotate(stay=Count("pk", filter=Q(leaving_at=None)), last=Max("leaving_at"))
    return {row["server__name"]: None if row["stay"] else row["last"] for row in found}


def _by_gate(view: ServerView, gates: Mapping[str, datetime | None]) -> ServerView:
    if view.name not in gates:
        return view
    return replace(view, by_gate=True, gate_shut_at=gates[view.name])


def shown(rows: QuerySet[Endpoint]) -> QuerySet[Endpoint]:
    """Endpoints with what people are shown of them, in two queries whatever their number.

    Annotates `serving_number` (the revision that serves), `planned_arms` (the arms of the
    present generation's plan) and `pending_number` (the change that waits for a second person),
    and fetches the placements. Only the arms leave the database:
    a plan carries the configuration of every model, and an endpoint has many revisions.
    """
    present = Revision.objects.filter(
        endpoint=OuterRef("pk"), generation=OuterRef("generation")
    ).values("plan__arms")
    waiting = ChangeRequest.objects.filter(
        endpoint=OuterRef("pk"), state=ChangeState.PENDING
    ).values("number")
    return rows.annotate(
        serving_number=Max("revisions__number", filter=Q(revisions__served_from__isnull=False)),
        planned_arms=Subquery(present[:1], output_field=JSONField()),
        pending_number=Subquery(waiting[:1]),
    ).prefetch_related(Prefetch("placements", Placement.objects.select_related("server")))


def holding(rows: QuerySet[Placement]) -> QuerySet[Placement]:
    """Those whose servers hold something of the endpoint, or may: a command is on its way."""
    return rows.filter(Q(prepared__gt=0) | Q(switched__gt=0) | Q(sent_generation__gt=0))


def physical_of(endpoint: Endpoint) -> dict[str, str]:
    """Arm name -> physical model, where it is known; for an endpoint of `shown`."""
    arms = getattr(endpoint, "planned_arms", None) or []
    return {arm["name"]: arm["physical"] for arm in arms}


def placement_status(placement: Placement, generation: int, now: datetime) -> tuple[str, str]:
    """(`Serving` or what it is instead, the reason) of one server's part.

    `Leaving`: all the others serve. `NotReady`: its Triton does not hold all that it should, and
    its gate is closed. `Unknown`: its node is silent, and what it held may go on serving. Who
    balances should send to the servers whose part says `Serving`.
    """
    if placement.leaving_at:
        return "Leaving", LEAVING
    status, reason = server_status(placement.server, now)
    if status == "Unknown":
        return status, f"{reason}; what it held may go on serving"
    if placement.failed == generation and generation:
        return "Failed", placement.failure
    if status != "Ready":
        return status, reason
    if placement.switched >= generation:
        return "Serving", ""
    return "Progressing", f"{placement.sent_verb or 'nothing'} was sent"


def _server_view(
    server: Server, placement: Placement | None, placed: bool, now: datetime
) -> ServerView:
    alive = is_alive(server, now)
    trouble = "" if server.ready else server.not_ready_reason or "not ready"
    if placement is None:
        return ServerView(name=server.name, alive=alive, placed=placed, trouble=trouble)
    return ServerView(
        name=server.name,
        alive=alive,
        placed=placed,
        trouble=trouble,
        leaving_at=placement.leaving_at,
        prepared=placement.prepared,
        switched=placement.switched,
        retired=placement.retired,
        failed=placement.failed,
        failure=placement.failure,
        failed_at=placement.failed_at,
        ready_models=frozenset(placement.ready_models),
        unready=placement.unready,
        sent_verb=placement.sent_verb,
        sent_generation=placement.sent_generation,
        sent_at=placement.sent_at,
    )
