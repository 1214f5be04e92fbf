"""Nothing that opens a door is in what a stack prints and logs, wherever somebody put it.

The secrets are the stack's own, and ones that this test makes and uses; before it come most tests
that use the stack, so that its logs hold what they did as well.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException

from stack.triton import control_headers, shm_headers
from tests.support.processes import eventually
from tests.support.serving import ServingStack
from tests.support.triton import tensor

WRONG = "not-the-password-of-anybody-7f3a"
STRAY = "nrd_" + "c3RyYXktdG9rZW4-b2Ytbm9ib2R5" * 2
"""What looks like a token of ours and is none."""


@pytest.fixture(scope="module")
def own(serving_stack: ServingStack) -> dict[str, str]:
    """What the stack itself keeps."""
    home = serving_stack.home
    kept: dict[str, str] = json.loads((home / "secrets.json").read_text())
    variables = json.loads((home / "run" / "environment.json").read_text())
    broker = urlsplit(variables["CELERY_BROKER_URL"]).password
    credentials = json.loads((home / "credentials.json").read_text())
    found = {**kept, "broker": broker, "password": credentials["password"]}
    return {**found, "token": serving_stack.token}


def test_no_secret_is_logged(serving_stack: ServingStack, own: dict[str, str]) -> None:
    secrets = {**own, "wrong password": WRONG, "stray token": STRAY}
    with serving_stack.client() as client:
        secrets |= made_over_the_api(client)
    for secret in (STRAY, secrets["token made"]):
        in_wrong_places(serving_stack, secret)
    in_headers_that_are_none(serving_stack, secrets["token made"])
    secrets |= in_the_console(serving_stack, own["password"])
    at_triton(serving_stack, secrets["token made"], own)
    marked(serving_stack)
    for name, secret in secrets.items():
        assert len(secret) > 15, name
        for place, text in said(serving_stack):
            assert secret not in text, (name, place, _around(text, secret))


def test_its_secrets_are_their_owners_alone(serving_stack: ServingStack) -> None:
    home = serving_stack.home
    for name in ("stack.json", "credentials.json", "secrets.json", "run/environment.json"):
        assert (home / name).stat().st_mode & 0o077 == 0, name


def said(stack: ServingStack) -> Iterator[tuple[Path, str]]:
    """All that it and its processes have printed, the run before's as well."""
    for place in [stack.log, *(stack.home / "logs").iterdir()]:
        yield place, place.read_text(errors="replace")


def _around(text: str, secret: str) -> str:
    at = text.index(secret)
    return text[max(0, at - 200) : at]


def marked(stack: ServingStack) -> None:
    """Waits until a line that was caused last is in the log of the API: those before are, too."""
    with stack.client() as client:
        assert client.get("/models/the-last-of-this-test/").status_code == 404
    log = stack.home / "logs" / "api.log"
    assert eventually(lambda: "the-last-of-this-test" in log.read_text(errors="replace"), 20)


def made_over_the_api(client: httpx.Client) -> dict[str, str]:
    """A token, and a webhook whose receiver is away; both are gone again when this returns."""
    token = client.post("/tokens/", json={"name": "stray", "role": "viewer"}).json()
    assert client.delete(f"/tokens/{token['id']}/").status_code == 204
    hook = {"name": "stray", "url": "http://127.0.0.1:9/hidden", "events": ["version.ready"]}
    made = client.post("/webhooks/", json=hook).json()
    client.post("/webhooks/stray/test/")
    rotated = client.post("/webhooks/stray/rotate/", json={}).json()
    assert client.delete("/webhooks/stray/").status_code == 204
    source = {"framework": "onnx", "source": f"https://ada:{WRONG}@127.0.0.1/model.onnx"}
    assert client.post("/models/digits/versions/", json=source).status_code >= 400
    return {
        "token made": token["token"],
        "webhook": made["secret"],
        "webhook, rotated": rotated["secret"],
    }


