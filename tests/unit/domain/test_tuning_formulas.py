"""The analytical model's parts, against published values, a simulation, and known numbers."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.domain.tuning.configuration import Configuration
from control_plane.domain.tuning.performance_model import PerformanceModel
from control_plane.domain.tuning.queueing import (
    batch_latency,
    bounded_batch_latency,
    erlang_c,
    mean_wait,
)
from control_plane.domain.tuning.service_time import ServiceTime, fit


def test_a_line_is_found_again_and_noise_is_told() -> None:
    assert fit([(b, 120 + 7 * b) for b in (1, 4, 16, 64)]) == ServiceTime(120.0, 7.0, 0.0)
    noisy = fit([(1, 130), (4, 140), (16, 250), (64, 560)])
    assert noisy.fixed_us == pytest.approx(120, rel=0.1)
    assert noisy.row_us == pytest.approx(7, rel=0.1)
    assert 0 < noisy.error < 0.1


def test_neither_part_of_a_service_time_is_negative() -> None:
    falling = fit([(1, 500.0), (16, 400.0), (64, 380.0)])
    assert falling.row_us == 0
    steep = fit([(1, 10.0), (4, 60.0), (16, 320.0)])
    assert steep.fixed_us == 0
    with pytest.raises(ValueError, match="no execution was timed"):
        fit([(1, 0.0)])


@pytest.mark.parametrize(
    ("servers", "offered", "waits"),
    # Erlang C as tables of it have it: M/M/1 waits with its utilisation, M/M/2 at 1 E with 1/3.
    [(1, 0.5, 0.5), (2, 1.0, 1 / 3), (3, 2.0, 0.4444), (5, 4.0, 0.5541), (10, 8.0, 0.4092)],
)
def test_who_waits_by_erlangs_formula(servers: int, offered: float, waits: float) -> None:
    assert erlang_c(servers, offered) == pytest.approx(waits, abs=5e-5)


def test_waits_by_pollaczek_and_khinchine() -> None:
    # M/D/1: rho / (2 (1 - rho)) services; M/M/1: twice as much.
    assert mean_wait(0.8, 1.0) == pytest.approx(2.0)
    assert mean_wait(0.8, 1.0, variation=1.0) == pytest.approx(4.0)
    # M/M/2 at rho 0.5: C / (2 mu - lambda) with C = 1/3.
    assert mean_wait(1.0, 1.0, servers=2, variation=1.0) == pytest.approx(1 / 3)


def test_overload_waits_longer_the_more_there_is() -> None:
    waits = [mean_wait(rate, 1.0) for rate in (0.9, 0.99, 1.1, 1.5)]
    assert waits == sorted(waits)
    assert waits[-1] < float("inf")


@pytest.mark.parametrize("most", [4, 16, 10**6])
@pytest.mark.parametrize("busy", [0.1, 0.5, 0.85])
@pytest.mark.parametrize("service", [ServiceTime(100, 10), ServiceTime(300, 100)])
def test_batches_wait_as_in_a_simulation(service: ServiceTime, busy: float, most: int) -> None:
    rate = busy * most / service.of(most)
    found = bounded_batch_latency(rate, service, most)
    if most == 10**6:
        found = batch_latency(rate, service)
    simulated = batch_server(rate, service, most)
    assert 0.93 < found / simulated < 1.25


def batch_server(rate: float, service: ServiceTime, most: int, count: int = 12_000) -> float:
    """The mean latency of a server that takes up to `most` of those that wait, Poisson arrivals."""
    chance = random.Random(1)
    now, arrivals = 0.0, []
    for _ in range(count):
        now += chance.expovariate(rate)
        arrivals.append(now)
    first, free, total = 0, 0.0, 0.0
    while first < count:
        start = max(free, arrivals[first])
        last = first
        while last < count and last - first < most and arrivals[last] <= start:
            last += 1
        free = start + service.of(last - first)
        total += sum(free - arrivals[k] for k in range(first, last))
        first = last
    return total / count


MODEL = PerformanceModel(ServiceTime(300.0, 30.0), overhead_us=200.0, cores=4, threads=1)


def test_one_caller_waits_for_nobody() -> None:
    one = MODEL.predict(Configuration(16, dynamic=True, threads=1), 1)
    assert one.mean_us == pytest.approx(200 + 330)
    assert one.throughput == pytest.approx(1e6 / 530)


def test_batches_make_throughput_and_a_delay_costs_a_few_callers() -> None:
    plain = Configuration(1, dynamic=True, threads=1)
    batched = Configuration(32, dynamic=True, threads=1)
    assert MODEL.predict(batched, 64).throughput > 4 * MODEL.predict(plain, 64).throughput
    delayed = Configuration(32, dynamic=True, queue_delay_us=4000, threads=1)
    assert MODEL.predict(delayed, 2).mean_us > 4000 > MODEL.predict(batched, 2).mean_us
    early = Configuration(32, dynamic=True, queue_delay_us=4000, preferred=(2,), threads=1)
    assert MODEL.predict(early, 2).mean_us < 4000


def test_instances_help_until_the_cores_are_busy() -> None:
    rates = [
        MODEL.predict(Configuration(4, dynamic=True, instances=n, threads=1), 64).throughput
        for n in (1, 2, 4, 8)
    ]
    assert rates[1] > 1.8 * rates[0]
    assert rates[3] < 1.1 * rates[2]


@settings(deadline=None, max_examples=60)
@given(
    callers=st.integers(1, 512),
    batch=st.sampled_from([1, 2, 8, 64]),
    delay=st.sampled_from([0, 500, 5000]),
    instances=st.integers(1, 8),
    fixed=st.floats(1, 1e5),
    row=st.floats(0, 1e4),
)
def test_littles_law_holds(
    callers: int, batch: int, delay: int, instances: int, fixed: float, row: float
) -> None:
    model = PerformanceModel(ServiceTime(fixed, row), overhead_us=100.0, cores=2)
    one = Configuration(batch, dynamic=True, queue_delay_us=delay, instances=instances)
    found = model.predict(one, callers)
    assert found.throughput / 1e6 * found.mean_us == pytest.approx(callers)
    assert found.mean_us >= 100
