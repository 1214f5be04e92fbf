"""Recordings of what callers send, over the real database, with a router in memory."""

from __future__ import annotations

import io
import json
import threading
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from control_plane import wiring
from control_plane.adapters.artifacts import FileArtifactStore
from control_plane.audit.models import AuditEvent
from control_plane.domain.perf.recording import MAGIC
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
)
from control_plane.endpoints.services import create_endpoint, delete_endpoint
from control_plane.ports.recorder import Recorded, RecordingAsk
from control_plane.tuning import recording_node, sweeping
from control_plane.tuning.models import PerfRun, Recording
from control_plane.tuning.recordings import (
    KEPT,
    MAX_KEPT,
    delete_recording,
    expire_recordings,
    must_be_ready,
    start_recording,
    stop_recording,
)
from control_plane.wiring import print_config
from tests.integration.tuning.test_perf_runs import Lab, fresh
from tests.integration.tuning.test_perf_runs import lab as a_lab
from tests.support.fakes import FakeRecorder
from tests.support.perf import recording
from tests.support.processes import eventually
from tests.support.recorded import AT_MS, FP32, numbers, record

pytestmark = pytest.mark.django_db
lab = a_lab

PICTURE = numbers(*range(64))
TWO = (
    MAGIC
    + record(("image", FP32, (1, 1, 8, 8), PICTURE))
    + record(("image", FP32, (2, 1, 8, 8), PICTURE * 2), at_ms=AT_MS + 500)
)


