"""One server's broken metrics are that server's alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from control_plane.fleet.scraping import scrape_servers
from control_plane.fleet.services import register_server
from control_plane.ports.triton import Sample, TritonUnreachableError
from tests.support.fakes import FakeClock

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
    answered = scrape_servers(
        store=store,  # type: ignore[arg-type]
        metrics_of=pages.__getitem__,
        clock=FakeClock(),
    )
    assert answered == 1
    assert [row["inferences"] for scrape in store.written for row in scrape.models] == [7]


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
    scrape_servers(
        store=store,  # type: ignore[arg-type]
        metrics_of=lambda _: Metrics([*PAGE, *broken]),
        clock=FakeClock(),
    )
    [row] = store.written[0].models
    assert (row["inferences"], row["executions"]) == (7, 0)
