"""`ports.remotes.RemoteModels` over gRPC: whoever speaks the v2 protocol, PyTriton among them."""

from __future__ import annotations

from typing import Any

from tritonclient.grpc import InferenceServerClient, KeepAliveOptions
from tritonclient.utils import InferenceServerException

from control_plane.domain.registry.remote import RemoteModel
from control_plane.domain.signature import Signature, read_signature
from control_plane.domain.violations import InvalidInputError
from control_plane.ports.remotes import DescribedRemote, RemoteFailedError

TIMEOUT_S = 5.0

_NOT_FORWARDED = ("BF16",)
"""What numpy has no type for, and a tensor of the Python backend therefore no values."""


class GrpcRemoteModels:
    """Asks over a connection of its own, each time."""

    def describe(self, remote: RemoteModel) -> DescribedRemote:
        client = InferenceServerClient(
            remote.address, keepalive_options=KeepAliveOptions(), channel_args=_CHANNEL
        )
        try:
            said: Any = client.get_model_metadata(
                remote.model, as_json=True, client_timeout=TIMEOUT_S
            )
            config: Any = client.get_model_config(
                remote.model, as_json=True, client_timeout=TIMEOUT_S
            )
        except InferenceServerException as error:
            raise RemoteFailedError(_reason(remote, error)) from error
        finally:
            client.close()
        return _described(remote, said, config.get("config", {}))


# No proxy of the environment comes in between.
_CHANNEL = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", 4 << 20)]


def _described(remote: RemoteModel, said: Any, config: Any) -> DescribedRemote:
    if config.get("model_transaction_policy", {}).get("decoupled"):
        raise RemoteFailedError(
            f"{remote} answers a request piece by piece (decoupled): bind it without that, an arm "
            "that is forwarded gives one response"
        )
    document = {
        kind: [
            {
                "name": tensor.get("name", ""),
                "datatype": tensor.get("datatype", ""),
                # Protobuf's JSON has 64-bit integers as texts, and no empty lists.
                "shape": [int(size) for size in tensor.get("shape", ())],
            }
            for tensor in said.get(kind, ())
        ]
        for kind in ("inputs", "outputs")
    }
    try:
        signature = read_signature(document)
    except InvalidInputError as error:
        raise RemoteFailedError(f"{remote} says what cannot be served: {error}") from error
    _check_types(remote, signature)
    return DescribedRemote(signature, int(config.get("max_batch_size", 0)))


def _check_types(remote: RemoteModel, signature: Signature) -> None:
    for tensor in (*signature.inputs, *signature.outputs):
        if tensor.datatype in _NOT_FORWARDED:
            raise RemoteFailedError(f"{remote} has {tensor}: {tensor.datatype} is not forwarded")


def _reason(remote: RemoteModel, error: InferenceServerException) -> str:
    status, message = str(error.status() or ""), str(error.message() or "")[:500]
    if "UNAVAILABLE" in status:
        return f"no process answers at {remote.address}: start it first ({message})"
    if "DEADLINE" in status:
        return f"the process at {remote.address} does not answer within {TIMEOUT_S:g} s"
    return f"the process at {remote.address} says of {remote.model!r}: {message}"
