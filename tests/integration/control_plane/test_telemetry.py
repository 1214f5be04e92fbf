from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from control_plane.ports.triton import Sample
from control_plane.telemetry.migrate import alembic_config, is_current, migrate
from control_plane.telemetry.samples import rows
from control_plane.telemetry.store import RETENTION, TelemetryStore, engine_url

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SERVER = uuid4()


@pytest.fixture(scope="module")
def address(postgres: str) -> str:
    """A database of its own, migrated."""
    base = engine_url(postgres)
    engine = sa.create_engine(base, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as link:
        link.execute(sa.text("CREATE DATABASE telemetry_tests"))
    url = base.set(database="telemetry_tests").render_as_string(hide_password=False)
    assert not is_current(url)
    migrate(url)
    assert is_current(url)
    return url


@pytest.fixture
def store(address: str) -> Iterator[TelemetryStore]:
    store = TelemetryStore(address)
    store.keep_partitions(NOW.date())
    yield store
    store.dispose()


def page(requests: int, failed: int = 0, arm: str = "digits.v1.aaaaaa") -> list[Sample]:
    labels = {"model": arm, "version": "1"}
    return [
        Sample("nv_inference_request_success", labels, requests),
        Sample("nv_inference_compute_input_duration_us", labels, 2),
        Sample("nv_inference_compute_infer_duration_us", labels, 3),
        Sample("nv_inference_request_success", {"model": "digits", "version": "1"}, requests),
        Sample(
            "nereid_requests_total", {"endpoint": "digits", "arm": arm, "outcome": "ok"}, requests
        ),
        Sample(
            "nereid_requests_total", {"endpoint": "digits", "arm": arm, "outcome": "error"}, failed
        ),
    ]


def test_a_page_of_metrics_becomes_rows() -> None:
    found = rows(page(7), SERVER, NOW)
    [model] = found.models
    assert (model["model"], model["requests_ok"], model["compute_us"]) == ("digits.v1.aaaaaa", 7, 5)
    assert {(arm["outcome"], arm["requests"]) for arm in found.arms} == {("ok", 7), ("error", 0)}


def test_samples_are_stored_and_read(store: TelemetryStore) -> None:
    server = uuid4()
    scrape = rows(page(7), server, NOW)
    store.write(scrape)
    store.write(scrape)
    store.write(rows(page(9), server, NOW + timedelta(seconds=5)))
    [latest] = store.latest(server, NOW)
    assert latest["requests_ok"] == 9


def test_traffic_is_the_increase_of_the_counters_over_restarts(store: TelemetryStore) -> None:
    server, arm = uuid4(), "digits.v9.cccccc"
    store.write(rows(page(100, 1, arm), server, NOW - timedelta(seconds=1)))
    for second, (requests, failed) in enumerate([(100, 1), (150, 1), (20, 0), (30, 2)]):
        store.write(rows(page(requests, failed, arm), server, NOW + timedelta(seconds=second)))
    [traffic] = [t for t in store.traffic(NOW) if t.arm == arm]
    # 50 before the restart, 20 since it, 10 more; failures: none, none, two.
    assert (traffic.requests, traffic.failures) == (50 + 20 + 10 + 2, 2)


def test_an_arm_that_began_since_counts_from_its_first_sample(store: TelemetryStore) -> None:
    server, arm = uuid4(), "digits.v10.dddddd"
    store.write(rows(page(90, 3, arm), server, NOW + timedelta(seconds=1)))
    [traffic] = [t for t in store.traffic(NOW) if t.arm == arm]
    assert (traffic.requests, traffic.failures) == (93, 3)


def test_attempts_are_told_apart_from_what_callers_asked_and_got(store: TelemetryStore) -> None:
    server = uuid4()
    counts = {
        "split.v1.aaaaaa": {"ok": 95, "error": 2, "timeout": 1, "rejected": 4},
        # Seven failed here: five were rescued, one failed on both, and one nobody rescued. The
        # primary has the six second attempts among its own, five ok and one error.
        "split.v2.bbbbbb": {"ok": 10, "rescued": 5, "both_failed": 1, "timeout": 1, "cancelled": 3},
    }
    samples = [
        Sample(
            "nereid_requests_total", {"endpoint": "split", "arm": arm, "outcome": outcome}, count
        )
        for arm, outcomes in counts.items()
        for outcome, count in outcomes.items()
    ]
    store.write(rows(samples, server, NOW))
    primary, canary = [t for t in store.traffic(NOW) if t.endpoint == "split"]
    assert (primary.requests, primary.failures, primary.handed_on, primary.errors) == (102, 3, 0, 7)
    assert (canary.requests, canary.failures, canary.handed_on, canary.errors) == (20, 7, 6, 1)
    # Callers sent what is left when second attempts are counted once.
    assert primary.calls + canary.calls == 102 + 20 - 6


def test_days_past_retention_are_dropped(store: TelemetryStore) -> None:
    old = NOW.date() - RETENTION - timedelta(days=3)
    store.keep_partitions(old)
    dropped = store.keep_partitions(NOW.date())
    assert f"model_samples_{old:%Y%m%d}" in dropped
    assert f"model_samples_{date(2026, 1, 1):%Y%m%d}" not in dropped


def test_the_migrations_make_what_the_tables_say(address: str) -> None:
    from alembic import command

    command.check(alembic_config(address))
    command.downgrade(alembic_config(address), "base")
    command.upgrade(alembic_config(address), "head")
