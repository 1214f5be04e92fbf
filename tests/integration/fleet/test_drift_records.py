"""What nodes find changed by hand, from being seen to being put right."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from control_plane.audit.models import AuditEvent
from control_plane.domain.planning.drift import Drift, DriftKind
from control_plane.fleet.drift_records import (
    RECENT,
    SAME_AGAIN,
    drift_by_endpoint,
    note_drift,
    recent_drift,
)
from control_plane.fleet.models import DriftFinding
from control_plane.fleet.services import register_server
from tests.support.fakes import FakeClock

pytestmark = pytest.mark.django_db

EDITED = Drift(DriftKind.FILES, "digits.v1.aaaaaa", "config.pbtxt was edited", ("digits",))
STRAY = Drift(DriftKind.STRAY_DIRECTORY, "notes", "lies in the model repository")


@pytest.fixture
def clock() -> FakeClock:
    register_server(
        name="lab",
        http="127.0.0.1:1",
        grpc="127.0.0.1:2",
        metrics="http://127.0.0.1:3/metrics",
        accelerator="cpu",
        actor="test",
    )
    return FakeClock()


def told(clock: FakeClock, *present: Drift, done: tuple[Drift, ...] = ()) -> list[DriftFinding]:
    note_drift(server="lab", present=present, done=done, now=clock.now())
    return list(DriftFinding.objects.order_by("subject", "seen_at"))


def test_what_stands_is_one_record_until_it_is_put_right(clock: FakeClock) -> None:
    stuck = Drift(EDITED.kind, EDITED.subject, EDITED.detail, EDITED.endpoints, problem="disk full")
    told(clock, stuck)
    clock.pass_time(seconds=10)
    [finding] = told(clock, stuck)
    assert (finding.problem, finding.put_right_at) == ("disk full", None)
    right = Drift(EDITED.kind, EDITED.subject, EDITED.detail, EDITED.endpoints, put_right=True)
    [finding] = told(clock, done=(right,))
    assert (finding.problem, finding.put_right_at) == ("", clock.now())
    event = AuditEvent.objects.get(action="server.drift")
    assert (event.actor, event.object_name) == ("node lab", "lab")
    assert event.after["detail"] == "config.pbtxt was edited"
    clock.pass_time(seconds=(SAME_AGAIN + timedelta(seconds=1)).total_seconds())
    assert len(told(clock, stuck)) == 2, "the next time is another"


def test_what_is_done_again_and_again_is_one_story(clock: FakeClock) -> None:
    """Each would be an audit event and a message to every webhook, twice a second."""
    right = replace(EDITED, put_right=True)
    told(clock, done=(right, right))
    clock.pass_time(seconds=1)
    [finding] = told(clock, EDITED, done=(right,))
    assert finding.put_right_at is None
    clock.pass_time(seconds=1)
    [finding] = told(clock, done=(right,))
    assert finding.put_right_at == clock.now()
    assert AuditEvent.objects.filter(action="server.drift").count() == 1
    assert len(told(clock, done=(replace(right, detail="note.txt was added"),))) == 2


def test_what_somebody_took_back_is_over(clock: FakeClock) -> None:
    told(clock, STRAY)
    note_drift(server="lab", present=None, done=(), now=clock.now())
    assert recent_drift(clock.now()).get().put_right_at is None, "nobody has looked"
    [finding] = told(clock)
    assert finding.put_right_at == clock.now()


def test_people_are_shown_what_stands_and_what_was_lately(clock: FakeClock) -> None:
    right = Drift(EDITED.kind, EDITED.subject, EDITED.detail, EDITED.endpoints, put_right=True)
    told(clock, STRAY, done=(right,))
    assert list(drift_by_endpoint(clock.now())) == ["digits"]
    clock.pass_time(seconds=(RECENT + timedelta(minutes=1)).total_seconds())
    assert [finding.subject for finding in recent_drift(clock.now())] == ["notes"]


def test_a_server_that_is_not_known_tells_nothing(clock: FakeClock) -> None:
    note_drift(server="other", present=[STRAY], done=(), now=clock.now())
    assert not DriftFinding.objects.exists()
