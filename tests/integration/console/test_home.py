"""The home page: what was asked for beside what was observed, and what it says without it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from control_plane import wiring
from control_plane.console.diff import diff_files
from control_plane.console.words import ago, number, size
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.services import create_endpoint
from control_plane.fleet.models import Server
from control_plane.ports.triton import Sample
from control_plane.registry.services import create_model
from control_plane.telemetry.samples import rows
from control_plane.telemetry.store import TelemetryStore
from control_plane.wiring import print_config
from tests.integration.console.conftest import apply, logged_in, physical, policy, ready_version
from tests.support.fakes import FakeQueue

HOME = "/console/"
LIVE = "/console/live/"
HOME_QUERIES = 15


def observe(store: TelemetryStore, counts: dict[tuple[str, str], int]) -> None:
    """Requests within the last minute: a scrape before them, and one after."""
    server, now = Server.objects.get(), wiring.clock().now()
    for seconds, factor in ((20, 0), (5, 1)):
        samples = [
            Sample(
                "nereid_requests_total",
                {"endpoint": "digits", "arm": arm, "outcome": outcome},
                count * factor,
            )
            for (arm, outcome), count in counts.items()
        ]
        store.write(rows(samples, server.id, now - timedelta(seconds=seconds)))


def test_shows_the_configured_split_beside_the_observed_one(
    digits: Endpoint, admin: Client, telemetry: TelemetryStore
) -> None:
    observe(
        telemetry,
        {
            (physical(1), "ok"): 850,
            (physical(1), "error"): 50,
            (physical(2), "ok"): 100,
            ("digits.v9.aaaaaa", "ok"): 200,
        },
    )
    [card] = admin.get(HOME).context["cards"]
    shares = [(arm.name, arm.configured, arm.observed, arm.failures) for arm in card.arms]
    assert shares == [
        ("digits-v1", 90.0, 75.0, 50),
        ("digits-v2", 10.0, pytest.approx(100 / 12), 0),
        ("earlier policy", 0.0, pytest.approx(200 / 12), 0),
    ]
    assert (card.requests, card.failures, card.rate) == (1200, 50, 20.0)
    assert (card.revision, card.status) == (2, "Healthy")
    assert [(part.name, part.status) for part in card.servers] == [("local", "Serving")]
    assert [(s.x, s.width) for s in card.observed_bar][1] == (75.0, pytest.approx(8.333))
    page = admin.get(LIVE).content.decode()
    assert 'aria-label="configured split: digits-v1: 90 % configured; digits-v2: 10' in page


def test_rescued_requests_are_counted_once_and_no_failure(
    digits: Endpoint, admin: Client, telemetry: TelemetryStore
) -> None:
    observe(
        telemetry,
        {
            (physical(1), "ok"): 918,  # of which 18 were the other arm's
            (physical(1), "error"): 2,
            (physical(2), "ok"): 80,
            (physical(2), "rescued"): 18,
            (physical(2), "both_failed"): 2,
        },
    )
    [card] = admin.get(HOME).context["cards"]
    assert [(arm.name, arm.requests, arm.observed, arm.failures) for arm in card.arms] == [
        ("digits-v1", 900, 90.0, 2),
        ("digits-v2", 100, 10.0, 20),
    ]
    assert (card.requests, card.failures, card.rescues) == (1000, 2, 20)
    home = admin.get(HOME).context["traffic"]
    assert (home.requests, home.failures) == (1000, 2)


def test_without_the_telemetry_the_page_goes_on(digits: Endpoint, admin: Client) -> None:
    home = admin.get(HOME)
    assert home.status_code == 200
    assert "telemetry store does not answer" in home.content.decode()
    assert home.context["cards"][0].endpoint == digits
    assert (
        admin.get(reverse("admin:endpoints_endpoint_change", args=[digits.pk])).status_code == 200
    )


def test_an_empty_server_says_the_next_command(admin: Client) -> None:
    page = admin.get(HOME).content.decode()
    assert "nereid push digits model.onnx --create" in page
    assert "make serve" in page
    ready_version(create_model(name="wines", actor="ada"), 1)
    assert "nereid deploy wines wines:1=100 --create" in admin.get(HOME).content.decode()


def test_people_see_what_they_may(digits: Endpoint, stranger: Client) -> None:
    page = stranger.get(HOME)
    assert page.status_code == 200
    assert b"may not look at anything" in page.content
    assert b"digits" not in page.content
    part = reverse("admin:live_endpoint", args=[digits.pk])
    assert stranger.get(part).status_code == 403
    reader = logged_in("rita", "endpoints.view_endpoint", is_staff=True)
    assert b"digits" in reader.get(HOME).content
    assert b"Edit policy" not in reader.get(HOME).content
    assert b"What was done" not in reader.get(HOME).content
    assert b"Last minute" in reader.get(part).content


def test_who_is_logged_out_meanwhile_is_sent_to_the_login(digits: Endpoint) -> None:
    for part in (LIVE, reverse("admin:live_endpoint", args=[digits.pk])):
        answer = Client().get(part)
        assert answer.status_code == 200, "htmx would follow a redirect into the part"
        assert answer["HX-Redirect"].startswith("/console/login/?next=")
        assert not answer.content


def test_needs_as_many_queries_for_many_endpoints_as_for_one(
    digits: Endpoint, admin: Client, queue: FakeQueue, telemetry: TelemetryStore
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin.get(HOME).status_code == 200
        return len(captured)

    queries()
    few = queries()
    for i in range(12):
        name = f"more-{i}"
        ready_version(create_model(name=name, actor="ada"), 1)
        create_endpoint(name=name, actor="ada", queue=queue, print_config=print_config)
        apply(name, policy(100, model=name), queue)
    assert queries() == few <= HOME_QUERIES


def test_what_needs_attention_comes_first(
    digits: Endpoint, admin: Client, queue: FakeQueue, telemetry: TelemetryStore
) -> None:
    create_endpoint(name="zebra", actor="ada", queue=queue, print_config=print_config)
    Endpoint.objects.filter(name="zebra").update(status="Degraded", reason="local: no memory")
    cards = admin.get(HOME).context["cards"]
    assert [card.endpoint.name for card in cards] == ["zebra", "digits"]


def test_times_and_sizes_read_well() -> None:
    now = wiring.clock().now()
    spans = {0: "now", 12: "12 s ago", 90: "1 min ago", 7300: "2 h ago", 200_000: "2 d ago"}
    assert {s: ago(now - timedelta(seconds=s), now) for s in spans} == spans
    assert ago(now - timedelta(days=400), now) == f"{now - timedelta(days=400):%Y-%m-%d}"
    assert [number(value) for value in (90.0, 10.5, 9.974, 100, 0)] == [
        "90",
        "10.5",
        "9.97",
        "100",
        "0",
    ]
    assert [size(count) for count in (0, 1023, 1536, 5 << 30)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5.0 GiB",
    ]


def test_a_diff_is_cut_into_files() -> None:
    text = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n--- /dev/null\n+++ b/y\n@@ -0,0 +1 @@\n+c\n"
    first, second = diff_files(text)
    assert (first.path, first.change, first.added, first.removed) == ("x", "changed", 1, 1)
    assert (second.path, second.change, second.added, second.removed) == ("y", "added", 1, 0)
    assert [line.kind for line in first.lines] == ["hunk", "remove", "add"]
    assert diff_files("") == []
