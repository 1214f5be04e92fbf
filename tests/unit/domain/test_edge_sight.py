"""What a proxy's own answers say of it."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.domain.edge.sight import EdgeSight, sends_to, sight

UP = {"eds_health_status": "HEALTHY"}


def seen(*, written: dict[str, str] | None = None, **marks: dict[str, Any]) -> EdgeSight:
    """`marks`: by server, over both protocols."""
    hosts = [{"hostname": name, "health_status": said} for name, said in marks.items()]
    return sight(
        ready=b"LIVE\n",
        listeners={},
        clusters={
            "cluster_statuses": [
                {"name": "http", "host_statuses": hosts},
                {"name": "grpc", "host_statuses": hosts},
            ]
        },
        stats={"stats": [{"name": "cluster.http.version_text", "value": "new"}]},
        written=written or {},
    )


@pytest.mark.parametrize(
    ("marks", "why"),
    [
        (UP, ""),
        ({**UP, "failed_active_health_check": True}, "its gate is closed, or nobody answers there"),
        (
            {**UP, "failed_active_health_check": True, "active_hc_timeout": True},
            "its gate does not answer",
        ),
        ({**UP, "failed_outlier_check": True}, "connections to it broke a moment ago"),
        ({**UP, "pending_dynamic_removal": True}, "it is being left"),
    ],
)
def test_why_nothing_is_sent_to_a_server(marks: dict[str, Any], why: str) -> None:
    found = seen(a=marks)
    assert found.servers == {"a": {"http": why, "grpc": why}}
    assert sends_to(found) == (set() if why else {"a"})


def test_one_protocol_alone_is_not_enough() -> None:
    half = EdgeSight(live=True, servers={"a": {"http": ""}, "b": {"http": "", "grpc": ""}})
    assert sends_to(half) == {"b"}


def test_a_file_that_is_not_in_use_as_it_was_written_is_behind() -> None:
    written = {"endpoints-http.json": "new", "endpoints-grpc.json": "new"}
    assert seen(written=written).behind == ("endpoints-grpc.json",)
    assert seen(written={"endpoints-http.json": "newer"}).behind == ("endpoints-http.json",)


def test_one_that_starts_is_not_live() -> None:
    starting = sight(ready=b"INITIALIZING\n", listeners={}, clusters={}, stats={}, written={})
    assert not starting.live
