"""One server's broken metrics are that server's alone, and so is one that hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from control_plane.fleet.models import Server
from control_plane.fleet.scraping import ask_for_scrapes, begin_scrape
from control_plane.fleet.services import register_server
from control_plane.ports.triton import Sample, TritonUnreachableError
from tests.support.fakes import FakeClock, FakeQueue

pytestmark = pytest.mark.django_db

PAGE = [Sample("nv_inference_count_total", {"model": "digits.v1.abcdef", "version": "1"}, 7.0)]


class Metrics:
    def __init__(self, outcome: Sequence[Sample] | Exception) -> None:
        self._outcome = outcome

    def scrape(self) -> Sequence[Sample]:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


class Store:
    def __init__(self) -> None:
        self.written: list[Any] = []

    def write(self, scrape: Any) -> None:
        self.written.append(scrape)


def scraped(store: Store, metrics_of: Callable[[str], Metrics]) -> dict[str, bool]:
    """What the messages of one round came to, by server."""
    queue = FakeQueue()
    ask_for_scrapes(queue)
    found = {}
    for name in queue.scrapes:
        begun = begin_scrape(
            name,
            store=store,  # type: ignore[arg-type]
            metrics_of=metrics_of,
            clock=FakeClock(),
        )
        assert begun is not None
        found[name] = begun.result(10)
    return found


@pytest.mark.parametrize(
    "first",
    [
        ValueError("could not parse line 3"),
        IndexError("string index out of range"),
        TritonUnreachableError("no answer"),
        [Sample("nereid_requests_total", {"arm": "a"}, 1.0)],
    ],
)
def test_the_others_are_scraped_all_the_same(first: Any) -> None:
    pages = {"http://a/m": Metrics(first), "http://b/m": Metrics(PAGE)}
    for name in "ab":
        addresses = {"http": "h:1", "grpc": "h:2", "metrics": f"http://{name}/m"}
        register_server(name=name, accelerator="cpu", actor="ada", **addresses)
    store = Store()
    assert scraped(store, pages.__getitem__) == {"a": False, "b": True}
    assert [row["inferences"] for scrape in store.written for row in scrape.models] == [7]


def test_what_cannot_be_stored_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody waits for it: what it raises nobody would see."""

    class Full(Store):
        def write(self, scrape: Any) -> None:
            raise OSError("no partition of relation found for row")

    addresses = {"http": "h:1", "grpc": "h:2", "metrics": "http://a/m"}
    register_server(name="a", accelerator="cpu", actor="ada", **addresses)
    assert scraped(Full(), lambda _: Metrics(PAGE)) == {"a": False}
    assert "the metrics of a cannot be stored" in caplog.text
    assert "no partition" in caplog.text


def test_a_value_that_is_no_number_is_left_out() -> None:
    register_server(
        name="a", accelerator="cpu", actor="ada", http="h:1", grpc="h:2", metrics="http://a/m"
    )
    labels = {"model": "digits.v1.abcdef", "version": "1"}
    broken = [
        Sample("nv_inference_exec_count_total", labels, value)
        for value in (float("nan"), float("inf"))
    ]
    store = Store()
    scraped(store, lambda _: Metrics([*PAGE, *broken]))
    [row] = store.written[0].models
    assert (row["inferences"], row["executions"]) == (7, 0)


class Hanging:
    """A page that comes when it is let go."""

    def __init__(self) -> None:
        self.asked, self.let_go = 0, threading.Event()

    def scrape(self) -> Sequence[Sample]:
        self.asked += 1
        self.let_go.wait(10)
        return PAGE


def test_a_server_that_hangs_holds_nobody_up_and_is_asked_once_at_a_time() -> None:
    hanging = Hanging()
    pages = {"http://a/m": hanging, "http://b/m": Metrics(PAGE)}
    for name in "ab":
        addresses = {"http": "h:1", "grpc": "h:2", "metrics": f"http://{name}/m"}
        register_server(name=name, accelerator="cpu", actor="ada", **addresses)
    store = Store()
    means: dict[str, Any] = {
        "store": store,
        "metrics_of": pages.__getitem__,
        "clock": FakeClock(),
    }
    first, other, again = (begin_scrape(name, **means) for name in "aba")
    try:
        assert other is not None
        assert other.result(10), "the other is stored meanwhile"
        assert first is again
        assert first is not None
        assert not first.done()
    finally:
        hanging.let_go.set()
    assert first.result(10)
    assert hanging.asked == 1
    b = Server.objects.get(name="b").id
    assert store.written[0].server_id == b


def test_a_server_that_was_removed_is_scraped_no_more() -> None:
    means: dict[str, Any] = {"store": Store(), "metrics_of": lambda _: Metrics(PAGE)}
    assert begin_scrape("gone", clock=FakeClock(), **means) is None
