"""The network in BentoML, as its documentation writes an adaptively batching service."""

from __future__ import annotations

import gc
import os

import bentoml
import numpy as np
import onnxruntime

BATCH = int(os.environ["BENCH_BATCH"])
LATENCY_MS = 1000


@bentoml.service(workers=1, traffic={"timeout": 30, "max_concurrency": 1024})
class Network:
    """One session, which answers a whole batch."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["BENCH_THREADS"])
        self._session = onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], options)
        gc.freeze()  # as in all servers written in Python: see mlserver_runtime

    @bentoml.api(batchable=True, max_batch_size=BATCH, max_latency_ms=LATENCY_MS)
    def predict(self, x: np.ndarray) -> np.ndarray:
        answer: np.ndarray = self._session.run(["y"], {"x": x.astype(np.float32, copy=False)})[0]
        return answer
