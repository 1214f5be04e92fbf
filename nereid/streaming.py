"""Answers as they come: one request over a gRPC stream of its own."""

from __future__ import annotations

import queue
import time
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from nereid.errors import InferenceError

_FINAL = "triton_final_response"


def streamed(
    client: Any,
    name: str,
    tensors: Sequence[Any],
    *,
    version: str,
    headers: Mapping[str, str],
    options: Mapping[str, Any],
    patience_s: float,
) -> Generator[tuple[Any, float], None, None]:
    """Each response with the seconds since the request, until the model says that it is done.

    A caller that stops listening cancels what is left. `client` is NVIDIA's gRPC client, which
    has one stream at a time.

    Raises:
        InferenceServerException: the server refuses the request, or the model fails in between.
        InferenceError: nothing came for so long.
    """
    came: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
    client.start_stream(lambda result, error: came.put((result, error)), headers=dict(headers))
    try:
        started = time.perf_counter()
        client.async_stream_infer(
            name, tensors, version, enable_empty_final_response=True, **options
        )
        while True:
            try:
                result, error = came.get(timeout=patience_s)
            except queue.Empty:
                raise InferenceError(f"{name} sent nothing for {patience_s:.0f} s") from None
            if error is not None:
                raise error
            response = result.get_response()
            if response.outputs:
                yield result, time.perf_counter() - started
            if response.parameters[_FINAL].bool_param:
                return
    finally:
        client.stop_stream(cancel_requests=True)
