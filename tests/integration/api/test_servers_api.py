"""Servers come and go; a dead one holds nothing up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from control_plane import wiring
from control_plane.audit.models import AuditEvent
from control_plane.domain.planning.backends import Backend, BackendKind
from control_plane.domain.serving.server_flags import ServerFlags
from control_plane.endpoints.models import Endpoint, Placement
from control_plane.endpoints.reconcile import reconcile
from control_plane.fleet.models import Server
from control_plane.fleet.services import heartbeat, register_server
from tests.integration.api.conftest import Api
from tests.integration.api.test_registry_api import problem


def lab(seconds_ago: float) -> Server:
    """A server whose node was heard of then."""
    addresses = {"http": "127.0.0.1:1", "grpc": "127.0.0.1:2", "metrics": "http://127.0.0.1:3/m"}
    register_server(name="lab-1", accelerator="cpu", actor="ada", **addresses)
    now = wiring.clock().now() - timedelta(seconds=seconds_ago)
    heartbeat(name="lab-1", now=now, ready=True, reason="", triton_version="", held=[])
    return Server.objects.get()


def test_a_server_that_lives_stays(digits: Api, reader: Api) -> None:
    lab(seconds_ago=1)
    response = digits.call("delete", "servers/lab-1/")
    problem(response, 409)
    assert "heard of" in response.json()["detail"]
    assert Server.objects.exists()
    problem(reader.call("delete", "servers/lab-1/"), 403)
    problem(digits.call("delete", "servers/lab-2/"), 404)


def test_a_plan_that_a_server_cannot_run_is_refused_early(
    digits: Api, weights: Callable[..., dict[str, Any]]
) -> None:
    lab(seconds_ago=1)
    backends = [Backend("python", BackendKind.NATIVE, ""), Backend("traffic", BackendKind.NATIVE)]
    now = wiring.clock().now()
    said: dict[str, Any] = {"name": "lab-1", "now": now, "ready": True, "reason": ""}
    heartbeat(**said, triton_version="", held=[], backends=backends)
    shown = digits.get("servers/lab-1/").json()["backends"]
    assert shown[0] == {"name": "python", "kind": "native", "version": ""}
    for answer in (
        digits.post("endpoints/digits/plan/", weights(100)),
        digits.put_policy("digits", weights(100)),
    ):
        problem(answer, 400)
        [error] = answer.json()["errors"]
        assert (error["pointer"], error["code"]) == ("/arms/0/version", "backend")
        assert "lab-1 has no backend onnxruntime" in error["detail"]
    # Of one that fell silent nothing is asked.
    Server.objects.update(lost_at=now)
    assert digits.put_policy("digits", weights(100)).status_code == 202


def test_what_a_server_was_started_with_and_its_hardware_are_known_to_plans(
    digits: Api, weights: Callable[..., dict[str, Any]]
) -> None:
    lab(seconds_ago=1)
    addresses = {"http": "127.0.0.1:1", "grpc": "127.0.0.1:2", "metrics": "http://127.0.0.1:3/m"}
    flags = ServerFlags(name="mine", response_cache_bytes=1)
    said = {"name": "lab-1", "accelerator": "cpu", "actor": "ada", **addresses}
    plain = digits.post("endpoints/digits/plan/", weights(100)).json()["loads"]
    register_server(hardware="cpu-large", flags=flags, **said)
    shown = digits.get("servers/lab-1/").json()
    assert (shown["hardware"], shown["response_cache"], shown["rate_limiter"]) == (
        *("cpu-large", True, False),
    )
    limited = {"instance_group": [{"rate_limiter": {"priority": 2}}]}
    policy = weights(100)
    policy["arms"][0]["overrides"] = {**limited, "response_cache": {"enable": True}}
    planned = digits.post("endpoints/digits/plan/", policy).json()
    codes = {finding["code"] for finding in planned["findings"]}
    assert "rate-limiter-off" in codes
    assert "cache-without-server" not in codes
    # Another variant belongs to the physical model from here on.
    assert digits.post("endpoints/digits/plan/", weights(100)).json()["loads"] != plain


def test_a_server_is_labelled_cordoned_and_drained(digits: Api, reader: Api) -> None:
    lab(seconds_ago=1)
    path = "servers/lab-1/"
    shown = digits.call("patch", path, {"labels": {"zone": "a", "old": "x"}}).json()
    assert shown["labels"] == {
        **{"server": "lab-1", "accelerator": "cpu", "hardware": "", "lab": "false"},
        **{"zone": "a", "old": "x"},
    }
    shown = digits.call("patch", path, {"labels": {"old": None}}).json()
    assert shown["set_labels"] == {"zone": "a"}
    for wrong in ({"lab": "x"}, {"Zone": "a"}, {"zone": "a b"}, {"zone": 1}):
        problem(digits.call("patch", path, {"labels": wrong}), 400)
    assert digits.get(path).json()["scheduling"]["state"] == "Open"
    assert digits.post(f"{path}cordon/").json()["scheduling"]["state"] == "Cordoned"
    drained = digits.post(f"{path}drain/", {"reason": "new disk"}).json()["scheduling"]
    assert (drained["state"], drained["reason"], drained["by"]) == ("Drained", "new disk", "ada")
    problem(reader.post(f"{path}uncordon/"), 403)
    problem(digits.post("servers/lab-2/drain/"), 404)
    problem(digits.post(f"{path}drain/", {"reasons": "x"}), 400)
    problem(digits.call("delete", f"{path}?force=1"), 400)
    problem(digits.call("delete", f"{path}?force=true"), 400)
    assert digits.post(f"{path}uncordon/").json()["scheduling"]["since"] is None
    problem(digits.call("delete", path), 409)
    assert digits.call("delete", f"{path}?force=true&reason=gone").status_code == 204


def test_an_endpoint_is_placed(
    digits: Api, reader: Api, weights: Callable[..., dict[str, Any]]
) -> None:
    lab(seconds_ago=1)
    digits.put_policy("digits", weights(100))
    path = "endpoints/digits/placement/"
    shown = digits.get(path).json()
    assert (shown["placement"], shown["words"], shown["servers"]) == (
        None,
        "all servers",
        ["lab-1"],
    )
    wanted = {"servers": {"zone": "a"}, "replicas": 2}
    planned = digits.post(f"{path}plan/", wanted).json()
    assert planned["servers"] == []
    assert planned["problem"].startswith("0 of 2 replicas can be placed: lab-1: has no label zone")
    assert digits.get(path).json()["placement"] is None
    shown = digits.call("put", path, wanted).json()
    assert shown["placement"] == wanted
    [said] = shown["explanation"]
    assert (said["server"], said["standing"]) == ("lab-1", "refused")
    assert digits.get("endpoints/digits/").json()["placement"] == wanted
    # And a plan of a policy says it, too.
    plan = digits.post("endpoints/digits/plan/", weights(100)).json()
    assert plan["placing"]["explanation"] == [said]
    problem(reader.call("put", path, {}), 403)
    for wrong in ([], {"replicas": 0}, {"zones": 1}, {"servers": {"zone": {"like": "a"}}}):
        problem(digits.call("put", path, wrong), 400)
    problem(digits.get("endpoints/none/placement/"), 404)
    assert digits.call("delete", path).json()["servers"] == ["lab-1"]


def test_an_endpoint_of_a_dead_server_can_be_removed(
    digits: Api, weights: Callable[..., dict[str, Any]]
) -> None:
    server = lab(seconds_ago=60)
    digits.put_policy("digits", weights(100))
    endpoint = Endpoint.objects.get()
    Placement.objects.create(server=server, endpoint=endpoint, prepared=1, switched=1)
    digits.call("delete", "endpoints/digits/")

    def look() -> bool:
        """One look of the worker; whether the endpoint is still there after it."""
        reconcile(
            endpoint_id=endpoint.id,
            clock=wiring.clock(),
            queue=wiring.queue(),
            print_config=wiring.print_config,
        )
        return Endpoint.objects.exists()

    assert look()
    assert digits.call("delete", "servers/lab-1/").status_code == 204
    assert not Server.objects.exists()
    assert not Placement.objects.exists()
    event = AuditEvent.objects.get(action="server.delete")
    assert (event.actor, event.object_name) == ("ada", "lab-1")
    assert not look()


def test_the_last_server_that_holds_what_serves_stays(
    digits: Api, weights: Callable[..., dict[str, Any]]
) -> None:
    server = lab(seconds_ago=60)
    digits.put_policy("digits", weights(100))
    endpoint = Endpoint.objects.get()
    Placement.objects.create(server=server, endpoint=endpoint, prepared=1, switched=1)
    response = digits.call("delete", "servers/lab-1/")
    problem(response, 409)
    assert "only server that holds digits" in response.json()["detail"]
    other = Server.objects.create(name="lab-2", http="h:1", grpc="h:2", metrics="http://h:3/m")
    placement = Placement.objects.create(server=other, endpoint=endpoint, prepared=1)
    problem(digits.call("delete", "servers/lab-1/"), 409)  # it was prepared there, and serves not
    placement.switched = 1
    placement.save()
    assert digits.call("delete", "servers/lab-1/").status_code == 204
    problem(digits.call("delete", "servers/lab-2/"), 409)
