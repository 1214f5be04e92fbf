"""The router's file of which arm answered which request, as the node reads it."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from control_plane.adapters.request_log import RequestLog, RequestLogError
from tests.support.routing import Text
from tests.support.routing_parts import NativeLog, parts

ONE, TWO = "digits.v1.aaaaaa", "digits.v2.bbbbbb"


def test_what_the_router_noted_is_found_by_endpoint_and_id(tmp_path: Path) -> None:
    reader = RequestLog(tmp_path / "answered")
    assert reader.arms_of("digits", ["a"]) == {}  # there is no file yet
    with NativeLog(tmp_path / "answered") as log:
        one, two = log.arm(ONE), log.arm(TWO)
        assert (one, two, log.arm(ONE)) == (1, 2, 1)
        for request, arm in (("a", one), ("b", two), ("ä 7", two), ("a" * 256, one)):
            log.note("digits", request, arm)
        log.note("faces", "a", two)
        log.flush()
        asked = ["a", "b", "ä 7", "a" * 256, "c"]
        found = reader.arms_of("digits", asked)
        assert found == {"a": ONE, "b": TWO, "ä 7": TWO, "a" * 256: ONE}
        assert reader.arms_of("faces", ["a"]) == {"a": TWO}


def test_its_own_thread_writes_and_the_last_answer_stands(tmp_path: Path) -> None:
    reader = RequestLog(tmp_path / "answered")
    log = NativeLog(tmp_path / "answered")
    log.note("digits", "a", log.arm(ONE))
    log.note("digits", "a", log.arm(TWO))
    log.close()  # what was noted is written before it goes
    assert reader.arms_of("digits", ["a"]) == {"a": TWO}


def test_a_server_that_starts_again_goes_on_with_it(tmp_path: Path) -> None:
    for name in (ONE, TWO):
        with NativeLog(tmp_path / "answered") as log:
            log.note("digits", name, log.arm(name))
    reader = RequestLog(tmp_path / "answered")
    assert reader.arms_of("digits", [ONE, TWO]) == {ONE: ONE, TWO: TWO}


def test_another_size_begins_anew(tmp_path: Path) -> None:
    with NativeLog(tmp_path / "answered") as log:
        log.note("digits", "a", log.arm(ONE))
    with NativeLog(tmp_path / "answered", requests=100_000) as log:
        assert RequestLog(tmp_path / "answered").arms_of("digits", ["a"]) == {}
        log.note("digits", "a", log.arm(TWO))
        log.flush()
        assert RequestLog(tmp_path / "answered").arms_of("digits", ["a"]) == {"a": TWO}


def test_it_stays_as_large_as_it_was_and_forgets_the_oldest(tmp_path: Path) -> None:
    path = tmp_path / "answered"
    with NativeLog(path, requests=1_000) as log:
        size = path.stat().st_size
        arm = log.arm(ONE)
        for i in range(5_000):
            log.note("digits", f"old-{i}", arm)
        log.flush()
        for i in range(100):
            log.note("digits", f"new-{i}", arm)
        log.flush()
        found = RequestLog(path).arms_of("digits", [f"new-{i}" for i in range(100)])
        assert len(found) == 100
        old = RequestLog(path).arms_of("digits", [f"old-{i}" for i in range(5_000)])
        assert 0 < len(old) <= 1_024
        assert path.stat().st_size == size


def test_many_threads_lose_nothing_that_the_ring_holds(tmp_path: Path) -> None:
    threads, requests = 4, 5_000
    with NativeLog(tmp_path / "answered", requests=200_000) as log:
        for thread in range(threads):
            log.arm(f"arm-{thread}")
        lost = parts().nereid_stress_log(log.handle, Text.of("digits"), threads, requests)
        log.flush()
        log.flush()
        reader = RequestLog(tmp_path / "answered")
        ids = [f"{thread}-{i}" for thread in range(threads) for i in range(requests)]
        found = reader.arms_of("digits", ids)
        assert all(arm == f"arm-{request[0]}" for request, arm in found.items())
        assert (lost, len(found)) == (0, threads * requests)


def test_more_than_the_ring_holds_is_counted_and_never_wrong(tmp_path: Path) -> None:
    threads, requests = 8, 100_000
    with NativeLog(tmp_path / "answered", requests=2_000_000) as log:
        for thread in range(threads):
            log.arm(f"arm-{thread}")
        parts().nereid_stress_log(log.handle, Text.of("digits"), threads, requests)
        for _ in range(3):
            log.flush()
        ids = [
            f"{thread}-{i}" for thread in range(threads) for i in range(requests - 3_000, requests)
        ]
        found = RequestLog(tmp_path / "answered").arms_of("digits", ids)
        assert found
        assert all(arm == f"arm-{request[0]}" for request, arm in found.items())


def test_there_is_one_writer(tmp_path: Path) -> None:
    with NativeLog(tmp_path / "answered"):
        second = NativeLog(tmp_path / "answered")
        assert (second.handle, second.reason) == (None, "another server writes it")
    unfit = NativeLog(tmp_path / "no" / "such" / "folder")
    assert unfit.handle is None
    assert "cannot be opened" in unfit.reason


def test_names_that_have_no_place_are_not_noted(tmp_path: Path) -> None:
    with NativeLog(tmp_path / "answered") as log:
        assert log.arm("a" * 200) == 0
        places = [log.arm(f"arm-{i}") for i in range(4_096)]
        assert (places[0], places[4_094], places[4_095]) == (1, 4_095, 0)
        log.note("digits", "a", 0)
        log.flush()
        assert RequestLog(tmp_path / "answered").arms_of("digits", ["a"]) == {}
    with NativeLog(tmp_path / "answered") as log:  # room is made where there is hardly any left
        assert log.arm(TWO) == 1


@pytest.mark.parametrize("content", [b"x", b"nereid answered 9\n" + bytes(100)])
def test_another_file_is_not_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "answered").write_bytes(content)
    with pytest.raises(RequestLogError, match="answered: it does not begin"):
        RequestLog(tmp_path / "answered").arms_of("digits", ["a"])


@pytest.mark.parametrize(
    ("json", "text"),
    [
        ('{"cmdline":{"a":"1","request-log":"/x/y","b":"2"}}', "/x/y"),
        ('{"cmdline":{"request-log":"\\/x\\"y\\\\"}}', '/x"y\\'),
        ('{"cmdline":{"request-log":"/x\\u0041"}}', ""),
        ('{"cmdline":{"request-log":"/x', ""),
        ('{"cmdline":{"request-log":7}}', ""),
        ("{}", ""),
    ],
)
def test_the_servers_words(json: str, text: str) -> None:
    buffer = ctypes.create_string_buffer(100)
    parts().nereid_config_text(Text.of(json), Text.of("request-log"), buffer, 100)
    assert buffer.value.decode() == text