class Recorder:
    """An endpoint's recordings: asked of the lab, carried out by its node when `work` is called."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.router = FakeRecorder()
        self.store: FileArtifactStore = lab.means.recordings  # type: ignore[assignment]
        lab.recording = self.recording  # type: ignore[attr-defined]
        create_endpoint(name="digits", actor="ada", queue=lab, print_config=print_config)
        lab.policy(100)
        lab.settle()

    def recording(self, *, server: str, recording_id: int, key: str) -> None:
        assert server == "lab"
        self.lab.sent.append(
            lambda: recording_node.look_at(
                recording_id=recording_id,
                key=key,
                recorder=self.router,
                store=self.store,
                clock=self.lab.clock,
            )
        )

    def start(self, endpoint: str = "digits", **document: Any) -> Recording:
        return start_recording(
            endpoint=endpoint,
            document=document,
            actor="ada",
            clock=self.lab.clock,
            queue=self.lab,
            endpoints=self.lab.means.endpoints,
        )

    def done(self, content: bytes = TWO, **document: Any) -> Recording:
        row = self.start(**document)
        self.lab.work()
        self.router.record(row.key.hex, content)
        self.lab.sweep(5)
        self.lab.work()
        return Recording.objects.get(pk=row.pk)

    def delete(self, row: Recording) -> None:
        delete_recording(
            name=row.name, endpoint="digits", actor="ada", queue=self.lab, store=self.store
        )


@pytest.fixture
def recorder(lab: Lab) -> Recorder:
    return Recorder(lab)


def test_it_is_asked_of_the_router_and_kept_when_it_is_done(recorder: Recorder) -> None:
    row = recorder.start(requests=2, percent=5, length="90s")
    assert (row.name, row.state, row.server_name) == ("digits-1", "queued", "lab")
    recorder.lab.work()
    key, asked = row.key.hex, recorder.router.asks
    ends = Recording.objects.get().ends_at
    assert ends is not None
    assert (asked[key].endpoint, asked[key].requests, asked[key].parts) == ("digits", 2, 500)
    assert asked[key].until_ms == int(ends.timestamp() * 1000)
    recorder.router.record(key, TWO, done=False)
    recorder.lab.sweep(5)
    recorder.lab.work()
    assert (Recording.objects.get().state, Recording.objects.get().requests) == ("recording", 2)
    recorder.router.record(key, TWO)
    recorder.lab.sweep(5)
    recorder.lab.work()
    found = Recording.objects.get()
    assert (found.state, found.requests, found.size) == ("ready", 2, len(TWO))
    assert found.facts["rows"] == {"mean": 1.5, "most": 2}
    assert found.facts["inputs"][0]["most"] == [2, 1, 8, 8]
    assert recorder.router.asks == {}, "what was taken is asked for no more"
    actions = AuditEvent.objects.filter(object_type="recording").order_by("id")
    assert [one.action for one in actions] == ["recording.start", "recording.ready"]
    assert {one.object_name for one in actions} == {"digits"}


def test_a_perf_run_sends_it_and_keeps_nothing_of_it(recorder: Recorder) -> None:
    recorder.done(name="mondays")
    lab = recorder.lab
    with pytest.raises(NotAllowedError, match=r"tuning\.add_recording"):
        lab.start(input="recording:mondays")
    run = lab.start(
        input="recording:mondays", concurrency=[1], may_send=lambda name: name == "digits"
    )
    assert run.request["input"] == "recording:mondays"
    lab.load.files = {"report.csv": b"packed", "export.json": b"private"}
    lab.work()
    assert fresh(run).state == "succeeded", fresh(run).reason
    sent = json.loads(lab.load.sent)["data"]
    assert [entry["image"]["shape"] for entry in sent] == [[1, 8, 8]] * 3
    assert lab.means.telemetry.perf_files(run.key) == [(0, "report.csv")]
    [level] = lab.means.telemetry.perf_levels([run.key])[run.key]
    assert "may have what callers sent" in level.left_out


def test_what_cannot_be_sent_is_refused_at_once_or_fails_the_run(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = recorder.done(name="mondays")
    asked = {"input": "recording:mondays", "concurrency": [1], "may_send": lambda _: True}
    with pytest.raises(InvalidInputError, match="no recording 'tuesdays'"):
        recorder.lab.start(**{**asked, "input": "recording:tuesdays"})
    with pytest.raises(InvalidInputError, match="there are golden"):
        recorder.lab.start(**{**asked, "input": "recording:"})
    other = {**row.facts, "inputs": [{**row.facts["inputs"][0], "datatype": "FP16"}]}
    Recording.objects.update(facts=other)
    with pytest.raises(InvalidInputError, match="it has FP16"):
        recorder.lab.start(**asked)
    Recording.objects.update(facts=row.facts)
    monkeypatch.setattr("control_plane.tuning.services.varied", lambda _: "x [1] to [2]")
    with pytest.raises(InvalidInputError, match="batch 1"):
        recorder.lab.start(**asked, batch=2)
    run = recorder.lab.start(**asked)
    recorder.delete(row)
    # By the time when it runs another endpoint's has the name: nobody was asked about that one.
    Recording.objects.create(**of_another_endpoint(row))
    recorder.lab.work()
    assert (fresh(run).state, "any more" in fresh(run).reason) == ("failed", True)
    with pytest.raises(InvalidInputError, match="sequences"):
        recorder.lab.start(**asked, sequences={"length": 3})


def test_one_that_is_deleted_while_a_run_is_asked_for_is_not_there(recorder: Recorder) -> None:
    row = recorder.done(name="mondays")

    def meanwhile(endpoint: str) -> bool:
        recorder.delete(row)
        return True

    with pytest.raises(ConflictError, match="mondays is not there any more"):
        recorder.lab.start(input="recording:mondays", concurrency=[1], may_send=meanwhile)
    assert not PerfRun.objects.exists()


def of_another_endpoint(row: Recording) -> dict[str, Any]:
    values = {field.name: getattr(row, field.name) for field in Recording._meta.fields}
    return {**values, "id": None, "key": uuid.uuid4(), "endpoint": "faces"}


def test_failed_ones_do_not_count(recorder: Recorder) -> None:
    for number in range(MAX_KEPT):
        recording("failed", name=f"failed-{number}", digest="")
    assert recorder.start().state == "queued"
    Recording.objects.update(state="ready", digest="a" * 64)
    with pytest.raises(ConflictError, match="delete some"):
        recorder.start()


def test_one_is_stopped_and_one_is_deleted_with_all_that_it_holds(recorder: Recorder) -> None:
    row = recorder.start()
    recorder.lab.work()
    with pytest.raises(ConflictError, match="is being recorded"):
        recorder.start()
    with pytest.raises(ConflictError, match=f"nereid record stop digits {row.name}"):
        must_be_ready(Recording.objects.get())
    with pytest.raises(IntegrityError), transaction.atomic():
        recording("recording", name="another")
    for _ in range(2):
        stop_recording(name=row.name, endpoint="digits", actor="bo", queue=recorder.lab)
    recorder.lab.work()
    assert recorder.router.asks[row.key.hex].until_ms == 0
    recorder.router.record(row.key.hex, TWO)
    recorder.lab.sweep(5)
    recorder.lab.work()
    kept = Recording.objects.get()
    assert (kept.state, kept.reason, kept.stopped_by) == ("ready", "stopped", "bo")
    assert AuditEvent.objects.filter(action="recording.stop").count() == 1
    with pytest.raises(ConflictError, match="is over"):
        stop_recording(name=row.name, endpoint="digits", actor="bo", queue=recorder.lab)
    assert recorder.store.digests() == [kept.digest]
    recorder.delete(kept)
    assert recorder.store.digests() == []
    empty = recorder.start()
    recorder.lab.work()
    stop_recording(name=empty.name, endpoint="digits", actor="bo", queue=recorder.lab)
    recorder.router.record(empty.key.hex, MAGIC)
    recorder.lab.work()
    assert "bo stopped it before a request came" in Recording.objects.get(pk=empty.pk).reason
    going_on = recorder.start()
    recorder.lab.work()
    recorder.delete(going_on)
    recorder.lab.work()
    assert recorder.router.asks == {}, "the router deletes what nobody asks for"
    with pytest.raises(NotFoundError):
        recorder.delete(going_on)


@pytest.mark.parametrize(
    ("found", "seconds", "reason"),
    [
        (Recorded(), 21, "did not take it up"),
        (Recorded(begun=True), 640, "did not come to its end"),
        (PermissionError(13, "Permission denied"), 21, "did not take it up"),
        (Recorded(begun=True, failed="No space left on device"), 1, "lab: No space left"),
    ],
)
def test_a_router_that_cannot_says_so(
    recorder: Recorder, found: Recorded | OSError, seconds: float, reason: str
) -> None:
    row = recorder.start()
    recorder.lab.work()
    recorder.router.found[row.key.hex] = found
    recorder.lab.sweep(seconds)
    recorder.lab.work()
    failed = Recording.objects.get()
    assert failed.state == "failed"
    assert reason in failed.reason
    assert recorder.router.asks == {}


def test_what_the_store_does_not_take_ends_it(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> tuple[str, int]:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(recorder.store, "add", full)
    row = recorder.done()
    assert (row.state, row.digest) == ("failed", "")
    assert "lab could not keep it (NEREID_RECORDING_STORE): Read-only" in row.reason
    assert recorder.router.asks == {}


def test_one_that_no_node_carries_out_ends(recorder: Recorder) -> None:
    """A server that does not come back, or was removed, holds no endpoint for ever."""
    lost = recorder.start()
    Recording.objects.update(created_at=recorder.lab.clock.now())
    recorder.lab.sent.clear()
    recorder.lab.sweep(301)
    assert "did not take it up" in Recording.objects.get(pk=lost.pk).reason
    recorder.lab.sent.clear()
    Recording.objects.all().delete()
    known = {"server": lost.server, "server_name": "lab"}
    away = recording("recording", ends_at=recorder.lab.clock.now(), **known)
    recorder.lab.sweep(299)
    assert Recording.objects.get(pk=away.pk).state == "recording"
    recorder.lab.sent.clear()
    recorder.lab.sweep(2)
    assert "did not come back" in Recording.objects.get(pk=away.pk).reason
    recorder.lab.sent.clear()
    gone = recording("recording", name="gone")
    recorder.lab.sweep(1)
    assert Recording.objects.get(pk=gone.pk).reason == "server local is gone"
    assert AuditEvent.objects.filter(action="recording.failed").count() == 3


def test_a_node_forgets_what_is_wanted_no_more(recorder: Recorder) -> None:
    """Deleted while the broker was away, and killed between the end and the router's file."""
    row = recorder.start()
    recorder.lab.work()
    recording_node.forget_what_is_over(recorder.router)
    assert recorder.router.asked() == [row.key.hex], "it goes on"
    Recording.objects.filter(pk=row.pk).update(state="failed")
    recording_node.forget_what_is_over(recorder.router)
    assert recorder.router.asked() == []


