"""What the edge's files say, from what the fleet is."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from control_plane.domain.edge import routes
from control_plane.domain.edge.files import edge_files
from control_plane.domain.edge.fleet import GRPC, HTTP, Address, EdgeFleet, EdgeServer
from control_plane.domain.edge.options import EdgeOptions, Jwt, Limits, Tls, Tokens


def options(**changes: Any) -> EdgeOptions:
    usual = {"host": "127.0.0.1", "http_port": 1, "grpc_port": 2, "folder": "/edge", "admin": "/a"}
    return EdgeOptions(**{**usual, **changes})


def server(name: str, *endpoints: str, gate_ip: str = "10.0.0.1") -> EdgeServer:
    number = ord(name)
    addresses = (Address("10.0.0.1", number), Address("10.0.0.1", number + 100))
    return EdgeServer(name, *addresses, Address(gate_ip, number + 200), frozenset(endpoints))


def fleet(*servers: EdgeServer) -> EdgeFleet:
    return EdgeFleet(servers)


def read(files: dict[str, str], name: str) -> Any:
    return json.loads(files[name])["resources"]


def sent_to(files: dict[str, str], protocol: str) -> list[dict[str, Any]]:
    (assignment,) = read(files, f"endpoints-{protocol}.json")
    found: list[dict[str, Any]] = assignment["endpoints"][0]["lb_endpoints"]
    return found


def routes_of(files: dict[str, str], protocol: str) -> list[dict[str, Any]]:
    (configuration,) = read(files, f"routes-{protocol}.json")
    found: list[dict[str, Any]] = configuration["virtual_hosts"][0]["routes"]
    return found


def filters_of(files: dict[str, str], protocol: str) -> dict[str, Any]:
    listener = next(one for one in read(files, "listeners.json") if one["name"] == protocol)
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return {one["name"]: one.get("typed_config") for one in manager["http_filters"]}


def access_of(files: dict[str, str]) -> Any:
    (listed,) = read(files, "access.json")
    assert listed["name"] == "access"
    return listed["typed_config"]


def test_each_server_is_looked_at_by_its_gate_and_called_at_its_own_ports() -> None:
    files = edge_files(options(), fleet(server("b"), server("a")))
    assert [one["endpoint"]["hostname"] for one in sent_to(files, HTTP)] == ["a", "b"]
    first = sent_to(files, GRPC)[0]["endpoint"]
    assert first["address"]["socket_address"] == {"address": "10.0.0.1", "port_value": 197}
    assert first["health_check_config"] == {"port_value": 297}


def test_a_gate_on_another_host_is_looked_at_there() -> None:
    files = edge_files(options(), fleet(server("a", gate_ip="10.0.0.9")))
    check = sent_to(files, HTTP)[0]["endpoint"]["health_check_config"]
    assert check["address"]["socket_address"]["address"] == "10.0.0.9"


def test_only_endpoints_that_some_servers_lack_are_matched() -> None:
    files = edge_files(options(), fleet(server("a", "all", "some"), server("b", "all")))
    first, second = sent_to(files, GRPC)
    assert first["metadata"]["filter_metadata"] == {"envoy.lb": {"model": ["some"]}}
    assert "metadata" not in second


@pytest.mark.parametrize(("others", "reads"), [(("all",), False), ((), True)])
def test_messages_are_looked_into_only_where_a_placement_makes_it_necessary(
    others: tuple[str, ...], reads: bool
) -> None:
    files = edge_files(options(), fleet(server("a", "all"), server("b", *others)))
    plain = next(
        one
        for one in routes_of(files, GRPC)
        if one["match"].get("safe_regex", {}).get("regex") == routes.GRPC_MODEL
        and "headers" not in one["match"]
    )
    assert (routes.EXTRACTION not in plain.get("typed_per_filter_config", {})) is reads


def test_a_change_of_the_fleet_leaves_listeners_and_clusters_as_they_are() -> None:
    before = edge_files(options(), fleet(server("a", "x")))
    after = edge_files(options(), fleet(server("a", "x"), server("b")))
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"endpoints-http.json", "endpoints-grpc.json", "routes-grpc.json"}


def test_no_server_at_all_is_a_fleet_as_well() -> None:
    assert sent_to(edge_files(options(), fleet()), HTTP) == []


@pytest.mark.parametrize(
    ("path", "is_open"),
    [
        ("/v2/models/digits/infer", True),
        ("/v2/models/digits/versions/3/infer", True),
        ("/v2/models/digits", True),
        ("/v2/models/digits/stats", True),
        ("/v2", True),
        ("/v2/models/digits/trace/setting", False),
        ("/v2/trace/setting", False),
        ("/v2/logging", False),
        ("/v2/repository/index", False),
        ("/v2/repository/models/digits/load", False),
        ("/v2/systemsharedmemory/region/a/register", False),
        ("/v2/cudasharedmemory/status", False),
        ("/metrics", False),
    ],
)
def test_http_is_open_for_callers_and_closed_for_control(path: str, is_open: bool) -> None:
    assert bool(re.fullmatch(routes.HTTP_OPEN, path)) is is_open


@pytest.mark.parametrize(
    ("call", "is_open"),
    [
        ("ModelInfer", True),
        ("ModelReady", True),
        ("RepositoryModelLoad", False),
        ("RepositoryModelUnload", False),
        ("RepositoryIndex", False),
        ("SystemSharedMemoryRegister", False),
        ("CudaSharedMemoryStatus", False),
        ("TraceSetting", False),
        ("LogSettings", False),
    ],
)
def test_grpc_is_open_for_callers_and_closed_for_control(call: str, is_open: bool) -> None:
    listed = "|".join(
        one["match"]["safe_regex"]["regex"]
        for one in routes_of(edge_files(options(), fleet()), GRPC)
        if "safe_regex" in one["match"]
    )
    assert bool(re.fullmatch(listed, f"/inference.GRPCInferenceService/{call}")) is is_open


@pytest.mark.parametrize("protocol", [HTTP, GRPC])
def test_what_is_not_let_through_is_refused_last_and_keys_first(protocol: str) -> None:
    found = routes_of(edge_files(options(), fleet()), protocol)
    refused = [one for one in found if "direct_response" in one]
    keys = {one["match"]["headers"][0]["name"] for one in refused[:-1]}
    assert found[: len(keys)] == refused[:-1]
    assert keys == {
        *("nereid-control", "nereid-shm"),
        *("triton-grpc-protocol-nereid-control", "triton-grpc-protocol-nereid-shm"),
    }
    assert found[-1] == refused[-1]
    assert all(one["direct_response"]["status"] == 403 for one in refused)


def test_what_a_server_may_have_begun_is_sent_again_unless_the_caller_says_never() -> None:
    found = [
        (one["match"].get("headers", []), one["route"]["retry_policy"])
        for one in routes_of(edge_files(options(), fleet()), HTTP)
        if one["match"].get("safe_regex", {}).get("regex") == routes.HTTP_OPEN
    ]
    (never, once), (anything, again) = found
    assert never[0]["name"] == "nereid-retry"
    assert "reset" not in once["retry_on"].split(",")
    assert once["retriable_status_codes"] == [404]
    assert anything == []
    assert {"reset", "connect-failure"} <= set(again["retry_on"].split(","))
    assert again["retriable_status_codes"] == [404, 503]


def test_a_stream_is_neither_held_until_it_ends_nor_sent_twice() -> None:
    streams = [
        one
        for one in routes_of(edge_files(options(), fleet()), GRPC)
        if one["match"].get("safe_regex", {}).get("regex") == routes.GRPC_STREAM
    ]
    assert len(streams) == 2
    for one in streams:
        assert one["typed_per_filter_config"][routes.BUFFER]["disabled"] is True
        assert one["route"]["retry_policy"]["retry_on"] == routes.UNSENT


def test_callers_are_asked_before_anything_is_read_of_them() -> None:
    access = Tokens({"a-token-of-sixteen": "app"})
    files = edge_files(options(access=access, limits=Limits(per_second=5)), fleet())
    assert list(filters_of(files, GRPC))[:3] == ["access", "rate", routes.BUFFER]
    assert access_of(files)["forwarding"] == {"hide_credentials": True}
    health = next(
        one
        for one in routes_of(files, HTTP)
        if one["match"].get("safe_regex", {}).get("regex") == routes.HTTP_HEALTH
    )
    assert health["typed_per_filter_config"]["access"]["disabled"] is True


def test_another_list_of_tokens_touches_no_listener() -> None:
    one, other = (
        edge_files(options(access=Tokens({key: "app"})), fleet())
        for key in ("a-token-of-sixteen", "another-of-sixteen")
    )
    assert {name for name in one if one[name] != other[name]} == {"access.json"}
    assert access_of(other)["credentials"] == [{"key": "another-of-sixteen", "client": "app"}]
    assert list(one).index("access.json") < list(one).index("listeners.json")
    assert "access.json" not in edge_files(options(), fleet())


def test_a_signed_token_has_to_be_of_the_issuer_and_for_the_audience() -> None:
    files = edge_files(options(access=Jwt("/keys/jwks.json", "https://id", ("models",))), fleet())
    access = filters_of(files, HTTP)["access"]
    provider = access["providers"]["callers"]
    assert provider["issuer"] == "https://id"
    assert provider["audiences"] == ["models"]
    assert access["rules"][0]["requires"] == {"provider_name": "callers"}


def test_with_a_certificate_both_protocols_are_encrypted() -> None:
    files = edge_files(options(tls=Tls("/tls/cert.pem", "/tls/key.pem")), fleet())
    for listener in read(files, "listeners.json"):
        assert "transport_socket" in listener["filter_chains"][0]
    assert "secrets.json" in files
    assert list(files).index("secrets.json") < list(files).index("listeners.json")
