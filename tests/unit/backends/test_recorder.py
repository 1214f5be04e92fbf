"""The router's recorder of requests, and the node's side of it."""

from __future__ import annotations

import ctypes
import json
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from control_plane.adapters.request_recorder import FileRequestRecorder
from control_plane.domain.perf.recording import (
    MAGIC,
    UnreadableRecordingError,
    facts_of,
    read_records,
    recorded_input,
    unfit,
    varied,
)
from control_plane.domain.signature import Tensor
from control_plane.ports.recorder import Recorded, RecordingAsk
from tests.support.recorded import AT_MS, BYTES, FP32, numbers, record
from tests.support.routing import Text, declare, library

KEY, OTHER = "ab" * 16, "cd" * 16
NOW = AT_MS


ONE = record(("x", FP32, (1, 2), numbers(1, 2)))


class Router:
    """The recorder alone: it looks when it is told to."""

    def __init__(self, folder: Path) -> None:
        handle = ctypes.c_void_p
        signatures = {
            "recorder_new": (handle, Text, Text),
            "recorder_delete": (None, handle),
            "recorder_look": (None, handle, ctypes.c_int64),
            "recorder_request": (ctypes.c_bool, handle, Text, Text),
            "recorder_lost_request": (ctypes.c_bool, handle, Text, Text),
            "recorder_slow_request": (ctypes.c_bool, handle, Text, Text, ctypes.c_int64),
        }
        self._library = library()
        declare(self._library, signatures)
        self.folders = folder / "asked", folder / "recorded"
        for one in self.folders:
            one.mkdir(exist_ok=True)
        self.node = FileRequestRecorder(*self.folders)
        self._recorder = self._library.nereid_recorder_new(
            *(Text.of(str(one)) for one in self.folders)
        )

    def close(self) -> None:
        if self._recorder:
            self._library.nereid_recorder_delete(self._recorder)
            self._recorder = None

    def look(self, after_ms: int = 0) -> None:
        self._library.nereid_recorder_look(self._recorder, NOW + after_ms)

    def request(self, content: bytes = ONE, endpoint: str = "digits") -> bool:
        done = self._library.nereid_recorder_request(
            self._recorder, Text.of(endpoint), Text.of(content)
        )
        return bool(done)

    def slow_request(self, after_ms: int) -> bool:
        done = self._library.nereid_recorder_slow_request(
            self._recorder, Text.of("digits"), Text.of(ONE), NOW + after_ms
        )
        return bool(done)

    def lost_request(self) -> bool:
        done = self._library.nereid_recorder_lost_request(
            self._recorder, Text.of("digits"), Text.of(ONE)
        )
        return bool(done)

    def ask(self, key: str = KEY, **more: int | str) -> None:
        said = {"endpoint": "digits", "requests": 3, "bytes": 10_000, "parts": 10_000}
        self.node.ask(key, RecordingAsk(**{**said, "until_ms": NOW + 1000, **more}))  # type: ignore[arg-type]
        self.look()


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    made = Router(tmp_path)
    yield made
    made.close()


def test_it_ends_with_its_last_request_and_is_read_back(router: Router) -> None:
    assert not router.request(), "nobody asked"
    router.ask()
    assert router.node.look(KEY) == Recorded(begun=True, bytes=len(MAGIC))
    two = record(("x", FP32, (2, 2), numbers(3, 4, 5, 6)), at_ms=NOW + 500)
    assert router.request()
    assert not router.request(endpoint="faces")
    router.look()
    assert router.node.look(KEY).requests == 1
    assert [router.request(two), router.request(), router.request()] == [True, True, False]
    router.look()
    found = router.node.look(KEY)
    assert (found.done, found.requests) == (True, 3)
    requests = read_records(router.node.content(KEY))
    assert [one.inputs[0].shape for one in requests] == [(1, 2), (2, 2), (1, 2)]
    assert requests[1].at_ms == NOW + 500
    sent = json.loads(recorded_input(requests, batched=True))["data"]
    assert len(sent) == 4, "a request of two rows is two entries"
    assert sent[0] == {"x": {"content": {"b64": "AACAPwAAAEA="}, "shape": [2]}}
    whole = json.loads(recorded_input(requests, batched=False))["data"]
    assert [one["x"]["shape"] for one in whole] == [[1, 2], [2, 2], [1, 2]]


