"""Where an endpoint is placed: what the rules are told, and what they said, kept.

Endpoints without a placement are on every server, and memory refuses them nothing. Who places by a
document holds the one row of `FleetChange`, so that two never count on the same memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import datetime

from django.db import transaction
from django.db.models import Count, F, Max, Q

from control_plane.domain.placement.memory import Footprint, Room, estimated, rooms
from control_plane.domain.placement.placing import Candidate, Placing, Said, Standing, place
from control_plane.domain.placement.wanted import EVERYWHERE, Wanted, parse_wanted
from control_plane.domain.planning.backends import Equipped, lacks
from control_plane.domain.planning.plan import Plan
from control_plane.domain.planning.reconcile import Verb
from control_plane.endpoints.models import Endpoint, Placement, RevisionPipeline, RevisionVersion
from control_plane.fleet.footprints import Footprints
from control_plane.fleet.models import FleetChange, Server
from control_plane.fleet.selectors import briefly, equipped_servers, is_alive, labels_of
from control_plane.registry.selectors import ready_versions


def placement_of(endpoint: Endpoint) -> Wanted:
    """The endpoint's placement; every server where nobody said anything."""
    return parse_wanted(endpoint.placement) if endpoint.placement else EVERYWHERE


def fleet_change() -> int:
    """How many changes of servers there were that placements look at."""
    return FleetChange.objects.aggregate(last=Max("number"))["last"] or 0


def foreseen(
    endpoint: Endpoint, plan: Plan | None, wanted: Wanted, now: datetime, drained: str = ""
) -> Placing:
    """Where it would be placed; nothing is written.

    Args:
        drained: the name of a server, as if it were being drained.
    """
    present = endpoint.placements.filter(assigned=True).values_list("server__name", flat=True)
    servers = list(Server.objects.all() if wanted != EVERYWHERE else briefly())
    for server in servers:
        server.draining = server.draining or server.name == drained
    if wanted == EVERYWHERE:
        candidates = [_candidate(server, now) for server in servers]
    else:
        candidates = _measured(endpoint, plan, servers, now)
    return place(candidates, wanted, present)


def place_anew(endpoint: Endpoint, plan: Plan | None, now: datetime) -> Placing:
    """Where the endpoint shall be from now on, written down.

    What was decided by a document stands until a server or the document changes, unless something
    of it is not as it was wanted.
    """
    wanted, change = placement_of(endpoint), fleet_change()
    if wanted == EVERYWHERE:
        placing = foreseen(endpoint, plan, wanted, now)
        _write(endpoint, placing, change)
        return placing
    known = placing_of(endpoint)
    same = (endpoint.placing or {}).get("wanted") == endpoint.placement
    if known and same and not known.problem and endpoint.placed_at_change == change:
        return known
    with transaction.atomic():
        change = _hold_fleet()
        placing = foreseen(endpoint, plan, wanted, now)
        _write(endpoint, placing, change)
        # Noted before anything is sent: whoever places next counts on it.
        servers = Server.objects.filter(name__in=placing.servers)
        Placement.objects.bulk_create(
            [Placement(endpoint=endpoint, server=server) for server in servers],
            ignore_conflicts=True,
        )
    return placing


def placing_of(endpoint: Endpoint) -> Placing | None:
    """What the last look decided; None before the first."""
    if not endpoint.placing:
        return None
    document = endpoint.placing
    said = tuple(
        Said(one["server"], Standing(one["standing"]), one["reason"]) for one in document["said"]
    )
    return Placing(tuple(document["servers"]), said, document["problem"])


def grantees(endpoint: Endpoint) -> list[str]:
    """The servers among which a rollout's harm budget is divided, by name.

    Those that the endpoint is placed on; one that is lost may come back.
    """
    rows = Server.objects.all()
    if endpoint.placement:
        rows = rows.filter(placements__endpoint=endpoint, placements__assigned=True)
    return sorted(rows.values_list("name", flat=True))


def equipped_for(endpoint: Endpoint) -> list[Equipped]:
    """The servers that a plan of the endpoint has to be able to run on.

    Of a placement, those that are meant all together; of several replicas those that it is on:
    what another lacks is a reason not to place it there.
    """
    known = equipped_servers()
    if not endpoint.placement:
        return known
    wanted = placement_of(endpoint)
    if wanted.replicas is not None:
        names = set(grantees(endpoint))
    else:
        names = {s.name for s in Server.objects.all() if not wanted.unmet(labels_of(s))}
    return [one for one in known if one.server in names]


def leave(endpoint: Endpoint, server: str, now: datetime) -> None:
    """Notes that the others serve, so that this server is left in a while."""
    rows = Placement.objects.filter(endpoint=endpoint, server__name=server, assigned=False)
    rows.filter(leaving_at=None).update(leaving_at=now)


def stay(endpoint: Endpoint, server: str) -> None:
    """Takes that back: the others serve no longer, so that this server has to go on."""
    rows = Placement.objects.filter(endpoint=endpoint, server__name=server, assigned=False)
    rows.exclude(sent_verb=Verb.REMOVE).update(leaving_at=None)