def in_wrong_places(stack: ServingStack, secret: str) -> None:
    """A token wherever a person may have pasted it."""
    with httpx.Client(base_url=stack.api, timeout=30, trust_env=False) as client:
        for headers in (
            {"Authorization": f"Bearer {secret}x"},
            {"Authorization": f"Token {secret}"},
            {"Authorization": f"Basic {secret}"},
            {"Authorization": secret},
            {"Cookie": f"sessionid={secret}; csrftoken={secret}"},
            {"X-Api-Key": secret, "X-Request-Id": secret, "Referer": f"{stack.api}/?{secret}"},
            {"Host": secret},
            {"Origin": f"https://{secret}", "User-Agent": secret},
        ):
            client.get("/api/v1/models/", headers=headers)
            client.post("/console/login/", headers=headers, data={"username": secret})
        for path in (
            f"/api/v1/models/?token={secret}",
            *(
                f"/api/v1/models/{secret}/",
                f"/api/v1/{secret}",
                f"/console/{secret}/",
                f"/{secret}",
            ),
        ):
            for method in ("GET", "POST", "DELETE"):
                client.request(method, path)
                client.request(method, path, headers={"Authorization": f"Bearer {stack.token}"})
        client.post(
            "/api/v1/models/",
            json={"name": secret, secret: secret},
            headers={"Authorization": f"Bearer {stack.token}"},
        )


def in_headers_that_are_none(stack: ServingStack, secret: str) -> None:
    """Requests that no client sends and many a person types."""
    at = urlsplit(stack.api)
    for text in (
        f"GET /api/v1/models/ HTTP/1.1\r\nHost: a\r\nAuthorization : Bearer {secret}\r\n\r\n",
        f"GET /api/v1/models/ HTTP/1.1\r\nHost: a\r\nBearer {secret}\r\n\r\n",
        f"GET /api/v1/models/?token={secret}\r\n\r\n",
        f"Authorization: Bearer {secret}\r\n\r\n",
        f"GET /{secret} HTTP/9.9\r\nHost: a\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: {secret}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {secret}\r\n\r\n",
    ):
        with socket.create_connection((at.hostname, at.port), 20) as link:
            link.sendall(text.encode())
            with suppress(OSError):
                link.recv(65536)


def in_the_console(stack: ServingStack, password: str) -> dict[str, str]:
    """Signs in: with a wrong password, with the password as a name, and right."""
    with httpx.Client(base_url=stack.api, timeout=30, trust_env=False) as client:
        page = client.get("/console/login/").text
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert token
        form = {"csrfmiddlewaretoken": token[1], "next": "/console/"}
        for name, word in (("admin", WRONG), (password, WRONG), (WRONG, password)):
            sent = {**form, "username": name, "password": word}
            assert client.post("/console/login/", data=sent).status_code == 200
        sent = {**form, "username": "admin", "password": password}
        assert client.post("/console/login/", data=sent).status_code == 302
        # Over a session a wrong CSRF token is refused, and Django says so in its log.
        client.post("/console/logout/", data={"csrfmiddlewaretoken": WRONG})
        return {"session": client.cookies["sessionid"], "CSRF token": client.cookies["csrftoken"]}


def at_triton(stack: ServingStack, secret: str, own: dict[str, str]) -> None:
    """Tokens and keys where Triton reads names, headers, ids and parameters."""
    keys = (control_headers(own["control_key"]), shm_headers(own["shm_key"]))
    named: list[dict[str, str]] = [key["http"] for key in keys]
    given = [{"Authorization": f"Bearer {secret}"}, {"x-nereid-token": secret}, *named]
    body: dict[str, Any] = {"id": secret, "inputs": [], "parameters": {"token": secret}}
    with httpx.Client(
        base_url=f"http://{stack.stack['triton']['http']}", timeout=30, trust_env=False
    ) as client:
        for headers in given:
            client.post("/v2/models/digits/infer", json=body, headers=headers)
            client.post(f"/v2/models/{secret}/infer?token={secret}", json=body, headers=headers)
            client.get(f"/v2/models/digits/versions/{secret}", headers=headers)
            client.post("/v2/repository/models/digits/load", headers={"nereid-control": secret})
    grpc = grpcclient.InferenceServerClient(stack.stack["triton"]["grpc"])
    wrong = [tensor("none", np.ones((1, 4), np.float32))]
    for headers in (*given, *(key["grpc"] for key in keys)):
        lowered = {name.lower(): value for name, value in headers.items()}
        with pytest.raises(InferenceServerException):
            grpc.infer("digits", wrong, request_id=secret, headers=lowered)
    grpc.close()