def test_it_ends_with_its_bytes_or_its_time_or_when_it_is_stopped(router: Router) -> None:
    router.ask(requests=100, bytes=2 * len(ONE) + 1)
    assert [router.request() for _ in range(3)] == [True, True, False]
    router.look()
    assert router.node.look(KEY).done
    router.node.forget(KEY)
    router.ask(OTHER)
    router.request()
    router.look(after_ms=999)
    assert not router.node.look(OTHER).done
    router.look(after_ms=1000)
    assert (router.node.look(OTHER).done, router.node.look(OTHER).requests) == (True, 1)
    router.node.forget(OTHER)
    router.ask(KEY[::-1])
    router.request()
    router.ask(KEY[::-1], until_ms=0)
    assert router.node.look(KEY[::-1]).done


def test_what_is_copied_while_it_ends_is_in_it(router: Router) -> None:
    router.ask()
    assert router.slow_request(after_ms=1000)
    assert not router.node.look(KEY).done
    assert not router.request(), "its time is up"
    router.look(after_ms=1000)
    assert (router.node.look(KEY).done, router.node.look(KEY).requests) == (True, 1)


def test_what_could_not_be_copied_uses_nothing_up(router: Router) -> None:
    router.ask(requests=2, bytes=2 * len(ONE))
    assert [router.lost_request() for _ in range(5)] == [True] * 5
    assert [router.request(), router.request(), router.request()] == [True, True, False]
    router.look()
    assert (router.node.look(KEY).done, router.node.look(KEY).requests) == (True, 2)


def test_two_threads_of_a_node_ask_at_once(tmp_path: Path) -> None:
    node = FileRequestRecorder(tmp_path / "asked", tmp_path)

    def ask(until_ms: int) -> None:
        for turn in range(200):
            node.ask(KEY, RecordingAsk("digits", 3, 10_000, 10_000, until_ms + turn))

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(ask, until) for until in (0, 1000)]:
            done.result()
    assert node.asked() == [KEY]
    [left] = (tmp_path / "asked").iterdir()
    assert left.read_text().startswith("nereid record 1\nendpoint digits\n")
    assert left.stat().st_mode & 0o444 == 0o444, "the router may be another user's"
    before = left.stat().st_ino
    node.ask(KEY, RecordingAsk("digits", 3, 10_000, 10_000, int(left.read_text().split()[-1])))
    assert left.stat().st_ino == before, "what is asked for already is not written again"


def test_one_of_so_many_is_recorded(router: Router) -> None:
    router.ask(requests=1000, parts=500)
    assert sum(router.request() for _ in range(1000)) == 50


def test_what_nobody_asks_for_any_more_is_deleted(router: Router) -> None:
    router.ask()
    router.request()
    router.look()
    router.node.forget(KEY)
    router.look()
    assert list(router.folders[1].iterdir()) == []
    assert not router.request()
    stranger = router.folders[1] / "notes.txt"
    stranger.write_text("not ours")
    router.look()
    assert stranger.exists()


def test_a_server_that_starts_again_begins_anew_what_was_not_done(tmp_path: Path) -> None:
    before = Router(tmp_path)
    before.ask()
    before.request()
    before.look()
    before.close()
    after = Router(tmp_path)
    after.look()
    assert after.node.look(KEY) == Recorded(begun=True, bytes=len(MAGIC))
    for _ in range(3):
        after.request()
    after.look()
    after.close()
    third = Router(tmp_path)
    third.look()
    assert (third.node.look(KEY).requests, third.request()) == (3, False), "it was done"
    third.close()


