"""Exact splits, and memory that stays: many requests and many reloads on a real Triton."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from tests.integration.backends.native_models import (
    IDENTITY_SIGNATURE,
    drive,
    driver_model,
    identity_model,
    resident_mb,
)
from tests.support import models
from tests.support.triton import RunningTriton, running_triton

V1, V2 = "i.v1.aaaaaa", "i.v2.bbbbbb"
# Both hold more than a run's noise (allocator arenas that fill up) and less than a real leak: 16 B
# a request would be 160 MB, 10 kB a reload 100 MB.
MOST_GROWN_BY_REQUESTS_MB = 8.0
MOST_GROWN_BY_RELOADS_MB = 4.0


@pytest.fixture(scope="module")
def server() -> Iterator[RunningTriton]:
    with running_triton("memory") as running:
        identity_model(running.repository, V1)
        identity_model(running.repository, V2)
        driver_model(running.repository)
        split(running, 9000)
        for name in (V1, V2, "driver"):
            running.load(name)
        running.load("i")
        yield running


def split(server: RunningTriton, slots_of_v1: int) -> None:
    """Writes the router's policy; the load that follows takes it."""
    arms = {V1: slots_of_v1, V2: 10_000 - slots_of_v1}
    models.router(server.repository, "i", arms, signature=IDENTITY_SIGNATURE)


def reload(server: RunningTriton, model: str, file: str, number: int) -> None:
    """Loads `model` again. Triton does so only if a file is newer, so its time moves on."""
    path = server.repository / model / file
    stamp = time.time_ns() + number * 1_000_000
    os.utime(path, ns=(stamp, stamp))
    server.load(model)


@pytest.mark.parametrize("slots_of_v1", [9000, 5000, 9999, 1, 6667])
def test_every_cycle_is_split_exactly(server: RunningTriton, slots_of_v1: int) -> None:
    server.unload("i")
    split(server, slots_of_v1)
    server.load("i")
    for cycles in (1, 3):
        driven = drive(server, "i", cycles * 10_000)
        assert driven.errors == {}
        assert driven.arms == {V1: cycles * slots_of_v1, V2: cycles * (10_000 - slots_of_v1)}


def test_the_split_of_100_000_requests_that_begin_anywhere(server: RunningTriton) -> None:
    """Chi-square with one degree of freedom: a fair split is above 6.63 once in a hundred.

    The router's is far below what chance would give, wherever in a cycle the count begins.
    """
    server.unload("i")
    split(server, 9000)
    server.load("i")
    drive(server, "i", 1_234)
    driven = drive(server, "i", 100_000)
    assert driven.errors == {}
    chi_square = sum(
        (driven.arms[arm] - expected) ** 2 / expected
        for arm, expected in ((V1, 90_000), (V2, 10_000))
    )
    assert chi_square < 0.01


def grown_by_reloads(server: RunningTriton, model: str, file: str, count: int) -> float:
    """Megabytes that `count` reloads of a model add, after as many tenths to warm up."""
    for number in range(count // 10):
        reload(server, model, file, number)
    before = resident_mb(server)
    for number in range(count // 10, count + count // 10):
        reload(server, model, file, number)
    return resident_mb(server) - before


def check_reloads(server: RunningTriton, count: int) -> None:
    plain = grown_by_reloads(server, V2, "config.pbtxt", count)
    routed = grown_by_reloads(server, "i", "1000000000/policy.txt", count)
    print(f"{count} reloads: identity {plain:+.1f} MB, router {routed:+.1f} MB")
    assert routed <= max(plain, 0.0) + MOST_GROWN_BY_RELOADS_MB


def test_reloads_leave_nothing_behind(server: RunningTriton) -> None:
    check_reloads(server, 300)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_ten_thousand_reloads_leave_nothing_behind(server: RunningTriton) -> None:
    check_reloads(server, 10_000)


def grown_by_requests(server: RunningTriton, model: str, count: int) -> float:
    """Megabytes that `count` requests add to what as many tenths before them left."""
    drive(server, model, count // 10)
    before = resident_mb(server)
    for _ in range(9):
        assert drive(server, model, count // 10).errors == {}
    return resident_mb(server) - before


def check_requests(server: RunningTriton, count: int) -> None:
    """The caller within the server and the arm take memory too, which is not the router's."""
    direct = grown_by_requests(server, V1, count)
    routed = grown_by_requests(server, "i", count)
    print(f"{count} requests: direct {direct:+.1f} MB, routed {routed:+.1f} MB")
    assert routed < max(direct, 0.0) + MOST_GROWN_BY_REQUESTS_MB


def test_memory_is_flat_over_requests(server: RunningTriton) -> None:
    check_requests(server, 300_000)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_memory_is_flat_over_ten_million_requests(server: RunningTriton) -> None:
    check_requests(server, 10_000_000)
