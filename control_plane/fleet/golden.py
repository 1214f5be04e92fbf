"""Golden examples on a server: a model that answers otherwise gets no traffic there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from control_plane.adapters.tensors import data_of, values_of
from control_plane.domain.planning.plan import ModelDirectory
from control_plane.domain.registry.frameworks import GOLDEN_FILE
from control_plane.domain.registry.golden import (
    GoldenExample,
    GoldenTensor,
    Outputs,
    first_difference,
    parse_golden,
)
from control_plane.domain.registry.uploaded_config import signature_of
from control_plane.domain.signature import Signature
from control_plane.ports.inference import (
    InferenceRefusedError,
    NoAnswerError,
    Scalar,
    TensorData,
    TritonInference,
)
from control_plane.ports.repository import ModelRepository
from control_plane.ports.triton import TritonControl, TritonUnreachableError

_SEQUENCE: Mapping[str, Scalar] = {
    "sequence_id": "nereid-golden",
    "sequence_start": True,
    "sequence_end": True,
}


class GoldenFailedError(RuntimeError):
    """A model answers an example otherwise than it has to; the message says which value."""


class GoldenCheck:
    """Asks models of one Triton the examples that lie in their directories."""

    def __init__(
        self,
        inference: TritonInference,
        triton: TritonControl,
        repository: ModelRepository,
        accelerator: str,
    ) -> None:
        self._inference = inference
        self._triton = triton
        self._repository = repository
        self._accelerator = accelerator

    def check(self, model: ModelDirectory) -> None:
        """Asks a model that is loaded its examples; there may be none.

        Raises:
            GoldenFailedError: an answer differs, with tensor, index and both values.
            TritonUnreachableError: Triton is away; that says nothing of the model.
        """
        if GOLDEN_FILE not in model.links:
            return
        config = model.variants[self._accelerator]
        known = signature_of(config)
        if known is None:
            raise GoldenFailedError(f"{model.name} has examples, and its configuration no tensors")
        document = json.loads(self._repository.read(model.name, GOLDEN_FILE))
        examples = parse_golden(document, Signature.from_document(known))
        # To a model of sequences each example is one of its own, begun and ended.
        parameters = _SEQUENCE if "sequence_batching" in config else {}
        batched = int(config["max_batch_size"]) > 0

        def answer(example: GoldenExample) -> Outputs:
            sent = [_sent(tensor, batched) for tensor in example.inputs]
            given = self._inference.infer(model.name, sent, parameters=parameters)
            return {tensor.name: (tensor.shape, values_of(tensor)) for tensor in given.outputs}

        try:
            problem = first_difference(examples, answer)
        except InferenceRefusedError as error:
            raise GoldenFailedError(f"{model.name} refuses a golden example: {error}") from error
        except NoAnswerError as error:
            if not self._triton.is_live():
                raise TritonUnreachableError(str(error)) from error
            raise GoldenFailedError(f"{model.name}, a golden example: {error}") from error
        if problem:
            raise GoldenFailedError(f"{model.name}: {problem}")


def _sent(tensor: GoldenTensor, batched: bool) -> TensorData:
    """Triton has no tensors without dimensions: a scalar per row is sent as [1]."""
    data = data_of(tensor)
    return data if len(data.shape) > batched else replace(data, shape=(*data.shape, 1))
