"""The network in LitServe, as its documentation writes a batching server.

Its hooks are written without annotations: LitServe makes the API's schema of those.
"""

import gc
import os

import litserve
import numpy as np
import onnxruntime


class OnnxApi(litserve.LitAPI):
    """One session a worker, which answers a whole batch."""

    def setup(self, device: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["BENCH_THREADS"])
        self._session = onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], options)
        gc.freeze()  # as in all servers written in Python: see mlserver_runtime

    def decode_request(self, request):
        return np.asarray(request["x"], np.float32)

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.stack(inputs)

    def predict(self, x: np.ndarray) -> np.ndarray:
        answer: np.ndarray = self._session.run(["y"], {"x": x})[0]
        return answer

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        return list(output)

    def encode_response(self, output: np.ndarray):
        return {"y": output.tolist()}


if __name__ == "__main__":
    api = OnnxApi(
        max_batch_size=int(os.environ["BENCH_BATCH"]),
        batch_timeout=float(os.environ["BENCH_DELAY_S"]),
    )
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
    )
