"""The rules that find what would help, each from the figures of one model of an arm or step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from control_plane.domain.kpis.experiments import on_endpoint, on_version
from control_plane.domain.kpis.opportunities import (
    LEAST_REQUESTS,
    Effort,
    Experiment,
    Opportunity,
    Servers,
    Spot,
)
from control_plane.domain.kpis.waiting import saved_by_batching, saved_by_instance

LONG_QUEUE = 0.2
"""Share of queue and processing from which waiting is what to look at."""

SOME_WORK = 0.05
"""Utilisation below which instances are not what is waited for."""

WORK_TO_CACHE_US = 1000.0
REPEATS = 0.1
ROWS_AT_ONCE = 4

NO_OVERRIDES: Mapping[str, Any] = MappingProxyType({})

Rule = Callable[[Spot, Servers], Iterator[Opportunity]]


def opportunities(spots: Iterable[Spot], servers: Servers) -> Iterator[Opportunity]:
    """Everything that any rule finds; which of it is worth a change, `ranked` says."""
    for spot in spots:
        if spot.model.requests < LEAST_REQUESTS:
            continue
        for rule in RULES if not spot.step else STEP_RULES:
            yield from rule(spot, servers)


def _shorter_delay(spot: Spot, _: Servers) -> Iterator[Opportunity]:
    """Requests wait for a batch that does not come."""
    setting, together = spot.setting, spot.model.batch_requests
    if not setting.delay_us or together is None or together >= 1.5:
        return
    queue = spot.model.queue_us or 0.0
    saves = min(queue, float(setting.delay_us))
    if queue < setting.delay_us / 2:
        return
    yield _of(
        spot,
        "shorter-delay",
        f"a batch waits up to {setting.delay_us} us for company, and {together:.2f} requests "
        "share one: they wait for nobody",
        "let batches form of what waits already: no queue delay",
        saves,
        "analytical: a request that nobody joins waits out the delay, at most the queue measured",
        **_override(spot, {"dynamic_batching": {"max_queue_delay_microseconds": 0}}),
        space=(f"queue_delay_us=0,{setting.delay_us}",),
    )


def _dynamic_batching(spot: Spot, _: Servers) -> Iterator[Opportunity]:
    """Requests wait one behind the other where they could be computed together."""
    setting = spot.setting
    if setting.batches or setting.max_batch_size <= 1 or not _waits(spot):
        return
    saves = saved_by_batching(spot.model.queue_us or 0.0, spot.rps, spot.model.instances)
    yield _of(
        spot,
        "dynamic-batching",
        f"requests wait {_share(spot)} of their time and are computed one by one, where a batch "
        f"may hold {setting.max_batch_size} rows",
        "batch dynamically: what waits is computed together",
        saves,
        "analytical: by Little's law, if a batch takes as long as a request",
        **_override(spot, {"dynamic_batching": {}}),
    )


def _more_instances(spot: Spot, servers: Servers) -> Iterator[Opportunity]:
    """Requests wait for an instance, and there is room for one more."""
    model, setting = spot.model, spot.setting
    if not _waits(spot) or model.utilisation is None or not model.instances:
        return
    # One that hardly works, and whose queue was never seen, is waited for by nobody: what is
    # measured then is timers and the machine.
    if model.utilisation < SOME_WORK and model.pending <= model.instances:
        return
    if setting.cpu and servers.cores is not None and setting.instances >= servers.cores:
        return
    queue = max(0.0, (model.queue_us or 0.0) - (setting.delay_us if setting.batches else 0))
    offered = model.utilisation * model.instances
    saves = saved_by_instance(queue, model.instances, offered, model.processing_us or 0.0)
    busy = f"{model.utilisation:.0%} of the time of {_instances(model.instances)} is used"
    detail = f"requests wait {_share(spot)} of their time, and {busy}"
    if spot.narrowest and spot.capacity_rps:
        more = spot.capacity_rps * (model.instances + 1) / model.instances
        detail += (
            f"; the pipeline can take {spot.capacity_rps:,.0f} requests a second at most, for "
            f"this step takes no more: with one more instance it could take {more:,.0f}"
        )
    count = setting.instances + 1
    yield _of(
        spot,
        "narrow-step" if spot.narrowest else "more-instances",
        detail,
        f"{_instances(count)} in place of {setting.instances} on each server",
        saves,
        "analytical: M/M/c for steady arrivals, and bursts shared out among the instances",
        **_override(spot, {"instance_group": [{"count": count}]}),
        space=(f"instances={setting.instances},{count}",),
    )


def _larger_batches(spot: Spot, _: Servers) -> Iterator[Opportunity]:
    """Batches are full, and more is waiting."""
    setting, rows = spot.setting, spot.model.batch_rows
    full = rows is not None and setting.max_batch_size > 1 and rows >= 0.9 * setting.max_batch_size
    if not (setting.batches and full and _waits(spot)):
        return
    size = 2 * setting.max_batch_size
    yield _of(
        spot,
        "larger-batches",
        f"batches are full ({rows:.1f} of {setting.max_batch_size} rows), and requests wait "
        f"{_share(spot)} of their time",
        f"let a batch hold {size} rows",
        (spot.model.queue_us or 0.0) / 2,
        "analytical: twice as many leave at once, if a batch of twice the rows takes as long",
        **_override(spot, {"max_batch_size": size}),
        space=(f"max_batch_size={setting.max_batch_size},{size}",),
    )


def _response_cache(spot: Spot, servers: Servers) -> Iterator[Opportunity]:
    """Work that an answer from before would spare."""
    work = spot.model.processing_us or 0.0
    if spot.setting.cached or work < WORK_TO_CACHE_US or servers.cache is None:
        return
    there = servers.cache
    yield _of(
        spot,
        "response-cache",
        f"each request is computed, for {work / 1000:.2f} ms; equal ones could be answered "
        "from before",
        "keep answers in the response cache"
        + ("" if there else ", on servers that are started with one"),
        REPEATS * (work + (spot.model.queue_us or 0.0)),
        "assumed: one request in ten equals one before; nobody counts that without a cache",
        effort=Effort.PROFILE if there else Effort.SERVER,
        # Nothing measures it: a load generator sends the same few requests again and again, and
        # would find every one of them in the cache.
        overrides={"response_cache": {"enable": True}},
    )


def _shared_memory(spot: Spot, _: Servers) -> Iterator[Opportunity]:
    """The way to the server takes long."""
    network = spot.parts.get("network", 0.0)
    if network < 0.25 * _whole(spot):
        return
    yield _of(
        spot,
        "shared-memory",
        f"{network / _whole(spot):.0%} of a request is the network and Triton's own endpoint",
        "let callers on the server's machine hand tensors over in shared memory; others call gRPC "
        "and keep their connection",
        network / 2,
        "assumed: a half of it; the perf run says how much",
        effort=Effort.CALLERS,
        rps=spot.requests.rps,
        measure=f"nereid perf run {spot.endpoint} --shared-memory system",
        experiment=on_endpoint(spot, shared_memory="system"),
    )


def _copies(spot: Spot, _: Servers) -> Iterator[Opportunity]:
    """Putting batches together and taking them apart takes long."""
    copies = spot.parts.get("copy_in", 0.0) + spot.parts.get("copy_out", 0.0)
    if copies < 0.25 * _whole(spot):
        return
    yield _of(
        spot,
        "copies",
        f"{copies / _whole(spot):.0%} of a request is copying its tensors into a batch and "
        "answers out of it",
        "let callers send whole batches, which are taken as they are; leave out outputs that "
        "nobody reads",
        copies / 2,
        "assumed: a half of the copies; a perf run with --batch says how much",
        effort=Effort.CALLERS,
        rps=spot.requests.rps,
        measure=f"nereid perf run {spot.endpoint} --batch {ROWS_AT_ONCE}",
        experiment=on_endpoint(spot, batch=ROWS_AT_ONCE),
    )


def _rows_at_once(spot: Spot, _: Servers) -> Iterator[Opportunity]:
    """The router's own time, a request's whatever is in it, weighs more than the work."""
    router = spot.parts.get("router", 0.0)
    if router < 0.3 * _whole(spot) or spot.setting.max_batch_size < ROWS_AT_ONCE:
        return
    yield _of(
        spot,
        "rows-at-once",
        f"{router / _whole(spot):.0%} of a request is the router's, which takes as long for one "
        "row as for many",
        f"let callers send {ROWS_AT_ONCE} rows in a request where they have them",
        router * (1 - 1 / ROWS_AT_ONCE),
        f"analytical: the router's time is shared by {ROWS_AT_ONCE} rows",
        effort=Effort.CALLERS,
        rps=spot.requests.rps,
        measure=f"nereid perf run {spot.endpoint} --batch {ROWS_AT_ONCE}",
        experiment=on_endpoint(spot, batch=ROWS_AT_ONCE),
    )


STEP_RULES: tuple[Rule, ...] = (
    _shorter_delay,
    _dynamic_batching,
    _more_instances,
    _larger_batches,
    _response_cache,
)
RULES: tuple[Rule, ...] = (*STEP_RULES, _shared_memory, _copies, _rows_at_once)
"""Of an arm as a whole, also what concerns its callers."""


def _of(
    spot: Spot,
    code: str,
    detail: str,
    change: str,
    saves_us: float,
    estimate: str,
    *,
    effort: Effort = Effort.PROFILE,
    rps: float | None = None,
    overrides: Mapping[str, Any] = NO_OVERRIDES,
    measure: str = "",
    experiment: Experiment | None = None,
    space: tuple[str, ...] = (),
) -> Opportunity:
    if space and spot.version and spot.rps:
        model, number = spot.version
        given = " ".join(f"--space {one}" for one in space)
        rate = max(1, round(spot.server_rps))
        measure = f"nereid tune {model}.v{number} --objective latency --rate {rate} {given}"
    return Opportunity(
        code=code,
        arm=spot.arm.name,
        step=spot.step,
        target=spot.target,
        detail=detail,
        change=change,
        saves_us=saves_us,
        of_us=_whole(spot),
        rps=spot.rps if rps is None else rps,
        effort=effort,
        estimate=estimate,
        overrides=overrides,
        measure=measure,
        experiment=experiment,
    )


def _override(spot: Spot, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A change of how a version is served, with what measures it."""
    return {"overrides": overrides, "experiment": on_version(spot, overrides)}


def _waits(spot: Spot) -> bool:
    return (spot.model.queue_share or 0.0) >= LONG_QUEUE


def _share(spot: Spot) -> str:
    return f"{spot.model.queue_share or 0.0:.0%}"


def _whole(spot: Spot) -> float:
    """A request's mean time at the arm, whichever step the spot is of."""
    return sum(part.us for part in spot.arm.time) or sum(spot.parts.values()) or 1.0


def _instances(count: int) -> str:
    return f"{count} instance{'' if count == 1 else 's'}"
