"""The try-it panel: what is sent, to whom, by whom; and what is not sent."""

from __future__ import annotations

import json
import re
import struct
from io import BytesIO
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from control_plane import wiring
from control_plane.console import try_page
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.services import create_endpoint
from control_plane.fleet.models import Server
from control_plane.ports.inference import InferenceRefusedError, NoAnswerError, TensorData
from control_plane.registry.models import Artifact, ModelVersion
from control_plane.wiring import print_config
from tests.integration.console.conftest import logged_in, physical
from tests.support.fakes import FakeInference, FakeQueue

IMAGE = json.dumps([0.5] * 64)


@pytest.fixture
def triton(digits: Endpoint, monkeypatch: pytest.MonkeyPatch) -> FakeInference:
    """The endpoint's Triton; only at the address that its node registered."""
    fake = FakeInference(model="digits", arm=physical(1))
    addresses = {"127.0.0.1:1": fake}
    monkeypatch.setattr(wiring, "inference_of", addresses.__getitem__)
    return fake


def try_url(endpoint: Endpoint) -> str:
    return reverse("admin:endpoints_endpoint_try_it", args=[endpoint.pk])


def send(client: Client, endpoint: Endpoint, **fields: Any) -> str:
    whole = {"shape.0": "1, 1, 8, 8", "fill.0": "written", "data.0": IMAGE, **fields}
    answer = client.post(try_url(endpoint), whole, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", answer.content.decode())


def test_the_panel_offers_what_the_signature_takes(
    digits: Endpoint, admin: Client, triton: FakeInference
) -> None:
    page = admin.get(reverse("admin:endpoints_endpoint_change", args=[digits.pk]))
    draft = page.context["trial"]["draft"]
    [image] = draft.inputs
    assert (image.tensor.name, image.shape, image.fill) == ("image", "1, 1, 8, 8", "written")
    assert len(image.read().data) == 256, "what is offered can be sent as it is"
    assert "Send the request" in page.content.decode()
    assert admin.get(try_url(digits)).status_code == 200


def test_a_golden_example_is_offered_first(
    digits: Endpoint, admin: Client, triton: FakeInference
) -> None:
    image = [[[[float(i % 7)] * 8 for i in range(8)]], [[[1.0] * 8] * 8]]
    example = {"inputs": {"image": image}, "outputs": {"logits": [[0.0] * 10] * 2}}
    sha256, size = wiring.artifact_store().add(BytesIO(json.dumps([example]).encode()))
    stored = Artifact.objects.create(sha256=sha256, size=size)
    ModelVersion.objects.filter(number=2).update(golden=stored)
    [offered] = admin.get(try_url(digits)).context["draft"].inputs
    assert offered.shape == "2, 1, 8, 8"
    assert json.loads(offered.data) == image
    wiring.artifact_store().path(sha256).unlink()
    [offered] = admin.get(try_url(digits)).context["draft"].inputs
    assert offered.shape == "1, 1, 8, 8", "without the file there is another one"


def test_the_answer_says_who_gave_it(
    digits: Endpoint, admin: Client, triton: FakeInference
) -> None:
    fields = {"headers": "X-User-Id: ada\n", "parameters": "tries: 3\nflag: true\nwho: ada b"}
    answer = send(admin, digits, **fields)
    assert "<dd>digits-v1</dd>" in answer
    assert "<dd>2 ms</dd>" in answer
    assert physical(1) in answer
    assert "[[[[0.5, 0.5" in answer
    [asked] = triton.asked
    assert asked["headers"] == {"x-user-id": "ada"}
    assert asked["parameters"] == {"tries": 3, "flag": True, "who": "ada b"}
    [tensor] = asked["inputs"]
    assert (tensor.name, tensor.shape) == ("image", (1, 1, 8, 8))
    assert struct.unpack("<64f", tensor.data) == (0.5,) * 64


def test_a_version_can_be_asked_itself(
    digits: Endpoint, admin: Client, triton: FakeInference
) -> None:
    send(admin, digits, version="1")
    assert triton.asked[0]["version"] == 1
    assert "is none of this endpoint&#x27;s" in send(admin, digits, version="7")
    assert len(triton.asked) == 1


def test_an_error_is_shown_in_tritons_words(
    digits: Endpoint, admin: Client, triton: FakeInference
) -> None:
    triton.fail = InferenceRefusedError(400, "batch-size must be <= 64 for 'digits'")
    answer = send(admin, digits)
    assert "Triton answered 400" in answer
    assert "batch-size must be &lt;= 64 for &#x27;digits&#x27;" in answer
    triton.fail = NoAnswerError("127.0.0.1:1 did not answer within 10 s")
    assert "did not answer within 10 s" in send(admin, digits)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"shape.0": "1, 8"}, "the model takes [any, 1, 8, 8]"),
        ({"data.0": "[1, 2]"}, "2 values"),
        ({"data.0": "import os"}, "no JSON"),
        ({"headers": "authorization: Bearer x"}, "is never forwarded"),
        ({"headers": "nereid-control: x"}, "does not reach the router"),
        ({"headers": "triton-grpc-protocol-x: x"}, "does not reach the router"),
        ({"headers": "host: other"}, "does not reach the router"),
        ({"headers": "x-user-id: a\u00e9"}, "letters that no header may have"),
        ({"headers": "x-user-id"}, "write it as name: value"),
        ({"headers": "x-user-id: " + "a" * 3000}, "is longer than"),
        ({"headers": "x-user-id: a\n" * 40}, "at most 32 headers"),
        ({"parameters": "shared_memory_region: r"}, "own to set"),
        ({"parameters": "binary_data_output: false"}, "own to set"),
    ],
)
def test_what_cannot_be_sent_is_not_sent(
    digits: Endpoint, admin: Client, triton: FakeInference, fields: dict[str, str], words: str
) -> None:
    answer = send(admin, digits, **fields)
    assert "Not sent." in answer
    assert words in answer
    assert triton.asked == []


