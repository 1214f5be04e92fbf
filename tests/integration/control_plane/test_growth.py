"""What arms grew by: written scrape by scrape, read as sums and as bins of a chart."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from control_plane.domain.latency import OVERFLOW, quantile
from control_plane.ports.triton import Sample
from control_plane.telemetry.growth import LONGEST
from control_plane.telemetry.latency import bucket_of
from control_plane.telemetry.migrate import migrate
from control_plane.telemetry.samples import rows
from control_plane.telemetry.store import RETENTION, RETENTION_OF, TelemetryStore, engine_url

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ARM = "digits.v1.aaaaaa"


@pytest.fixture(scope="module")
def address(postgres: str) -> str:
    base = engine_url(postgres)
    engine = sa.create_engine(base, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as link:
        link.execute(sa.text("CREATE DATABASE growth_tests"))
    url = base.set(database="growth_tests").render_as_string(hide_password=False)
    migrate(url)
    return url


@pytest.fixture
def store(address: str) -> Iterator[TelemetryStore]:
    store = TelemetryStore(address)
    store.keep_partitions(NOON.date() - timedelta(days=1))
    store.keep_partitions(NOON.date())
    yield store
    store.dispose()
    engine = sa.create_engine(engine_url(address), poolclass=sa.NullPool)
    tables = ("arm_steps", "arm_minutes", "arm_latest", "server_latest", "server_minutes")
    tables += ("model_minutes", "model_latest")
    with engine.begin() as link:
        for table in (*tables, "arm_samples", "model_samples"):
            link.execute(sa.text(f"TRUNCATE telemetry.{table}"))


def page(
    ok: int, *, slow: int = 0, arm: str = ARM, endpoint: str = "digits", **gauges: float
) -> list[Sample]:
    """Requests of 100 us, and slow ones of a second."""
    of = {"endpoint": endpoint, "arm": arm}
    allowance = [
        Sample("nereid_allowance_left", {**of, "of": name}, gauges.get(name, float("inf")))
        for name in ("attempts", "failures")
    ]
    return [
        Sample("nereid_requests_total", {**of, "outcome": "ok"}, ok),
        Sample("nereid_requests_total", {**of, "outcome": "timeout"}, slow),
        Sample("nereid_request_duration_us_bucket", {**of, "le": "98.9966"}, 0),
        Sample("nereid_request_duration_us_bucket", {**of, "le": "103.946"}, ok),
        Sample("nereid_request_duration_us_bucket", {**of, "le": "1020000"}, ok + slow),
        Sample("nereid_request_duration_us_bucket", {**of, "le": "+Inf"}, ok + slow),
        Sample("nereid_request_duration_us_sum", of, ok * 100 + slow * 1e6),
        Sample("nereid_request_duration_us_count", of, ok + slow),
        Sample("nereid_breaker_state", of, gauges.get("breaker", 0)),
        *allowance,
    ]


def scraped(
    store: TelemetryStore, server: UUID, second: float, page: list[Sample], at: datetime = NOON
) -> None:
    store.write(rows(page, server, at + timedelta(seconds=second)))


def test_quantiles_are_of_what_came_since(store: TelemetryStore) -> None:
    server = uuid4()
    scraped(store, server, 0, page(1_000_000))
    scraped(store, server, 5, page(1_000_980, slow=20))
    sketch = store.latencies(NOON, ["digits"])["digits", ARM]
    assert sum(sketch.values()) == 1000
    assert quantile(sketch, 0.5) == pytest.approx(100, rel=0.05)
    assert quantile(sketch, 0.99) == pytest.approx(1e6, rel=0.05)
    assert store.latencies(NOON, ["another"]) == {}
    assert store.latencies(NOON + timedelta(seconds=6), ["digits"]) == {}


def test_the_same_scrape_twice_or_late_counts_once(store: TelemetryStore) -> None:
    server = uuid4()
    for second, count in ((0, 0), (5, 10), (5, 10), (3, 6), (10, 30)):
        scraped(store, server, second, page(count))
    sketch = store.latencies(NOON, ["digits"])["digits", ARM]
    assert sum(sketch.values()) == 30


def test_an_arm_without_requests_takes_no_room(store: TelemetryStore, address: str) -> None:
    server = uuid4()
    for second in (0, 5, 10):
        scraped(store, server, second, page(7))
    engine = sa.create_engine(engine_url(address), poolclass=sa.NullPool)
    with engine.connect() as link:
        for table in ("arm_steps", "arm_minutes"):
            count = sa.text(f"SELECT count(*) FROM telemetry.{table}")  # noqa: S608
            assert link.execute(count).scalar() == 0


def test_a_new_arm_counts_and_the_first_sight_of_a_server_does_not(store: TelemetryStore) -> None:
    server = uuid4()
    scraped(store, server, 0, page(500))
    scraped(store, server, 5, [*page(500), *page(9, arm="digits.v2.bbbbbb")])
    assert {arm for _, arm in store.latencies(NOON - LONGEST, ["digits"])} == {"digits.v2.bbbbbb"}


def test_after_a_gap_nothing_is_made_up(store: TelemetryStore) -> None:
    server = uuid4()
    scraped(store, server, 0, page(10))
    scraped(store, server, 0, page(9000), NOON + LONGEST + timedelta(seconds=1))
    scraped(store, server, 5, page(9004), NOON + LONGEST + timedelta(seconds=1))
    assert sum(store.latencies(NOON, ["digits"])["digits", ARM].values()) == 4


def test_a_restart_is_no_fall(store: TelemetryStore) -> None:
    server = uuid4()
    for second, count in ((0, 100), (5, 150), (10, 20), (15, 30)):
        scraped(store, server, second, page(count))
    assert sum(store.latencies(NOON, ["digits"])["digits", ARM].values()) == 50 + 20 + 10


def test_a_steady_rate_is_steady_in_a_chart_of_seconds(store: TelemetryStore) -> None:
    server = uuid4()
    for i, second in enumerate((0, 5, 10.4, 15.1, 20, 25.3, 30)):  # a beat that is not exact
        scraped(store, server, second, page(round(second * 10)))
        if i == 3:
            scraped(store, uuid4(), second, page(0))  # another server, that has no requests
    now = NOON + timedelta(seconds=31)
    series = store.series("digits", now, timedelta(seconds=10), 6)
    assert series.begins == NOON - timedelta(seconds=20)
    bins = series.arms[ARM]
    assert [round(bins[i].requests) for i in (2, 3, 4)] == [100, 100, 100]
    assert [series.seconds(i) for i in range(6)] == [10, 10, 10, 10, 10, 0]
    assert series.measured == (False, False, True, True, True, True)
    assert bins[3].quantile_us(0.5) == pytest.approx(100, rel=0.05)


def test_longer_charts_come_from_the_minutes(store: TelemetryStore) -> None:
    one, other = uuid4(), uuid4()
    for i in range(0, 61):  # five minutes, a scrape every five seconds
        scraped(store, one, i * 5, page(i * 50))
        scraped(store, other, i * 5 + 1, page(i * 10, slow=i))
    now = NOON + timedelta(minutes=5, seconds=2)
    series = store.series("digits", now, timedelta(minutes=1), 6)
    bins = series.arms[ARM]
    # 61 failures a server's minute of twelve scrapes: 12 * (50 + 10 + 1).
    assert [bins[i].requests for i in range(5)] == [12 * 61] * 5
    assert [bins[i].errors for i in range(5)] == [12] * 5
    assert bins[2].quantile_us(0.5) == pytest.approx(100, rel=0.05)
    assert bins[2].quantile_us(0.999) == pytest.approx(1e6, rel=0.05)
    quarter = store.series("digits", now, timedelta(minutes=15), 4)
    assert quarter.arms[ARM][3].requests == 5 * 12 * 61
    assert store.series("another", now, timedelta(minutes=1), 6).arms == {}


def test_open_breakers_and_spent_allowances_are_found(store: TelemetryStore) -> None:
    server = uuid4()
    scraped(
        store,
        server,
        0,
        [
            *page(1, arm="well", attempts=5),
            *page(1, arm="tripped", breaker=2),
            *page(1, arm="trying", breaker=1),
            *page(1, arm="spent", attempts=0, failures=3),
        ],
    )
    found = {guard.arm: (guard.breaker, guard.allowance_spent) for guard in store.guarded()}
    assert found == {
        "spent": ("closed", True),
        "tripped": ("open", False),
        "trying": ("half-open", False),
    }
    scraped(store, server, 5, page(1, arm="well"))  # the router dropped the others
    assert store.guarded() == []


def test_memory_is_known_where_triton_says_it(store: TelemetryStore) -> None:
    server = uuid4()
    assert store.host(server) == (None, {})
    gpus = [Sample("nv_gpu_memory_used_bytes", {"gpu_uuid": str(i)}, 4.0) for i in range(2)]
    scraped(store, server, 0, [Sample("nv_cpu_memory_used_bytes", {}, 3.0), *gpus])
    assert store.host(server) == (NOON, {"memory_used": 3.0, "gpu_memory_used": 8.0})


def test_single_scrapes_go_earlier_than_the_minutes(store: TelemetryStore) -> None:
    today = NOON.date()
    old = today - RETENTION_OF["arm_steps"] - timedelta(days=1)
    store.keep_partitions(old)
    dropped = store.keep_partitions(today)
    assert f"arm_steps_{old:%Y%m%d}" in dropped
    assert f"arm_minutes_{old:%Y%m%d}" not in dropped
    assert RETENTION_OF["arm_steps"] < RETENTION


def more_of(
    second: float, *, first: int, same: int, other: int, queue_us: int, ok: int
) -> list[Sample]:
    """What a page has of an arm beside its attempts."""
    of = {"endpoint": "digits", "arm": ARM}
    return [
        Sample("nereid_first_response_us_bucket", {**of, "le": "98.9966"}, first),
        Sample("nereid_first_response_us_bucket", {**of, "le": "+Inf"}, first),
        Sample("nereid_shadow_duration_us_bucket", {**of, "le": "98.9966"}, same),
        Sample("nereid_shadow_duration_us_bucket", {**of, "le": "+Inf"}, same + other),
        Sample("nereid_shadow_requests_total", {**of, "outcome": "ok"}, ok),
        Sample("nereid_shadow_requests_total", {**of, "outcome": "error"}, second),
        Sample("nereid_shadow_requests_total", {**of, "outcome": "dropped"}, 1_000 * second),
        Sample("nereid_shadow_rows_total", {**of, "top1": "same"}, same),
        Sample("nereid_shadow_rows_total", {**of, "top1": "other"}, other),
        Sample("nereid_output_confidence_bucket", {**of, "le": "0.5"}, same),
        Sample("nereid_output_confidence_bucket", {**of, "le": "+Inf"}, same + other),
        Sample("nereid_output_confidence_sum", of, 0.5 * same + other),
        Sample("nereid_output_confidence_count", of, same + other),
        Sample("nv_inference_queue_duration_us", {"model": ARM, "version": "1"}, queue_us),
        Sample("nv_inference_request_success", {"model": ARM, "version": "1"}, ok),
    ]


def test_first_responses_shadows_and_queue_grow_beside_the_attempts(
    store: TelemetryStore, address: str
) -> None:
    server = uuid4()
    scraped(store, server, 0, [*page(0), *more_of(0, first=5, same=2, other=0, queue_us=70, ok=9)])
    # Nothing but copies, and then a model that was loaded anew: its counters began again.
    scraped(store, server, 5, [*page(0), *more_of(3, first=5, same=6, other=1, queue_us=90, ok=12)])
    scraped(store, server, 10, [*page(4), *more_of(3, first=9, same=6, other=1, queue_us=8, ok=4)])
    grown = store.growth("digits", [ARM], NOON, {}).arms[ARM]
    assert dict(grown.first) == {bucket_of("98.9966"): 4}
    assert dict(grown.shadow) == {bucket_of("98.9966"): 4, OVERFLOW: 1}
    assert dict(grown.confidence) == {38: 4, 89: 1}
    assert dict(grown.more) == {
        "shadow_ok": 3 + 4,
        "shadow_failed": 3,
        "shadow_same": 4,
        "shadow_other": 1,
        "queue_us": 20 + 8,
        "queued": 3 + 4,
        "keys_good": 0,
        "keys_bad": 0,
        "confidence_of": 5,
        "confidence_sum": 3_000_000,
    }
    engine = sa.create_engine(engine_url(address), poolclass=sa.NullPool)
    with engine.connect() as link:
        minute = link.execute(sa.text("SELECT * FROM telemetry.arm_minutes")).mappings().one()
    assert {name: minute[name] for name in grown.more} == dict(grown.more)
    assert (minute["first_counts"], minute["requests"]) == ([4], 4)
    assert (minute["confidence_buckets"], minute["confidence_counts"]) == ([38, 89], [4, 1])
    assert minute["shadow_counts"] == [4, 1]
