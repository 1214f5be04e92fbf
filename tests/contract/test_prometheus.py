"""Asking Prometheus: the fake and the real one answer alike, and what the adapter bounds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from control_plane.adapters.prometheus import HttpPrometheus
from control_plane.ports.prometheus import NotAnsweredError, Prometheus, Series
from tests.support.prometheus import INSTALLED, FakePrometheus, prometheus_running
from tests.support.receiver import Receiver, receiving, saying

UNION = (
    'label_replace((\norders_total{shop="a"} # its own\n), "nereid_part", "candidate of", "", "")'
    '\nor label_replace((\norders_total\n), "nereid_part", "baseline of", "", "")'
)
TAKEN = 'orders_total{shop="a"} # its own'


@pytest.fixture(scope="module", params=["fake", "real"])
def prometheus(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> object:
    if request.param == "fake":
        fake = FakePrometheus()
        for shop, value in (("a", 7), ("b", 40)):
            fake.says("orders_total", value, __name__="orders_total", shop=shop)
        fake.says(TAKEN, 7, __name__="orders_total", shop="a")
        fake.says("scalar(sum(orders_total))", 47)
        fake.says("sum(orders_total) / 0 - sum(orders_total) / 0", math.nan)
        yield fake
        return
    if not INSTALLED:
        pytest.skip("there is no prometheus: tests/support/install_prometheus.sh")
    with prometheus_running(tmp_path_factory.mktemp("prometheus")) as real:
        real.shows({'orders_total{shop="a"}': 7, 'orders_total{shop="b"}': 40})
        yield HttpPrometheus(real.url)


def ask(prometheus: Prometheus, query: str) -> list[Series]:
    found = prometheus.ask(query, datetime.now(UTC))
    return sorted(found, key=lambda one: (one.labels.get("nereid_part", ""), one.value))


def test_every_series_has_its_labels_and_its_value(prometheus: Prometheus) -> None:
    found = ask(prometheus, "orders_total")
    assert [(one.labels["shop"], one.value) for one in found] == [("a", 7), ("b", 40)]


def test_a_scalar_is_one_series_without_labels(prometheus: Prometheus) -> None:
    assert ask(prometheus, "scalar(sum(orders_total))") == [Series({}, 47)]


def test_what_is_not_there_is_found_nowhere(prometheus: Prometheus) -> None:
    assert ask(prometheus, "returns_total") == []


def test_nothing_of_nothing_is_no_number(prometheus: Prometheus) -> None:
    [found] = ask(prometheus, "sum(orders_total) / 0 - sum(orders_total) / 0")
    assert math.isnan(found.value)


def test_the_parts_of_a_question_are_told_apart_by_a_label(prometheus: Prometheus) -> None:
    found = ask(prometheus, UNION)
    assert [(one.labels["nereid_part"], one.labels["shop"], one.value) for one in found] == [
        ("baseline of", "a", 7),
        ("baseline of", "b", 40),
        ("candidate of", "a", 7),
    ]


@pytest.mark.parametrize(
    ("query", "says"), [("sum(", "parse error"), ("orders_total[1m]", "one value of a moment")]
)
def test_the_real_one_refuses_in_words(prometheus: Prometheus, query: str, says: str) -> None:
    if isinstance(prometheus, FakePrometheus):
        prometheus = FakePrometheus()
        prometheus.refuses(f"refused: {says}")
    with pytest.raises(NotAnsweredError, match=says):
        ask(prometheus, query)


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def at(server: Receiver, **options: float) -> HttpPrometheus:
    return HttpPrometheus(server.url.replace("/hook", "/under/here/"), token="secret", **options)


def test_the_question_goes_to_the_address_that_was_named(server: Receiver) -> None:
    answer = b'{"status":"success","data":{"resultType":"scalar","result":[1,"+Inf"]}}'
    server.answers = [saying(200, answer)]
    moment = datetime(2026, 11, 26, 10, tzinfo=UTC)
    assert at(server).ask('up{a="é&b"}', moment) == [Series({}, math.inf)]
    [got] = server.got
    assert got.path == "/under/here/api/v1/query"
    assert got.headers["authorization"] == "Bearer secret"
    assert got.body == b"query=up%7Ba%3D%22%C3%A9%26b%22%7D&time=1795687200.000"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (saying(302, Location="http://127.0.0.1:1/"), "answered 302 with what is no answer"),
        (saying(200, b"[" * 100_000), "no answer of Prometheus"),
        (saying(200, b'{"status":"success","data":{}}'), "no answer of Prometheus"),
        (saying(200, b"x" * (3 << 20)), "over 2 MiB"),
        (saying(422, b'{"status":"error","error":"too many samples"}'), "too many samples"),
    ],
)
def test_what_is_no_answer_is_told(server: Receiver, answer: object, says: str) -> None:
    server.answers = [answer]  # type: ignore[list-item]
    with pytest.raises(NotAnsweredError, match=says):
        at(server).ask("up", datetime.now(UTC))
    assert len(server.got) == 1, "a redirect is not followed, and nothing is asked twice"


def test_nobody_is_there() -> None:
    with pytest.raises(NotAnsweredError, match="refused"):
        HttpPrometheus("http://127.0.0.1:9").ask("up", datetime.now(UTC))
