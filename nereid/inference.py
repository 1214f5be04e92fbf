"""Real inference over the standard v2 protocol, with NVIDIA's own client.

Nereid adds nothing to the protocol: a routed endpoint is a model name like any other. What is
read here beyond the tensors is the response parameter ``nereid_arm``, which names the physical
model that answered.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Protocol, Self

import numpy.typing as npt

from nereid.client import Client
from nereid.config import Stack, origin
from nereid.errors import InferenceError, NereidError, UnreachableError
from nereid.resources import Tensor
from nereid.streaming import streamed

Wire = Literal["grpc", "http"]
Array = npt.NDArray[Any]
ARM_PARAMETER = "nereid_arm"
TIMEOUT_S = 30.0
_PHYSICAL = re.compile(
    r"(?P<model>.+)\.v(?P<version>[0-9]+)\.(?P<digest>[0-9a-f]+)(?P<twin>\.twin)?"
)


@dataclass(frozen=True)
class Answer:
    outputs: Mapping[str, Array]
    arm: str | None  # None: the name called is a plain model, not a routed endpoint
    latency_s: float

    @property
    def arm_title(self) -> str:
        return arm_title(self.arm) if self.arm else "the model itself"


@dataclass(frozen=True)
class Turn:
    """A request's place in a sequence: of which one, and whether it is its first or last."""

    sequence: int | str
    start: bool = False
    end: bool = False

    def options(self) -> dict[str, Any]:
        """As NVIDIA's clients take it."""
        return {
            "sequence_id": self.sequence,
            "sequence_start": self.start,
            "sequence_end": self.end,
        }


@dataclass(frozen=True)
class ModelFacts:
    """What Triton says about a name."""

    name: str
    platform: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def arm_title(physical: str) -> str:
    """``digits.v2.ab12cd`` as people write it, ``digits:2``."""
    match = _PHYSICAL.fullmatch(physical)
    if match is None:
        return physical
    return f"{match['model']}:{match['version']}{' (twin)' if match['twin'] else ''}"


def triton_address(
    wire: Wire, explicit: str | None, stack: Stack | None, client: Client | None
) -> str:
    """Where to send inference: the flag, else the stack that runs here if it is the one that
    `client` talks to, else the first ready server that the control plane knows."""
    if explicit:
        return explicit.removeprefix("http://").removeprefix("grpc://").rstrip("/")
    if stack is not None and (client is None or origin(stack.api) == client.api):
        local = stack.triton(wire)
        if local:
            return local
    if client is None:
        raise NereidError(f"no Triton address is known: name one with --url HOST:PORT ({wire})")
    servers = sorted(client.servers(), key=lambda server: server.status != "Ready")
    for server in servers:
        address = server.grpc if wire == "grpc" else server.http
        if address:
            return address
    raise NereidError(f"{client.api} knows no server yet: start a node, or name one with --url")


class _Transport(Protocol):
    def live(self) -> None: ...

    def metadata(self, name: str, version: str) -> ModelFacts: ...

    def infer(
        self,
        name: str,
        version: str,
        inputs: Mapping[str, Array],
        headers: Mapping[str, str],
        options: Mapping[str, Any],
    ) -> Answer: ...

    def stream(
        self,
        name: str,
        version: str,
        inputs: Mapping[str, Array],
        headers: Mapping[str, str],
        options: Mapping[str, Any],
    ) -> Iterator[Answer]: ...

    def close(self) -> None: ...


class Predictor:
    """One connection to one Triton."""

    def __init__(self, address: str, wire: Wire = "grpc") -> None:
        self.address = address
        self.wire = wire
        self._transport: _Transport = _Grpc(address) if wire == "grpc" else _Http(address)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._transport.close()

    def metadata(self, name: str, version: str = "") -> ModelFacts:
        return self._transport.metadata(name, version)

    def live(self) -> None:
        """Asks whether anybody is there.

        Raises:
            UnreachableError: nobody is.
        """
        self._transport.live()

    def predict(
        self,
        name: str,
        inputs: Mapping[str, Array],
        *,
        version: str = "",
        headers: Mapping[str, str] | None = None,
        turn: Turn | None = None,
        request_id: str = "",
    ) -> Answer:
        """One request. The latency is the caller's: everything between call and answer.

        By its `request_id` feedback on the answer can be sent later.
        `turn` is for models that keep a state: requests of a sequence are sent one after the other,
        the first with `start`, the last with `end`.
        """
        options = {**(turn.options() if turn else {}), "request_id": request_id}
        return self._transport.infer(name, version, inputs, headers or {}, options)

    def stream(
        self,
        name: str,
        inputs: Mapping[str, Array],
        *,
        version: str = "",
        headers: Mapping[str, str] | None = None,
        turn: Turn | None = None,
        request_id: str = "",
    ) -> Iterator[Answer]:
        """One request, and each of its answers as it comes: for models that stream, over gRPC.

        Other models answer once. Latencies are from the request on. Whoever stops in between
        cancels the rest.

        Raises:
            InferenceError: the model fails; the answers before stand.
        """
        options = {**(turn.options() if turn else {}), "request_id": request_id}
        return self._transport.stream(name, version, inputs, headers or {}, options)


