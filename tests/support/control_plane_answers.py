"""A control plane's answers, given in its place: shapes as the real one gives them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from nereid.cli import Session

API = "http://127.0.0.1:8080"
ENV = {"NEREID_API": API, "NEREID_TOKEN": "nrd_test", "NEREID_HOME": "/nowhere"}
Answer = httpx.Response | Callable[[httpx.Request], httpx.Response]


def answer(document: Mapping[str, Any], status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=document, headers=headers)


def problem(
    status: int, title: str, detail: str = "", *errors: Mapping[str, str]
) -> httpx.Response:
    document = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "request_id": "r-1",
        "errors": list(errors),
    }
    return httpx.Response(
        status, text=json.dumps(document), headers={"content-type": "application/problem+json"}
    )


def model(name: str = "digits") -> dict[str, Any]:
    return {
        "name": name,
        "description": "Handwritten digits",
        "owner": "ada",
        "tags": {},
        "latest_version": 1,
        "created_at": "2026-01-02T03:04:05Z",
        "created_by": "ada",
    }


def version(number: int = 1, state: str = "ready", **changes: Any) -> dict[str, Any]:
    return {
        "model": "digits",
        "version": number,
        "state": state,
        "state_reason": "",
        "framework": "onnx",
        "artifact": {"sha256": "", "size": 3347, "filename": "model.onnx"},
        "signature": {
            "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 1, 8, 8]}],
            "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 10]}],
            "batched": True,
        },
        "metrics": {"accuracy": 0.89},
        "provenance": {},
        "created_at": "2026-01-02T03:04:05Z",
        "created_by": "ada",
        **changes,
    }


def endpoint(status: str = "Healthy", generation: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "name": "digits",
        "description": "",
        "status": status,
        "reason": "serving on local",
        "generation": generation,
        "observed_generation": generation,
        "policy": {"arms": []},
        "revision": generation,
        "arms": [
            {
                "name": "digits-v1",
                "model": "digits",
                "version": 1,
                "weight": 100,
                "primary": True,
                "physical": "digits.v1.9f2c1a",
            }
        ],
        "servers": [],
        **changes,
    }


def accepted(generation: int = 1) -> dict[str, Any]:
    return {
        "endpoint": "digits",
        "generation": generation,
        "status": "Progressing",
        "status_url": f"{API}/api/v1/endpoints/digits/",
        "policy": {},
    }


@dataclass
class FakeServer:
    """Answers by method and path; a list is answered in turn, its last entry for ever."""

    answers: dict[str, Answer | list[Answer]]
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        key = f"{request.method} {request.url.path.removeprefix('/api/v1')}"
        given = self.answers.get(key)
        if given is None:
            return problem(404, "Not Found", f"nothing at {key}")
        if isinstance(given, list):
            given = given.pop(0) if len(given) > 1 else given[0]
        if callable(given):
            return given(request)
        # A response is used up by one reader: each request gets its own.
        return httpx.Response(given.status_code, content=given.content, headers=given.headers)

    def sent(self, method: str, ending: str) -> httpx.Request:
        return next(
            request
            for request in self.requests
            if request.method == method and request.url.path.endswith(ending)
        )

    def body(self, method: str, ending: str) -> Any:
        return json.loads(self.sent(method, ending).content)

    @property
    def calls(self) -> list[str]:
        return [f"{r.method} {r.url.path.removeprefix('/api/v1')}" for r in self.requests]

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self)

    def session(self, folder: Path, **env: str) -> Session:
        return Session(
            env={**ENV, "XDG_CONFIG_HOME": str(folder), **env},
            cwd=folder,
            transport=self.transport(),
            out=recording(),
            err=recording(),
        )


def recording() -> Console:
    return Console(file=io.StringIO(), width=120, highlight=False, markup=False)


def printed(console: Console) -> str:
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]
