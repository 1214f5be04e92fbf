"""Parameters, both ways: nothing that an arm or a caller sends speaks for the router."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from tests.integration.backends.arms import BOUNDLESS_RESCUE, Stage, arm_name, version_of
from tests.integration.backends.conftest import MIRROR, MIRROR_SIGNATURE
from tests.support import models
from tests.support.triton import tensor

PROTOCOLS = ("http", "grpc")

# What an arm would say that wants to pass for another, or for the router itself.
CLAIMS = {
    "nereid_arm": "digits.v9.ffffff",
    "nereid_generation": 7,
    "nereid_shadow": True,
    "nereid_confidence": 0.5,
    "nereid_": "nothing",
}
# What a caller would send who takes the router's words for orders: in every type there is.
WORDS = (
    *("arm", "endpoint", "version", "generation", "revision", "primary", "pinned", "probe"),
    *("shadow", "twin", "rollout", "recording", "recordings", "request_log", "allowance"),
    *("grant", "rescue", "control", "shm", "token", "key"),
)
ORDERS: dict[str, Any] = {
    f"nereid_{word}": (arm_name("orders", 2), 2, True, 0.5)[place % 4]
    for place, word in enumerate(WORDS)
}
HEADERS = {f"x-nereid-{word.replace('_', '-')}": arm_name("orders", 2) for word in WORDS}


def said(answer: Any) -> dict[str, Any]:
    """The parameters of an answer over either protocol."""
    response = answer.get_response()
    if isinstance(response, dict):
        return dict(response["parameters"])
    return {
        name: getattr(value, value.WhichOneof("parameter_choice"))
        for name, value in response.parameters.items()
        if name != "triton_final_response"
    }


def asking(stage: Stage, protocol: str) -> Callable[..., Any]:
    return stage.ask_http if protocol == "http" else stage.ask


def to_say(claims: dict[str, Any], arm: str = "") -> dict[str, Any]:
    """The order to an arm to answer with these parameters."""
    return {f"{arm}say.{name}": value for name, value in claims.items()}


# --- what arms say -------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_arm_passes_for_another(stage: Stage, protocol: str) -> None:
    endpoint = f"claims-{protocol}"
    stage.endpoint(endpoint, [0, 10_000])
    claims = {**CLAIMS, "spoken": "yes", "nereid": 1, "Nereid_arm": "no"}
    answer = asking(stage, protocol)(endpoint, to_say(claims))
    assert said(answer) == {
        **{"spoken": "yes", "nereid": 1, "Nereid_arm": "no"},
        "nereid_arm": arm_name(endpoint, 2),
    }
    pinned = asking(stage, protocol)(endpoint, to_say(CLAIMS), model_version="1")
    assert said(pinned) == {"nereid_arm": arm_name(endpoint, 1)}


def test_an_answer_in_json_has_the_name_once(stage: Stage) -> None:
    """Where it stood twice each reader would choose."""
    stage.endpoint("once", [10_000])
    body = {
        "inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 1, 1, 1]}],
        "parameters": to_say(CLAIMS),
    }
    _, answer = stage.server.call("/v2/models/once/infer", body)
    assert answer["parameters"] == {"nereid_arm": arm_name("once", 1)}
    with socket.create_connection(("127.0.0.1", stage.server.options.http_port), 30) as link:
        link.sendall(_request("once", json.dumps(body).encode()))
        assert _answer(link).count(b"nereid_") == 1


def test_no_answer_of_a_stream_passes_for_anothers(stage: Stage) -> None:
    stage.endpoint("stream-claims", [0, 10_000], decoupled=True)
    orders = {"responses": 3, **to_say({**CLAIMS, "spoken": "yes"})}
    answers = stage.stream("stream-claims", [orders])
    true = {"spoken": "yes", "nereid_arm": arm_name("stream-claims", 2)}
    assert [said(answer) for answer in answers] == [true] * 3


def test_who_answers_in_anothers_stead_is_named(stage: Stage) -> None:
    stage.endpoint("saved", [0, 10_000], BOUNDLESS_RESCUE)
    claims = {"nereid_arm": arm_name("saved", 2)}
    answer = stage.ask("saved", {"v2.fail": "INTERNAL", **to_say(claims, "v1.")})
    assert said(answer) == {"nereid_arm": arm_name("saved", 1)}


# --- what callers send ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def orders(stage: Stage) -> str:
    """Everything to the first arm; the others are there to be reached by whoever can."""
    stage.endpoint("orders", [10_000, 0, 0])
    return "orders"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_word_of_a_caller_is_an_order_to_the_router(
    stage: Stage, orders: str, protocol: str
) -> None:
    ask, before = asking(stage, protocol), stage.outcomes(orders).get("v1 ok", 0)
    alone = [{name: value} for name, value in ORDERS.items()]
    kinds = [{name: kind} for name in ORDERS for kind in (arm_name(orders, 2), 1, True)]
    every = [*alone, *kinds, ORDERS]
    for sent in every:
        assert said(ask(orders, sent)) == {"nereid_arm": arm_name(orders, 1)}, sent
    assert said(ask(orders, headers=dict(HEADERS))) == {"nereid_arm": arm_name(orders, 1)}
    stage.expect(orders, {"v1 ok": before + len(every) + 1})
    for name in ("shadow_requests_total", "diverted_total", "ejections_total"):
        assert stage.metric(name, orders) == 0, name
    assert list(stage.server.options.recordings.iterdir()) == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_a_caller_sends_is_no_key(stage: Stage, protocol: str) -> None:
    """The keys of the closed doors open them where they belong, and nowhere else."""
    server, client = (
        stage.server,
        stage.client if protocol == "grpc" else stage.server.http_client(),
    )
    keys = server.control[protocol] | server.shm[protocol]
    told = [
        *({name: value} for name, value in keys.items()),
        *({f"x-nereid-{name}": value} for name, value in keys.items()),
        *({f"x-request-{name}": value} for name, value in server.control["http"].items()),
    ]
    for headers in told[2:]:
        with pytest.raises(InferenceServerException, match="restricted"):
            client.get_log_settings(headers=headers)
    for headers in told:
        answer = asking(stage, protocol)("once", headers=headers)
        assert said(answer) == {"nereid_arm": arm_name("once", 1)}


# --- what is hostile -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mirror(stage: Stage) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    """Asks an endpoint over JSON for what its arm was told."""
    repository = stage.server.repository
    models.python_model(repository, "mirror.v1.cccccc", MIRROR_SIGNATURE, MIRROR)
    models.router(repository, "mirror", {"mirror.v1.cccccc": 10_000}, signature=MIRROR_SIGNATURE)
    for name in ("mirror.v1.cccccc", "mirror"):
        stage.server.load(name)

    def ask(parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
        status, answer = stage.server.call("/v2/models/mirror/infer", _body(parameters, **more))
        assert status == 200, str(answer)[:500]
        assert answer["parameters"] == {"nereid_arm": "mirror.v1.cccccc"}
        told: dict[str, Any] = json.loads(answer["outputs"][0]["data"][0])
        return told

    yield ask
    for name in ("mirror", "mirror.v1.cccccc"):
        stage.server.unload(name)


def _body(parameters: object, **more: Any) -> dict[str, Any]:
    one = {"name": "in_INT8", "shape": [1, 1], "datatype": "INT8", "data": [0]}
    return {"inputs": [one], "outputs": [{"name": "about"}], "parameters": parameters, **more}


def _request(model: str, body: bytes, *headers: bytes) -> bytes:
    """A request as it goes on the wire, with whatever stands in its headers."""
    lines = [
        f"POST /v2/models/{model}/infer HTTP/1.1".encode(),
        *(b"Host: nereid", b"Connection: close", *headers),
        f"Content-Length: {len(body)}".encode(),
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _answer(link: socket.socket) -> bytes:
    """All that comes; nothing where it was hung up."""
    read = b""
    try:
        while part := link.recv(65536):
            read += part
    except ConnectionResetError:
        pass
    return read


STRANGE = {
    "line\nbreak": "a\r\nX-Nereid-Arm: other",
    'quote"and\\': '"}, {"nereid_arm": "other',
    "größe": "\u202e\U0001f4a9 \u0000"[:-1],
    "": "empty",
    "x" * 10_000: "y" * 1_000_000,
    "-1": -(2**63),
    "most": 2**63 - 1,
    "sure": False,
    "tiny": 5e-324,
}


def test_strange_parameters_reach_the_arm_as_they_are(
    mirror: Callable[..., dict[str, Any]],
) -> None:
    assert mirror(STRANGE)["parameters"] == STRANGE
    many = {f"p{n}": n for n in range(5_000)}
    assert mirror(many)["parameters"] == many
    told = mirror({}, id="a\r\nb \u202e" + "x" * 100_000)
    assert told["id"] == "a\r\nb \u202e" + "x" * 100_000


def test_strange_parameters_over_grpc(stage: Stage, mirror: object) -> None:
    given = [tensor("in_INT8", np.zeros((1, 1), np.int8))]
    many = {f"p{n}": n for n in range(5_000)}
    for parameters in (STRANGE, many):
        answer = stage.client.infer("mirror", given, parameters=parameters)
        assert json.loads(answer.as_numpy("about")[0])["parameters"] == parameters


REFUSED: tuple[Any, ...] = (
    {"nereid_arm": {"a": 1}},
    {"nereid_arm": [1]},
    {"nereid_arm": None},
    {"x-user-id\0nereid_arm": "hidden behind a NUL"},
    [1],
    "text",
)


@pytest.mark.parametrize("parameters", REFUSED, ids=str)
def test_parameters_that_are_none_are_refused(stage: Stage, parameters: object) -> None:
    status, answer = stage.server.call("/v2/models/mirror/infer", _body(parameters))
    assert status in (400, 500), answer  # Triton's own words for it, before anything of ours
    assert list(answer) == ["error"]
    assert stage.server.process.poll() is None


def test_a_nul_ends_a_text_and_begins_no_other(mirror: Callable[..., dict[str, Any]]) -> None:
    """Triton's interface has texts that end there: what stands behind it is nobody's."""
    told = mirror({"x-user-id": "ada\0nereid_arm"})
    assert told["parameters"] == {"x-user-id": "ada"}


HOSTILE_HEADERS = {
    "bytes": [b"X-User-Id: \xff\xfe\x80"],
    "folded": [b"X-User-Id: a", b" X-Nereid-Arm: other"],
    "bare line feed": [b"X-User-Id: a\nX-Nereid-Arm: other"],
    "nul": [b"X-User-Id: a\0b"],
    "no name": [b": a"],
    "long": [b"X-User-Id: " + b"x" * 60_000],
    "many": [b"X-User-%d: a" % n for n in range(2_000)],
    "twice": [b"X-User-Id: a", b"X-User-Id: b"],
}


@pytest.mark.parametrize("kind", HOSTILE_HEADERS)
def test_no_header_harms_anybody_else(stage: Stage, orders: str, kind: str) -> None:
    one = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 1, 1, 1]}
    body = json.dumps({"inputs": [one]}).encode()
    with socket.create_connection(("127.0.0.1", stage.server.options.http_port), 30) as link:
        link.sendall(_request(orders, body, *HOSTILE_HEADERS[kind]))
        answer = _answer(link)
    assert not answer or answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 4")), answer[:200]
    if answer.startswith(b"HTTP/1.1 200"):
        assert answer.count(b"nereid_") == 1
        assert arm_name(orders, 1).encode() in answer
    assert version_of(stage.ask(orders)) == 1
    assert stage.server.process.poll() is None


def test_bytes_in_a_header_fail_their_own_request_alone(stage: Stage, mirror: object) -> None:
    """They are no text to a Python model that reads its parameters."""
    body = json.dumps(_body({})).encode()
    with socket.create_connection(("127.0.0.1", stage.server.options.http_port), 30) as link:
        link.sendall(_request("mirror", body, b"X-User-Id: \xff\xfe"))
        assert _answer(link).startswith(b"HTTP/1.1 ")
    given = [tensor("in_INT8", np.zeros((1, 1), np.int8))]
    told = json.loads(stage.client.infer("mirror", given).as_numpy("about")[0])
    assert told["parameters"] == {}


def test_metadata_of_bytes_and_a_parameter_without_a_value(stage: Stage, orders: str) -> None:
    request = service_pb2.ModelInferRequest(model_name=orders)
    request.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    request.raw_input_contents.append(np.ones(4, np.float32).tobytes())
    stub = stage.client._client_stub
    metadata = [("x-user-id-bin", b"\xff\0\n"), ("x-nereid-arm", "other")]
    answer = stub.ModelInfer(request, metadata=metadata, timeout=30)
    assert answer.parameters["nereid_arm"].string_param == arm_name(orders, 1)
    request.parameters["nereid_arm"].SetInParent()
    with pytest.raises(Exception, match=r"(?i)parameter"):
        stub.ModelInfer(request, timeout=30)
    assert version_of(stage.ask(orders)) == 1


def test_a_client_may_not_take_tritons_own_words(stage: Stage, orders: str) -> None:
    """What begins with `triton_` is the server's, and refused by it."""
    inputs = [grpcclient.InferInput("x", [1, 4], "FP32")]
    inputs[0].set_data_from_numpy(np.ones((1, 4), np.float32))
    request = service_pb2.ModelInferRequest(model_name=orders)
    request.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    request.raw_input_contents.append(np.ones(4, np.float32).tobytes())
    request.parameters["triton_final_response"].bool_param = True
    with pytest.raises(Exception, match="triton_"):
        stage.client._client_stub.ModelInfer(request, timeout=30)
