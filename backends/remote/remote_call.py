"""One request on its way to the process: sent, waited for, cancelled, answered."""

from __future__ import annotations

import json
from typing import Any

import grpc
import numpy as np
import triton_python_backend_utils as pb_utils
from remote_address import Address
from tritonclient.grpc import InferResult, service_pb2, service_pb2_grpc
from tritonclient.utils import np_to_triton_dtype, serialize_byte_tensor

LOOK_S = 0.02
"""How often it is looked whether the caller still waits; the answer itself wakes at once."""

_CHANNEL = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # One connection, kept and watched: a process that died is noticed between requests.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # One that comes back is found within a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # The process is named by an operator: no proxy of the environment comes in between.
    ("grpc.enable_http_proxy", 0),
]

_OWN_PARAMETERS = ("nereid_", "triton_", "sequence_", "priority", "timeout", "headers")
"""What the request's parameters hold that is Triton's or ours, and no word of the caller's."""

# By name: Triton's classes are put into the module once this one was imported.
_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT: "INVALID_ARG",
    grpc.StatusCode.NOT_FOUND: "NOT_FOUND",
    grpc.StatusCode.UNIMPLEMENTED: "UNSUPPORTED",
    grpc.StatusCode.UNAVAILABLE: "UNAVAILABLE",
    grpc.StatusCode.DEADLINE_EXCEEDED: "UNAVAILABLE",
    grpc.StatusCode.CANCELLED: "CANCELLED",
}


def _error(words: str, code: str) -> Any:
    return pb_utils.TritonError(words, getattr(pb_utils.TritonError, code))


class RemoteModel:
    """The process's model behind one connection, which is made when it is first needed."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._channel = grpc.insecure_channel(address.address, options=_CHANNEL)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def begin(self, request: Any) -> Call:
        """Sends a request; what cannot be sent is answered with its reason."""
        call = Call(self, request)
        try:
            message = message_of(request, self.address.model)
        except Exception as error:  # whatever a tensor raises belongs to this request
            call.failed = _error(str(error), "INVALID_ARG")
            return call
        call.future = self._stub.ModelInfer.future(
            message, timeout=self._patience(request), metadata=trace_of(request)
        )
        return call

    def close(self) -> None:
        self._channel.close()

    def _patience(self, request: Any) -> float:
        """Seconds: the caller's own timeout where it is the shorter one."""
        said = float(request.timeout()) / 1e6
        return min(said, self.address.timeout_s) if said > 0 else self.address.timeout_s


class Call:
    """One request on its way."""

    def __init__(self, remote: RemoteModel, request: Any) -> None:
        self._remote = remote
        self._request = request
        self.future: Any = None
        self.failed: Any = None

    def answer(self) -> Any:
        """The response, or the error with which the process, or its absence, answered."""
        if self.failed is not None:
            return pb_utils.InferenceResponse(error=self.failed)
        try:
            return pb_utils.InferenceResponse(_tensors(self._wait()))
        except grpc.RpcError as error:
            return pb_utils.InferenceResponse(error=self._reason(error))
        except grpc.FutureCancelledError:
            return pb_utils.InferenceResponse(
                error=_error("the caller waits no longer", "CANCELLED")
            )
        except Exception as error:  # an answer that is none fails its own request alone
            return pb_utils.InferenceResponse(error=self._nonsense(error))

    def _wait(self) -> Any:
        while True:
            try:
                return self.future.result(timeout=LOOK_S)
            except grpc.FutureTimeoutError:
                if self._request.is_cancelled():
                    self.future.cancel()

    def _nonsense(self, error: Exception) -> Any:
        where = f"the process at {self._remote.address.address}"
        words = f"{where} gave an answer for {self._remote.address.model!r} that is none: {error}"
        return _error(words, "INTERNAL")

    def _reason(self, error: Any) -> Any:
        where = f"the process at {self._remote.address.address}"
        model = self._remote.address.model
        code, details = error.code(), error.details()
        if code is grpc.StatusCode.UNAVAILABLE:
            words = f"{where} that serves {model!r} is away ({details}): start it again"
        elif code is grpc.StatusCode.DEADLINE_EXCEEDED:
            words = f"{where} did not answer for {model!r} in time"
        else:
            words = f"{where} refused a request for {model!r}: {details}"
        return _error(words, _CODES.get(code, "INTERNAL"))


def message_of(request: Any, model: str) -> Any:
    """The request as the v2 protocol has it: tensors, the caller's parameters, its id."""
    message = service_pb2.ModelInferRequest(model_name=model, id=request.request_id())
    for tensor in request.inputs():
        value = tensor.as_numpy()
        kind = np_to_triton_dtype(value.dtype)
        message.inputs.add(name=tensor.name(), datatype=kind, shape=value.shape)
        message.raw_input_contents.append(_raw(value))
    for name in request.requested_output_names():
        message.outputs.add(name=name)
    for name, value in json.loads(request.parameters() or "{}").items():
        if not name.startswith(_OWN_PARAMETERS):
            _set(message.parameters[name], value)
    return message


def trace_of(request: Any) -> list[tuple[str, str]]:
    """The W3C trace context, where this request has one: the process goes on with it."""
    said = json.loads(request.trace().get_context() or "{}")
    return [(name, said[name]) for name in ("traceparent", "tracestate") if name in said]


def _raw(value: np.ndarray) -> bytes:
    if value.dtype == np.object_:
        packed = serialize_byte_tensor(value)
        return packed.item() if packed.size else b""
    return np.ascontiguousarray(value).tobytes()


def _set(parameter: Any, value: object) -> None:
    if isinstance(value, bool):
        parameter.bool_param = value
    elif isinstance(value, int):
        parameter.int64_param = value
    else:
        parameter.string_param = str(value)


def _tensors(response: Any) -> list[Any]:
    result = InferResult(response)
    return [pb_utils.Tensor(one.name, result.as_numpy(one.name)) for one in response.outputs]