def test_a_look_that_another_one_overtook_leaves_nothing_asked(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, ask = recorder.start(), recorder.router.ask

    def overtaken(key: str, said: RecordingAsk) -> None:
        Recording.objects.filter(pk=row.pk).update(state="failed")
        recorder.router.forget(key)
        ask(key, said)

    monkeypatch.setattr(recorder.router, "ask", overtaken)
    recorder.lab.work()
    assert recorder.router.asked() == []


@pytest.mark.parametrize(("content", "reason"), [(MAGIC, "no request came"), (b"x", "begin as")])
def test_nothing_and_nonsense_are_not_kept(recorder: Recorder, content: bytes, reason: str) -> None:
    row = recorder.done(content)
    assert (row.state, row.digest) == ("failed", "")
    assert reason in row.reason
    assert recorder.store.digests() == []


def test_what_cannot_be_recorded_is_refused(recorder: Recorder) -> None:
    with pytest.raises(NotFoundError):
        recorder.start("faces")
    create_endpoint(name="faces", actor="ada", queue=recorder.lab, print_config=print_config)
    with pytest.raises(ConflictError, match="serves nothing yet"):
        recorder.start("faces")
    with pytest.raises(InvalidInputError, match="is served by lab"):
        recorder.start(server="other")
    with pytest.raises(InvalidInputError) as refused:
        recorder.start(name="Mondays!", requests=0, bytes=1 << 40, length="9d", percent=0, x=1)
    assert len(refused.value.violations) == 6
    recorder.lab.clock.pass_time(seconds=3600)
    with pytest.raises(ConflictError, match="no server of endpoint digits is there"):
        recorder.start()
    assert not Recording.objects.exists()


def test_they_go_with_their_endpoint(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes an endpoint of that name again is given nothing of it."""
    kept = recorder.done()
    going_on = recorder.start()
    recorder.lab.work()
    recording("failed", name="of-faces", endpoint="faces")
    monkeypatch.setattr(wiring, "queue", lambda: recorder.lab)
    monkeypatch.setattr(wiring, "recording_store", lambda: recorder.store)
    delete_endpoint(name="digits", actor="bo", queue=recorder.lab, clock=recorder.lab.clock)
    recorder.lab.work()
    assert [row.name for row in Recording.objects.all()] == ["of-faces"]
    assert (recorder.store.digests(), recorder.router.asked()) == ([], [])
    deleted = AuditEvent.objects.filter(action="recording.delete", actor="bo")
    assert {one.object_id for one in deleted} == {str(kept.pk), str(going_on.pk)}


@pytest.mark.django_db(transaction=True)
def test_one_that_is_started_as_its_endpoint_goes_goes_with_it(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "queue", lambda: recorder.lab)
    monkeypatch.setattr(wiring, "recording_store", lambda: recorder.store)
    gone = threading.Event()

    def delete() -> None:
        delete_endpoint(name="digits", actor="bo", queue=recorder.lab, clock=recorder.lab.clock)
        gone.set()
        connection.close()

    deleting = threading.Thread(target=delete)
    facts = recorder.lab.means.endpoints

    def somebody_waits() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            return cursor.fetchone() is not None

    class Slowly:
        """What it says was so before the endpoint went, unless that waits."""

        def served(self, name: str) -> Any:
            found = facts.served(name)
            deleting.start()
            assert eventually(lambda: gone.is_set() or somebody_waits(), 20)
            return found

    monkeypatch.setattr(recorder.lab, "means", replace(recorder.lab.means, endpoints=Slowly()))
    recorder.start()
    deleting.join(30)
    assert gone.is_set()
    assert not Recording.objects.exists()


def test_they_go_after_a_month_and_files_without_a_record_with_them(recorder: Recorder) -> None:
    young = recorder.done(name="young")
    old = recorder.done(name="old")
    assert young.digest != old.digest, "one content, and two files"
    lab = recorder.lab
    Recording.objects.filter(pk=old.pk).update(created_at=lab.clock.now() - KEPT)
    lost, _ = recorder.store.add(io.BytesIO(b"of nobody"))
    expire_recordings(clock=lab.clock, queue=lab, store=recorder.store)
    assert [row.name for row in Recording.objects.all()] == ["young"]
    assert set(recorder.store.digests()) == {young.digest, lost}, "it may be on its way still"
    lab.clock.pass_time(seconds=timedelta(days=400).total_seconds())
    Recording.objects.update(created_at=lab.clock.now())
    expire_recordings(clock=lab.clock, queue=lab, store=recorder.store)
    assert recorder.store.digests() == [young.digest]
    assert not PerfRun.objects.exists()
    sweeping.sweep(clock=lab.clock, queue=lab)