class _Grpc:
    def __init__(self, address: str) -> None:
        # Imported here: it takes 0.2 s, which `nereid models` need not pay.
        from tritonclient import grpc

        self._api = grpc
        self._address = address
        self._client = grpc.InferenceServerClient(address)

    def live(self) -> None:
        try:
            self._client.is_server_live(client_timeout=TIMEOUT_S)
        except self._api.InferenceServerException as error:
            raise _failure(error, self._address) from error

    def metadata(self, name: str, version: str) -> ModelFacts:
        try:
            facts = self._client.get_model_metadata(
                name, version, as_json=True, client_timeout=TIMEOUT_S
            )
        except self._api.InferenceServerException as error:
            raise _failure(error, self._address) from error
        return _facts(facts)

    def infer(
        self,
        name: str,
        version: str,
        inputs: Mapping[str, Array],
        headers: Mapping[str, str],
        options: Mapping[str, Any],
    ) -> Answer:
        tensors = _tensors(self._api, inputs)
        started = time.perf_counter()
        try:
            result = self._client.infer(
                name, tensors, version, headers=dict(headers), client_timeout=TIMEOUT_S, **options
            )
        except self._api.InferenceServerException as error:
            raise _failure(error, self._address) from error
        return _grpc_answer(result, time.perf_counter() - started)

    def stream(
        self,
        name: str,
        version: str,
        inputs: Mapping[str, Array],
        headers: Mapping[str, str],
        options: Mapping[str, Any],
    ) -> Iterator[Answer]:
        answers = streamed(
            self._client,
            name,
            _tensors(self._api, inputs),
            version=version,
            headers=headers,
            options=options,
            patience_s=TIMEOUT_S,
        )
        try:
            for result, latency in answers:
                yield _grpc_answer(result, latency)
        except self._api.InferenceServerException as error:
            raise _failure(error, self._address) from error
        finally:
            answers.close()

    def close(self) -> None:
        self._client.close()


class _Http:
    def __init__(self, address: str) -> None:
        from tritonclient import http

        self._api = http
        self._address = address
        self._client = http.InferenceServerClient(address, network_timeout=TIMEOUT_S)

    def live(self) -> None:
        try:
            self._client.is_server_live()
        except OSError as error:
            raise _unreachable(self._address, str(error)) from error

    def metadata(self, name: str, version: str) -> ModelFacts:
        try:
            return _facts(self._client.get_model_metadata(name, version))
        except self._api.InferenceServerException as error:
            raise _failure(error, self._address) from error
        except OSError as error:
            raise _unreachable(self._address, str(error)) from error

    def infer(
        self,
        name: str,
        version: str,
        inputs: Mapping[str, Array],
        headers: Mapping[str, str],
        options: Mapping[str, Any],
    ) -> Answer:
        tensors = _tensors(self._api, inputs)
        started = time.perf_counter()
        try:
            result = self._client.infer(name, tensors, version, headers=dict(headers), **options)
        except self._api.InferenceServerException as error:
            raise _failure(error, self._address) from error
        except OSError as error:
            raise _unreachable(self._address, str(error)) from error
        latency = time.perf_counter() - started
        response = result.get_response()
        arm = (response.get("parameters") or {}).get(ARM_PARAMETER)
        names = [output["name"] for output in response.get("outputs") or ()]
        return Answer(_arrays(names, result), arm, latency)

    def stream(
        self,
        name: str,
        version: str,
        inputs: Mapping[str, Array],
        headers: Mapping[str, str],
        options: Mapping[str, Any],
    ) -> Iterator[Answer]:
        raise InferenceError("answers that come one by one need gRPC: HTTP has one answer")

    def close(self) -> None:
        self._client.close()


def _tensors(api: Any, inputs: Mapping[str, Array]) -> list[Any]:
    tensors = []
    for key, array in inputs.items():
        tensor = api.InferInput(key, list(array.shape), _datatype(array))
        tensor.set_data_from_numpy(array)
        tensors.append(tensor)
    return tensors


def _grpc_answer(result: Any, latency: float) -> Answer:
    response = result.get_response()
    arm = response.parameters[ARM_PARAMETER].string_param or None
    names = [output.name for output in response.outputs]
    return Answer(_arrays(names, result), arm, latency)


def _arrays(names: Sequence[str], result: Any) -> dict[str, Array]:
    arrays = {}
    for name in names:
        array = result.as_numpy(name)
        if array is None:
            raise InferenceError(f"the answer names an output {name} but carries no data for it")
        arrays[name] = array
    return arrays


def _facts(document: Mapping[str, Any]) -> ModelFacts:
    return ModelFacts(
        name=str(document["name"]),
        platform=str(document.get("platform") or ""),
        inputs=tuple(Tensor.from_json(tensor) for tensor in document.get("inputs") or ()),
        outputs=tuple(Tensor.from_json(tensor) for tensor in document.get("outputs") or ()),
    )


def _datatype(array: Array) -> str:
    from tritonclient.utils import np_to_triton_dtype

    datatype = np_to_triton_dtype(array.dtype)
    if datatype is None:
        raise InferenceError(f"Triton has no datatype for NumPy's {array.dtype}")
    return str(datatype)


def _failure(error: Any, address: str) -> NereidError:
    """Tell "nobody is there" from "Triton refused": only the second is about the request."""
    message = str(error.message() or error)
    status = str(error.status() or "")
    if status == "StatusCode.UNAVAILABLE" and "connect" in message.lower():
        return _unreachable(address, "Connection refused")
    return InferenceError(message)


def _unreachable(address: str, reason: str) -> UnreachableError:
    # The system's number for the reason helps nobody.
    words = re.sub(r"^\[Errno \d+\] ", "", reason)
    return UnreachableError(
        f"Triton at {address}", words, "Is the stack running? `make serve` starts one here."
    )
