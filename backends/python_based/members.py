"""Other models of the same server, called for the rows of a batch (Triton's BLS)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import triton_python_backend_utils as pb_utils
from request_batch import InputError, RequestError, Tensors


def ask(member: str, inputs: Mapping[str, np.ndarray], wanted: Sequence[str]) -> Tensors:
    """What `member` answers: each wanted output, in host memory.

    A member is a model's name, with the version behind a colon where it is not the newest.

    Raises:
        RequestError: it failed; an InputError where it says that the caller is to blame.
    """
    name, _, version = member.partition(":")
    request = pb_utils.InferenceRequest(
        model_name=name,
        model_version=int(version or -1),
        requested_output_names=list(wanted),
        inputs=[pb_utils.Tensor(name, value) for name, value in inputs.items()],
        preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
    )
    response = request.exec()
    if response.has_error():
        error = response.error()
        own = error.code() == pb_utils.TritonError.INVALID_ARG
        kind = InputError if own else RequestError
        raise kind(f"{member}: {error.message()}")
    found = {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}
    if missing := [name for name in wanted if name not in found]:
        raise RequestError(f"{member} gave no {', '.join(missing)}")
    return found
