"""The network in Ray Serve, as its documentation writes a batching deployment."""

from __future__ import annotations

import gc
import os
import signal
from typing import Any

import numpy as np
import onnxruntime
import ray
from ray import serve
from starlette.requests import Request

BATCH = int(os.environ["BENCH_BATCH"])


@serve.deployment(num_replicas=1, max_ongoing_requests=256, ray_actor_options={"num_cpus": 1})
class Network:
    """One session, which answers a whole batch."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["BENCH_THREADS"])
        self._session = onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], options)
        gc.freeze()  # as in all servers written in Python: see mlserver_runtime

    @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=0)
    async def answer(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        return list(self._session.run(["y"], {"x": np.stack(inputs)})[0])

    async def __call__(self, request: Request) -> dict[str, Any]:
        x = np.asarray((await request.json())["x"], np.float32)
        return {"y": (await self.answer(x)).tolist()}


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(os.environ["BENCH_PORT"])},
        logging_config={"enable_access_log": False},
    )
    serve.run(Network.bind(), route_prefix="/predict")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
