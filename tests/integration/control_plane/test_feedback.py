"""Feedback in its table: counted once, put to its arm late, read without a gap."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from control_plane.telemetry.feedback import WAIT, FeedbackCount, Report, Written
from control_plane.telemetry.migrate import migrate
from control_plane.telemetry.store import TelemetryStore, engine_url

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ONE, TWO = "digits.v1.aaaaaa", "digits.v2.bbbbbb"


@pytest.fixture(scope="module")
def store(postgres: str) -> Iterator[TelemetryStore]:
    base = engine_url(postgres)
    engine = sa.create_engine(base, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as link:
        link.execute(sa.text("CREATE DATABASE feedback_tests"))
    url = base.set(database="feedback_tests").render_as_string(hide_password=False)
    migrate(url)
    store = TelemetryStore(url)
    store.keep_partitions(NOON.date())
    yield store
    store.dispose()


@pytest.fixture
def endpoint() -> str:
    """Another one for each test, so that they share the table."""
    return f"digits-{uuid4().hex[:8]}"


def said(request_id: str, *, well: bool = True, arm: str | None = None) -> Report:
    return Report("correct", 1, int(well), arm, request_id)


def test_counts_add_up_by_arm_and_outcome(store: TelemetryStore, endpoint: str) -> None:
    reports = [
        Report("correct", 100, 95, ONE),
        Report("correct", 10, 9, ONE),
        Report("sold", 10, 1, TWO),
        said("r1", arm=TWO, well=False),
    ]
    assert store.write_feedback(endpoint, reports, NOON) == Written(4, 0, 0)
    grown = store.feedback_since(endpoint, [ONE, TWO], NOON - timedelta(seconds=1))
    assert grown.counts == (
        FeedbackCount(ONE, "correct", 110, 104),
        FeedbackCount(TWO, "correct", 1, 0),
        FeedbackCount(TWO, "sold", 10, 1),
    )
    assert store.feedback_since(endpoint, [ONE, TWO], grown.until).counts == ()
    [only] = store.feedback_since(endpoint, [ONE], NOON - timedelta(seconds=1)).counts
    assert only.arm == ONE


def test_a_request_and_outcome_count_once(store: TelemetryStore, endpoint: str) -> None:
    first = [said("r1", arm=ONE), said("r1", arm=ONE, well=False)]
    assert store.write_feedback(endpoint, first, NOON) == Written(1, 0, 1)
    again = [said("r1", arm=TWO), Report("sold", 1, 1, ONE, "r1")]
    assert store.write_feedback(endpoint, again, NOON) == Written(1, 0, 1)
    assert store.write_feedback(endpoint + "x", again, NOON) == Written(2, 0, 0)
    grown = store.feedback_since(endpoint, [ONE, TWO], NOON - timedelta(seconds=1))
    assert grown.counts == (FeedbackCount(ONE, "correct", 1, 1), FeedbackCount(ONE, "sold", 1, 1))


def test_what_waits_is_counted_when_its_arm_is_known(store: TelemetryStore, endpoint: str) -> None:
    reports = [said("r1"), said("r2", well=False), said("r3")]
    assert store.write_feedback(endpoint, reports, NOON) == Written(0, 3, 0)
    before = store.feedback_since(endpoint, [ONE, TWO], NOON - timedelta(seconds=1))
    assert before.counts == ()
    waiting = {r for e, r in store.feedback_waiting(NOON - WAIT, 1000) if e == endpoint}
    assert waiting == {"r1", "r2", "r3"}
    soon = NOON + timedelta(seconds=2)
    assert store.feedback_answered(endpoint, {"r1": ONE, "r2": TWO, "r9": TWO}, soon) == 2
    assert store.feedback_answered(endpoint, {"r1": TWO}, soon) == 0
    after = store.feedback_since(endpoint, [ONE, TWO], before.until)
    assert after.counts == (
        FeedbackCount(ONE, "correct", 1, 1),
        FeedbackCount(TWO, "correct", 1, 0),
    )


def test_what_nobody_knew_is_said_to_be_unresolved(store: TelemetryStore, endpoint: str) -> None:
    store.write_feedback(endpoint, [said("r1"), said("r2", arm=ONE)], NOON)
    since = NOON - timedelta(hours=1)
    summary = store.feedback_summary(endpoint, since, NOON + timedelta(seconds=1))
    assert (summary.waiting, summary.unresolved) == (1, 0)
    late = NOON + WAIT + timedelta(seconds=1)
    assert store.feedback_answered(endpoint, {"r1": TWO}, late) == 0
    summary = store.feedback_summary(endpoint, since, late)
    assert (summary.waiting, summary.unresolved) == (0, 1)
    assert summary.counts == (FeedbackCount(ONE, "correct", 1, 1),)


def test_a_reader_misses_nothing_of_many_writers(store: TelemetryStore, endpoint: str) -> None:
    """Each writer's clock is another, and the reader goes on from what it saw."""
    done = threading.Event()
    seen = 0
    until = NOON - timedelta(hours=1)

    def write(ahead: int) -> None:
        for _ in range(20):
            reports = [Report("correct", 2, 1, ONE)]
            store.write_feedback(endpoint, reports, NOON + timedelta(seconds=ahead))

    def read() -> None:
        nonlocal seen, until
        last = False
        while not last:
            last = done.is_set()
            grown = store.feedback_since(endpoint, [ONE], until)
            seen += sum(count.of for count in grown.counts)
            until = grown.until

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(ahead,)) for ahead in (0, 30, 60)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert seen == 3 * 20 * 2


@pytest.mark.parametrize(
    "report",
    [
        Report("correct", 1, 2, ONE),
        Report("correct", 0, 0, ONE),
        Report("correct", 2, 1, ONE, "r1"),
        Report("correct", 1, 1),
    ],
)
def test_the_table_holds_what_a_report_is(
    store: TelemetryStore, endpoint: str, report: Report
) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        store.write_feedback(endpoint, [report], NOON)