def test_a_server_that_starts_anew_after_the_end_says_what_is_lost(tmp_path: Path) -> None:
    before = Router(tmp_path)
    before.ask()
    before.request()
    before.look()
    before.close()
    after = Router(tmp_path)
    after.look(after_ms=1000)
    assert "started anew" in after.node.look(KEY).failed
    after.node.ask(OTHER, RecordingAsk("digits", 3, 10_000, 10_000, NOW))
    after.look(after_ms=1000)
    assert "before the server took it up" in after.node.look(OTHER).failed
    assert [path.suffix for path in after.folders[1].iterdir()] == [".failed", ".failed"]
    after.close()


def test_what_cannot_be_recorded_says_why(router: Router) -> None:
    router.ask()
    router.ask(OTHER)
    assert "another recording" in router.node.look(OTHER).failed
    (router.folders[0] / f"{'ef' * 16}.ask").write_text("nereid record 1\nendpoint digits\n")
    router.look()
    assert "cannot be read" in router.node.look("ef" * 16).failed
    (router.folders[0] / "../asked/evil.ask").write_text("nereid record 1\n")
    router.look()
    assert sorted(path.suffix for path in router.folders[1].iterdir()) == [
        ".failed",
        ".failed",
        ".part",
    ]
    with pytest.raises(ValueError, match="no key"):
        router.node.forget("../asked/evil")


def test_texts_are_cut_into_rows(router: Router) -> None:
    def text(*words: bytes) -> bytes:
        return b"".join(len(word).to_bytes(4, "little") + word for word in words)

    given = text(b"a", b"bcd", b"", b"ef")
    [one] = read_records(MAGIC + record(("t", BYTES, (2, 2), given)))
    sent = json.loads(recorded_input([one], batched=True))["data"]
    assert [entry["t"]["shape"] for entry in sent] == [[2], [2]]
    assert sent[1]["t"]["content"]["b64"] == "AAAAAAIAAABlZg=="


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"something else",
        MAGIC + ONE[:-1],
        MAGIC + ONE[:20],
        MAGIC + record(("x", 99, (1,), b"")),
        MAGIC + struct.pack("=QqII", 16, NOW, 1, 0),
        MAGIC + struct.pack("=QqIIIIIIQq", 48, NOW, 1, 0, 1, FP32, 1, 0, 1 << 40, 1),
    ],
)
def test_what_is_no_recording_is_refused(content: bytes) -> None:
    with pytest.raises(UnreadableRecordingError):
        read_records(content)


def test_what_may_be_told_and_what_it_fits() -> None:
    content = MAGIC + ONE + record(("x", FP32, (3, 2), numbers(*range(6))), at_ms=NOW + 250)
    facts = facts_of(read_records(content), batched=True)
    assert (facts["requests"], facts["rows"], facts["seconds"]) == (2, {"mean": 2, "most": 3}, 0.25)
    x = Tensor("x", "FP32", (-1, 2))
    assert unfit(facts, [x], batched=True) == ""
    assert unfit(facts, [Tensor("x", "FP32", (-1, -1))], batched=True) == ""
    for inputs, batched, why in (
        ([x], False, "takes batches"),
        ([Tensor("x", "FP32", (-1, 3))], True, "where x FP32[-1,3] is taken"),
        ([Tensor("x", "INT8", (-1, 2))], True, "where x INT8"),
        ([x, Tensor("y", "FP32", (-1, 2))], True, "has y"),
        ([], True, "x is no input"),
    ):
        assert why in unfit(facts, inputs, batched=batched)


def test_rows_of_several_shapes_are_told_apart_from_several_rows() -> None:
    rows = MAGIC + ONE + record(("x", FP32, (3, 2), numbers(*range(6))), at_ms=NOW)
    assert varied(facts_of(read_records(rows), batched=True)) == ""
    shapes = MAGIC + ONE + record(("x", FP32, (1, 3), numbers(*range(3))), at_ms=NOW)
    assert varied(facts_of(read_records(shapes), batched=True)) == "x [1, 2] to [1, 3]"
    assert varied(facts_of(read_records(rows), batched=False)) == "x [1, 2] to [3, 2]"