def test_the_address_is_the_fleets_never_the_forms(
    digits: Endpoint, admin: Client, triton: FakeInference
) -> None:
    for server in ("", "local", "127.0.0.1:9", "http://169.254.169.254/"):
        send(admin, digits, server=server, url="http://169.254.169.254/", address="127.0.0.1:9")
    assert len(triton.asked) == 4, "each went to the only server there is"


def test_with_no_server_nothing_is_sent(
    digits: Endpoint, admin: Client, triton: FakeInference
) -> None:
    Server.objects.update(last_seen_at=None)
    assert "no server that serves this endpoint answers" in send(admin, digits)
    page = admin.get(reverse("admin:endpoints_endpoint_change", args=[digits.pk]))
    assert "Send the request" not in page.content.decode()


def test_only_so_many_at_once(digits: Endpoint, admin: Client, triton: FakeInference) -> None:
    for _ in range(try_page.AT_ONCE):
        assert try_page._room.acquire(blocking=False)
    try:
        assert "wait a moment" in send(admin, digits)
    finally:
        try_page._room.release(try_page.AT_ONCE)
    triton.fail = NoAnswerError("gone")
    for _ in range(try_page.AT_ONCE + 1):
        assert "gone" in send(admin, digits), "a failure gives its place back"


def test_only_who_may_change_the_endpoint(digits: Endpoint, triton: FakeInference) -> None:
    reader = logged_in("rita", "endpoints.view_endpoint", is_staff=True)
    assert reader.get(try_url(digits)).status_code == 403
    assert reader.post(try_url(digits), {"data.0": IMAGE}).status_code == 403
    page = reader.get(reverse("admin:endpoints_endpoint_change", args=[digits.pk]))
    assert "Send the request" not in page.content.decode()
    assert Client().post(try_url(digits)).status_code == 302
    foreign = Client(enforce_csrf_checks=True)
    foreign.cookies = reader.cookies
    assert foreign.post(try_url(digits), {"data.0": IMAGE}).status_code == 403
    assert triton.asked == []


def test_an_endpoint_without_a_policy_says_what_is_missing(admin: Client, queue: FakeQueue) -> None:
    empty = create_endpoint(name="new", actor="ada", queue=queue, print_config=print_config)
    assert "first policy says which version answers" in admin.get(try_url(empty)).content.decode()
    answer = admin.post(try_url(empty), {}, headers={"HX-Request": "true"})
    assert answer.status_code == 200


def test_outputs_are_shown_as_they_can_be_read() -> None:
    def shown(datatype: str, shape: tuple[int, ...], data: bytes) -> try_page.ShownOutput:
        return try_page.shown(TensorData("y", datatype, shape, data))

    row = shown("FP32", (1, 4), struct.pack("<4f", -1, 0, 1, 3))
    assert row.bars == [(0, "-1", 0.0), (1, "0", 25.0), (2, "1", 50.0), (3, "3", 100.0)]
    assert shown("FP32", (2, 2), struct.pack("<4f", 1, 2, 3, 4)).bars == []
    assert shown("FP32", (1, 2), struct.pack("<2f", 1, float("nan"))).bars == []
    assert shown("BF16", (1, 2), b"1234").text.startswith("BF16 can be neither written nor shown")
    long = shown("INT8", (1000,), bytes(1000))
    assert long.cut
    assert long.text.count("0") == try_page.SHOWN_VALUES
    assert shown("INT64", (), struct.pack("<q", 7)).text == "7"
