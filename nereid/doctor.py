"""What a person checks when something is wrong, as rules on what was seen: no clock, no network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from nereid.administration import Diagnosis, Edge, Server, Token
from nereid.resources import Endpoint, Version

State = Literal["ok", "warning", "problem"]

STALE_AFTER = timedelta(seconds=15)
SOON = timedelta(days=7)
CLOCK_WARNING_S, CLOCK_PROBLEM_S = 5.0, 60.0
UNSCRAPED_AFTER = timedelta(seconds=60)
EDGE_STALE_AFTER = timedelta(seconds=30)
STUCK_AFTER = timedelta(minutes=10)
MEMORY_WARNING = 0.95
DISK_WARNING, DISK_PROBLEM = 0.10, 0.02
"""Shares of a disk that are free."""


@dataclass(frozen=True)
class Check:
    """One line: what was looked at, how it is, and what to do where it is not well."""

    area: str
    state: State
    said: str
    advice: str = ""

    def document(self) -> dict[str, str]:
        """The JSON form."""
        return {
            "area": self.area,
            "state": self.state,
            "said": self.said,
            "advice": self.advice,
        }


def worst(checks: Iterable[Check]) -> State:
    """The state of the whole."""
    states = {check.state for check in checks}
    return next((s for s in ("problem", "warning") if s in states), "ok")


def health(document: Mapping[str, Any]) -> Check:
    """Database and broker, as the API says of itself."""
    checks = document.get("checks") or {}
    bad = [name for name in ("database", "broker") if checks.get(name) != "ok"]
    if not bad:
        return Check("API", "ok", "database and broker answer it")
    return Check(
        "API",
        "problem",
        f"{' and '.join(bad)} do not answer the API",
        "look at the process and its log: under make serve in $NEREID_HOME/logs",
    )


def versions(here: str, there: str) -> Check:
    """The client's version against the server's."""
    if here == there:
        return Check("API", "ok", f"Nereid {there}, like this command")
    said = f"the server is Nereid {there}, this command is {here}"
    if here.split(".")[:2] == there.split(".")[:2]:
        return Check("API", "ok", said)
    return Check("API", "warning", said, f"pip install nereid=={there}")


def token(found: Token, now: datetime) -> Check:
    """What the token is for, and whether it ends soon."""
    scope = f"{found.role} of {', '.join(found.names)}" if found.names else found.role
    said = f"{found.name!r} of {found.user}, for {scope}"
    if not found.expires_at:
        return Check("token", "ok", f"{said}, without an end")
    left = datetime.fromisoformat(found.expires_at) - now
    ends = f"{said}, until {found.expires_at[:16].replace('T', ' ')} UTC"
    if left > SOON:
        return Check("token", "ok", ends)
    advice = f"make another: nereid tokens create NAME --role {found.role}"
    return Check("token", "warning", f"{ends}: {_span(left)} left", advice)


def clock(difference_s: float) -> Check:
    """How far this machine's clock is from the server's."""
    apart = abs(difference_s)
    said = f"{apart:.0f} s {'behind' if difference_s < 0 else 'ahead of'} the server's"
    if apart < CLOCK_WARNING_S:
        return Check("clock", "ok", f"within {CLOCK_WARNING_S:.0f} s of the server's")
    state: State = "warning" if apart < CLOCK_PROBLEM_S else "problem"
    return Check("clock", state, said, "let both follow a time server (timedatectl)")


def servers(found: Iterable[Server], now: datetime) -> Iterator[Check]:
    """Which Tritons are ready, and how old their last word is."""
    any_there = False
    for server in found:
        any_there = True
        seen = datetime.fromisoformat(server.last_seen_at) if server.last_seen_at else None
        age = f"last word {_span(now - seen)} ago" if seen else "never heard of"
        said = f"{server.name} is {server.status}, {age}"
        reason = str(server.raw.get("reason") or "")
        if seen is None or now - seen > STALE_AFTER:
            advice = "is its node worker running, and does it reach the database?"
            yield Check("servers", "problem", said, advice)
        elif server.status != "Ready":
            yield Check("servers", "problem", f"{said}: {reason}", "nereid servers " + server.name)
        else:
            failed = [f"{m.name} {m.state}" for m in server.models if m.state == "UNAVAILABLE"]
            yield Check("servers", "ok", f"{said}, holds {len(server.models)} models")
            if failed:
                advice = f"its log says why; nereid servers {server.name}"
                yield Check("servers", "warning", f"{server.name}: {', '.join(failed)}", advice)
        yield from _held_back(server)
    if not any_there:
        yield Check("servers", "problem", "no server has registered", "start one: make serve")


def _held_back(server: Server) -> Iterator[Check]:
    """What is meant to be, and forgotten easily; what people did by hand; memory at its end."""
    look = f"nereid servers {server.name}"
    if server.scheduling != "Open":
        said = f"{server.name} is {server.scheduling}: nothing new is placed there"
        yield Check("servers", "warning", said, f"nereid servers uncordon {server.name}")
    drift = [one for one in server.raw.get("drift") or () if not one.get("put_right_at")]
    if drift:
        what = ", ".join(sorted({str(one.get("subject")) for one in drift})[:5])
        yield Check("servers", "warning", f"{server.name} was changed by hand: {what}", look)
    memory = server.raw.get("memory") or {}
    for kind, used, limit in (("memory", "used", "limit"), ("GPU memory", "gpu_used", "gpu_limit")):
        if memory.get(limit) and (memory.get(used) or 0) > MEMORY_WARNING * memory[limit]:
            share = 100 * memory[used] / memory[limit]
            said = f"{server.name}: {share:.0f} % of its {kind} is taken"
            yield Check("servers", "warning", said, "nereid place ENDPOINT --on …; docs/fleet.md")


@dataclass(frozen=True)
class GateAnswer:
    """What was heard where a server's gate should be.

    Attributes:
        ready: whether it is open; None: no gate answered.
        server: whose gate it says that it is.
        said: its reason, or why there is no answer.
    """

    ready: bool | None
    server: str = ""
    said: str = ""


def gate(server: Server, answer: GateAnswer, edges: Iterable[Edge]) -> Check:
    """Whether whoever balances may send to a server; `edges` reach gates that we may not reach."""
    where = f"the gate of {server.name} at {server.gate}"
    if answer.ready is None:
        through = [one.name for one in edges if one.live and one.servers.get(server.name) == ""]
        if through:
            said = f"{where} does not answer here, and {through[0]} finds it open"
            return Check("gates", "ok", said)
        advice = (
            "do balancers reach it? NEREID_BIND and NEREID_NODE_PORT say where the node listens, "
            "NEREID_NODE_GATE under which address it is found"
        )
        return Check("gates", "warning", f"{where} does not answer here: {answer.said}", advice)
    if answer.server != server.name:
        said = f"at {server.gate}, where {server.name} should be, is the gate of {answer.server}"
        return Check("gates", "problem", said, f"NEREID_NODE_GATE of {server.name}, and restart it")
    if answer.ready:
        return Check("gates", "ok", f"{where} is open")
    state: State = "problem" if server.scheduling in ("Open", "Cordoned") else "warning"
    advice = (
        f"it opens by itself when that is there; nereid servers {server.name}"
        if state == "problem"
        else f"nereid servers uncordon {server.name}"
    )
    return Check("gates", state, f"{where} is closed: {answer.said}", advice)


def edges(found: Diagnosis, fleet: Iterable[Server], now: datetime) -> Iterator[Check]:
    """Whether each proxy lives, has taken its newest files, and sends to the servers that serve."""
    serving = {one.name for one in fleet if one.status == "Ready" and one.scheduling == "Open"}
    for edge in found.edges:
        seen = datetime.fromisoformat(edge.seen_at)
        if now - seen > EDGE_STALE_AFTER:
            said = f"nothing was heard of {edge.name} for {_span(now - seen)}"
            advice = "does python -m workers.edge run beside it, and does it reach the database?"
            yield Check("edge", "problem", said, advice)
            continue
        yield from _edge(edge, serving)


def _edge(edge: Edge, serving: set[str]) -> Iterator[Check]:
    if not edge.live:
        said = f"Envoy of {edge.name} does not answer: nobody gets an answer from it"
        yield Check("edge", "problem", said, "start it with its bootstrap.json; make serve does")
        return
    closed = [one for one in ("http", "grpc") if one not in edge.listeners]
    if closed:
        said = f"{edge.name} does not listen for {' and '.join(closed)}"
        yield Check("edge", "problem", said, "is the port taken? Envoy's log says why")
    if edge.behind:
        said = f"{edge.name} has not taken the newest {', '.join(edge.behind)}"
        advice = "it goes on with the ones before; Envoy's log says why it refuses these"
        yield Check("edge", "problem", said, advice)
    left_out = {name: edge.servers.get(name, "not told of it") for name in sorted(serving)}
    for name, why in left_out.items():
        if why:
            said = f"{edge.name} sends nothing to {name}: {why}"
            advice = "its own line says whether its gate is open; Envoy has to reach that address"
            yield Check("edge", "problem", said, advice)
    sent_to = sum(not why for why in edge.servers.values())
    if not sent_to and not any(left_out.values()):
        said = f"{edge.name} finds no gate open, and asks every server"
        yield Check("edge", "problem", said, "the lines of the gates say what each waits for")
    elif not closed and not edge.behind and not any(left_out.values()):
        where = " and ".join(edge.listeners[one] for one in ("http", "grpc"))
        said = f"{edge.name} at {where} sends to {sent_to} of {len(edge.servers)} servers"
        yield Check("edge", "ok", f"{said}, by its newest files")


def migrations(found: Diagnosis) -> Check:
    """Whether the database is what the code that runs expects."""
    if found.migrations is None:
        return Check("database", "ok", "the server is too old to say which migrations it lacks")
    if not found.migrations:
        return Check("database", "ok", "it has every migration")
    lacking = ", ".join(found.migrations[:5]) + (" …" if len(found.migrations) > 5 else "")
    advice = "make upgrade, or where it runs in containers: python manage.py migrate"
    return Check("database", "problem", f"it lacks {lacking}", advice)


def by_the_clock(found: Diagnosis, alive: Iterable[str], now: datetime) -> Check:
    """Whether what is due every few seconds happens: a scrape of each server shows it."""
    late = []
    for name in alive:
        at = found.scrapes.get(name)
        if at is not None and (not at or now - datetime.fromisoformat(at) > UNSCRAPED_AFTER):
            late.append(name)
    if not late:
        return Check("schedule", "ok", "what is due by the clock happens")
    span = _span(UNSCRAPED_AFTER)
    said = f"the metrics of {', '.join(late)} were not read for over {span}"
    advice = "does beat run (celery -A workers.app beat), and does the worker reach their metrics?"
    return Check("schedule", "problem", said, advice)


def queues(found: Diagnosis, now_known: Iterable[str]) -> Iterator[Check]:
    """Whether somebody works on each queue; lanes of servers that are gone do not count."""
    if found.queues is None:
        yield Check("workers", "problem", "the broker cannot be asked", "is it running?")
        return
    alive = set(now_known)
    idle = []
    for name, workers in found.queues.items():
        server = name.split(".")[1] if name.startswith("node.") else ""
        if not workers and (not server or server in alive):
            idle.append(name)
    if not idle:
        yield Check("workers", "ok", f"every queue has one: {', '.join(found.queues)}")
        return
    for name in idle:
        node = name.startswith("node.")
        how = "python -m workers.node, beside that Triton" if node else "python -m workers.control"
        advice = f"start one ({how}); make serve does"
        yield Check("workers", "problem", f"nobody works on the queue {name}", advice)


def disks(found: Diagnosis) -> Iterator[Check]:
    """How much of each disk is free."""
    for disk in found.disks:
        share = disk.free_bytes / disk.total_bytes if disk.total_bytes else 1.0
        said = f"{disk.what}: {disk.free_bytes / 1e9:,.1f} GB free ({100 * share:.0f} %)"
        state: State = "ok" if share > DISK_WARNING else "warning"
        state = state if share > DISK_PROBLEM else "problem"
        advice = "" if state == "ok" else "make room: delete versions that nothing uses"
        yield Check("disk", state, said, advice)


def stores(found: Diagnosis) -> Iterator[Check]:
    """Whether files can be kept and read; where the control plane is too old to say, nothing."""
    for store in found.stores:
        if store.problem:
            advice = "what serves goes on; nothing new can be uploaded or loaded until it is back"
            yield Check("store", "problem", f"{store.what}: {store.problem}", advice)
        else:
            yield Check("store", "ok", f"{store.what} are in {store.place}")


def endpoints(found: Iterable[Endpoint]) -> Iterator[Check]:
    """Those that are not as they should be."""
    well = 0
    for endpoint in found:
        if endpoint.status in ("Healthy", "Unconfigured"):
            well += 1
            continue
        state: State = "problem" if endpoint.status == "Degraded" else "warning"
        said = f"{endpoint.name} is {endpoint.status}: {endpoint.reason}"
        yield Check("endpoints", state, said, f"nereid endpoints {endpoint.name}")
    if well:
        yield Check("endpoints", "ok", f"{well} as they should be")


def undecided(found: Iterable[Version], now: datetime) -> Check:
    """Versions that have been fetched or checked for too long."""
    stuck = [
        f"{version.model}:{version.number}"
        for version in found
        if version.created_at and now - datetime.fromisoformat(version.created_at) > STUCK_AFTER
    ]
    if not stuck:
        return Check("versions", "ok", "none is waiting to be checked for long")
    minutes = f"{STUCK_AFTER.total_seconds() / 60:.0f} minutes"
    names = ", ".join(stuck[:5]) + (f" and {len(stuck) - 5} more" if len(stuck) > 5 else "")
    advice = "nereid versions --state validating; are the validation workers alive?"
    return Check("versions", "warning", f"undecided for over {minutes}: {names}", advice)


def _span(span: timedelta) -> str:
    seconds = max(0.0, span.total_seconds())
    for limit, unit, divisor in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / divisor:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"
