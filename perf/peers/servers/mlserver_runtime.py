"""The network in MLServer: an own runtime with adaptive batching, started by `mlserver start`.

Its folder has `settings.json` and `model-settings.json`, which `perf.peers.contenders` writes.
"""

from __future__ import annotations

import gc
import os

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class OnnxModel(MLModel):
    """One session that answers a whole batch."""

    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["BENCH_THREADS"])
        self._session = onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], options)
        gc.freeze()  # else the collector looks through all that was imported, 90 ms each time
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        x = NumpyCodec.decode_input(payload.inputs[0]).astype(np.float32, copy=False)
        (y,) = self._session.run(["y"], {"x": x})
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output("y", y)], id=payload.id
        )