def _hold_fleet() -> int:
    """The last change, with its row held until the transaction ends."""
    row, _ = FleetChange.objects.select_for_update().get_or_create(id=1)
    return row.number


def _write(endpoint: Endpoint, placing: Placing, change: int) -> None:
    """Keeps it, unless the endpoint's placement was changed meanwhile: then the next look does."""
    document = asdict(placing)
    # As it comes back from the database.
    said = [{**one, "standing": str(one["standing"])} for one in document["said"]]
    document |= {"servers": list(placing.servers), "said": said, "wanted": endpoint.placement}
    if (endpoint.placing, endpoint.placed_at_change) != (document, change):
        same = Q(placement=endpoint.placement) if endpoint.placement else Q(placement__isnull=True)
        rows = Endpoint.objects.filter(same, id=endpoint.id)
        if not rows.update(placing=document, placed_at_change=change):
            return
        endpoint.placing, endpoint.placed_at_change = document, change
    _assign(endpoint, placing)


def _assign(endpoint: Endpoint, placing: Placing) -> None:
    rows = endpoint.placements.all()
    known = list(rows.values_list("server__name", "assigned"))
    for name, assigned in known:
        if assigned != (name in placing.servers):
            one = rows.filter(server__name=name)
            one.update(assigned=not assigned, leaving_at=None)
    if {name for name, _ in known} - set(placing.servers):
        # Nothing is there to be left: no drain waits for it.
        nothing = {"prepared": 0, "switched": 0, "sent_generation": 0}
        rows.filter(assigned=False, **nothing).delete()


def _candidate(server: Server, now: datetime) -> Candidate:
    return Candidate(
        name=server.name,
        labels=labels_of(server),
        alive=is_alive(server, now),
        cordoned=server.cordoned_at is not None,
        draining=server.draining,
    )


def _measured(
    endpoint: Endpoint, plan: Plan | None, servers: Iterable[Server], now: datetime
) -> list[Candidate]:
    """Candidates with what their memory has room for, and which backends they lack."""
    committed, counts = _committed(endpoint)
    wanted = plan.physical_names if plan else frozenset()
    names = wanted.union(*committed.values()) if committed else wanted
    measured, sizes = Footprints(names), _sizes(plan) | _file_sizes(names)
    equipped = {one.server: one for one in equipped_servers()}
    found = []
    for server in servers:
        fitted = _rooms(server, committed[server.name], wanted, measured, sizes)
        found.append(
            replace(
                _candidate(server, now),
                lacks=_lack(plan, equipped.get(server.name)),
                rooms=fitted,
                endpoints=counts[server.name],
            )
        )
    return found


def _rooms(
    server: Server,
    committed: Iterable[str],
    wanted: frozenset[str],
    measured: Footprints,
    sizes: Mapping[str, int],
) -> tuple[Room, ...]:
    placed = frozenset(committed)
    footprints: dict[str, Footprint] = {}
    for name in placed | wanted:
        footprints[name] = measured.of(server, name) or (
            estimated(sizes[name], server.accelerator) if name in sizes else Footprint()
        )
    return rooms(
        limit=(server.memory_limit, server.gpu_memory_limit),
        used=(server.memory_used, server.gpu_memory_used),
        held=[str(one.get("name")) for one in server.held if one.get("state") == "READY"],
        committed=placed,
        wanted=wanted,
        sizes=footprints,
    )


def _committed(endpoint: Endpoint) -> tuple[dict[str, set[str]], dict[str, int]]:
    """Server -> the physical models that other endpoints were placed there with, and how many."""
    committed: dict[str, set[str]] = defaultdict(set)
    rows = Placement.objects.filter(assigned=True).exclude(endpoint=endpoint).order_by()
    counts = defaultdict(int, rows.values_list("server__name").annotate(Count("pk")))
    at = "revision__endpoint__placements"
    for uses in (RevisionVersion, RevisionPipeline):
        present = uses._default_manager.filter(
            ~Q(revision__endpoint=endpoint),
            revision__generation=F("revision__endpoint__generation"),
            **{f"{at}__assigned": True},
        )
        # Each once: many endpoints share models.
        for server, physical in present.values_list(f"{at}__server__name", "physical").distinct():
            committed[server].add(physical)
    return committed, counts


def _sizes(plan: Plan | None) -> dict[str, int]:
    """Physical model -> bytes of its files, for a plan that may not be registered yet."""
    if plan is None:
        return {}
    versions = ready_versions(plan.versions)
    found = {}
    for key, physical in plan.versions.items():
        version = versions.get(key)
        if version is not None:
            found[physical] = version.artifact.size if version.artifact else 0
    return found


def _file_sizes(names: Iterable[str]) -> dict[str, int]:
    rows = RevisionVersion.objects.filter(physical__in=set(names)).distinct()
    return {
        physical: size or 0
        for physical, size in rows.values_list("physical", "version__artifact__size")
    }


def _lack(plan: Plan | None, server: Equipped | None) -> str:
    if plan is None or server is None:
        return ""
    return next((lack for one in (*plan.models, plan.router) for lack in lacks(one, [server])), "")
