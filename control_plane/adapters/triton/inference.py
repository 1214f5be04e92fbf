"""`ports.inference.TritonInference` over Triton's HTTP API, in its binary form."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from control_plane.ports.inference import (
    InferenceAnswer,
    InferenceRefusedError,
    NoAnswerError,
    Scalar,
    TensorData,
)

HEADER_LENGTH = "inference-header-content-length"


class HttpTritonInference:
    """One Triton at `address` (`host:port` of its HTTP service).

    It takes at most `timeout_s` and reads at most `max_bytes` of an answer. Redirects are not
    followed and no proxy is asked: the request goes to this address or nowhere.
    """

    def __init__(self, address: str, *, timeout_s: float = 10.0, max_bytes: int = 16 << 20) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes

    def infer(
        self,
        model: str,
        inputs: Sequence[TensorData],
        *,
        version: int | None = None,
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, Scalar] | None = None,
    ) -> InferenceAnswer:
        path = f"/v2/models/{model}" + (f"/versions/{version}" if version else "") + "/infer"
        body, length = _body(inputs, parameters or {})
        sent = {
            **(headers or {}),
            HEADER_LENGTH: str(length),
            "content-type": "application/octet-stream",
            "accept-encoding": "identity",  # so that the limit is on what is really read
        }
        began = time.monotonic()
        status, answer_headers, content = self._post(path, body, sent, began)
        elapsed = time.monotonic() - began
        if status >= 400:
            raise InferenceRefusedError(status, _reason(status, content))
        try:
            outputs, answered = _answer(content, answer_headers)
        except (ValueError, KeyError, TypeError) as error:
            raise NoAnswerError(f"the answer of {self._address} cannot be read: {error}") from error
        return InferenceAnswer(outputs, answered, elapsed)

    def _post(
        self, path: str, body: bytes, headers: Mapping[str, str], began: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        timeout = httpx.Timeout(self._timeout_s, connect=2.0)
        content = bytearray()
        try:
            with (
                httpx.Client(
                    base_url=f"http://{self._address}", timeout=timeout, trust_env=False
                ) as client,
                client.stream("POST", path, content=body, headers=dict(headers)) as response,
            ):
                for piece in response.iter_raw():
                    content += piece
                    if len(content) > self._max_bytes:
                        raise NoAnswerError(
                            f"the answer is larger than {self._max_bytes >> 20} MiB: ask Triton "
                            "itself for one of this size"
                        )
                    if time.monotonic() - began > self._timeout_s:
                        raise NoAnswerError(self._too_late())
        except httpx.TimeoutException as error:
            raise NoAnswerError(self._too_late()) from error
        except httpx.HTTPError as error:
            raise NoAnswerError(f"no answer from {self._address}: {error}") from error
        return response.status_code, response.headers, bytes(content)

    def _too_late(self) -> str:
        return f"{self._address} did not answer within {self._timeout_s:.0f} s"


def _body(inputs: Sequence[TensorData], parameters: Mapping[str, Scalar]) -> tuple[bytes, int]:
    """The v2 request with its tensors behind it, and how long the JSON in front is."""
    header = {
        "inputs": [
            {
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": list(tensor.shape),
                "parameters": {"binary_data_size": len(tensor.data)},
            }
            for tensor in inputs
        ],
        "parameters": {**parameters, "binary_data_output": True},
    }
    text = json.dumps(header).encode()
    return b"".join([text, *(tensor.data for tensor in inputs)]), len(text)


def _answer(
    content: bytes, headers: Mapping[str, str]
) -> tuple[list[TensorData], dict[str, Scalar]]:
    length = int(headers.get(HEADER_LENGTH, len(content)))
    document: Any = json.loads(content[:length])
    if not isinstance(document, dict):
        raise TypeError("it is no JSON object")
    outputs, at = [], length
    for output in document.get("outputs", []):
        size = int(output["parameters"]["binary_data_size"])
        shape = tuple(int(dim) for dim in output["shape"])
        data = content[at : at + size]
        if len(data) != size:
            raise ValueError(f"output {output['name']} is cut off")
        outputs.append(TensorData(output["name"], output["datatype"], shape, data))
        at += size
    return outputs, dict(document.get("parameters") or {})


def _reason(status: int, content: bytes) -> str:
    try:
        return str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        said = content[:200].decode(errors="replace").strip()
        return said or f"Triton answered {status} and no word"
