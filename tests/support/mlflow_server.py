"""A real MLflow tracking server, in the environment that `install_mlflow.sh` made."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil

from stack.ports import free_port
from tests.support.processes import eventually

CHECKOUT = Path(__file__).resolve().parents[2]
BIN = CHECKOUT / ".venv" / "mlflow" / "bin"
INSTALLED = (BIN / "mlflow").exists()
PATIENCE_S = 120.0


class TrackingServer:
    """`mlflow server` as a child, with its registry and artifacts in a folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.uri = f"http://127.0.0.1:{free_port()}"
        self.artifacts = home / "artifacts"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to find it."""
        return {
            **os.environ,
            "MLFLOW_TRACKING_URI": self.uri,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # seven processes that nobody asks
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            "PYTHONWARNINGS": "ignore",
            "PYTHONPATH": "",
        }

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        self.home.mkdir(parents=True, exist_ok=True)
        log = self.home / "server.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [
                    *(str(BIN / "mlflow"), "server", "--host", "127.0.0.1", "--workers", "1"),
                    *("--port", self.uri.rpartition(":")[2]),
                    *("--backend-store-uri", f"sqlite:///{self.home / 'mlflow.db'}"),
                    *("--artifacts-destination", str(self.artifacts)),
                ],
                cwd=self.home,
                env=self.environment,
                stdout=output,
                stderr=output,
            )
        if not eventually(self._answers, PATIENCE_S):
            self.stop()
            raise RuntimeError(f"MLflow did not start:\n{log.read_text()[-3000:]}")

    def stop(self) -> None:
        """Ends it, and what it started."""
        if self._process is None:
            return
        own = psutil.Process(self._process.pid)
        children = own.children(recursive=True)
        self._process.terminate()
        self._process.wait(30)
        self._process = None
        for child in psutil.wait_procs(children, timeout=10)[1]:
            child.kill()

    def run(self, script: str, *arguments: str, **more: str) -> Any:
        """Runs a Python script in MLflow's environment; returns the JSON of its last line."""
        command = [str(BIN / "python"), "-c", script, *arguments]
        printed = self._run(command, more)
        return json.loads(printed.stdout.strip().splitlines()[-1])

    def mlflow(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """The command `mlflow`, as a person runs it, whatever becomes of it."""
        return self._run([str(BIN / "mlflow"), *arguments], more, check=False)

    def _run(
        self, command: Sequence[str], more: dict[str, str], check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=self.home,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        if check and done.returncode:
            raise RuntimeError(
                f"{command[:2]} ended with {done.returncode}:\n{done.stderr[-3000:]}"
            )
        return done

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.uri}/health", trust_env=False, timeout=1).is_success
        except httpx.HTTPError:
            return False


LOG_DIGITS = """
import json, sys, mlflow, mlflow.onnx, numpy as np
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from skl2onnx import to_onnx

pixels, labels = load_digits(return_X_y=True)
pixels = (pixels / 16).astype("float32")
classifier = LogisticRegression(max_iter=50).fit(pixels[:1400], labels[:1400])
model = to_onnx(classifier, pixels[:1], options={"zipmap": False})
weights = np.linspace(0, 1, 4096, dtype="float32").reshape(64, 64)
large = helper.make_model(helper.make_graph(
    [helper.make_node("MatMul", ["image", "weights"], ["features"])], "large",
    [helper.make_tensor_value_info("image", TensorProto.FLOAT, [None, 64])],
    [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 64])],
    [numpy_helper.from_array(weights, "weights")],
), opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
with mlflow.start_run(tags={"mlflow.source.git.commit": "9f2c1a7b", "mlflow.user": "ada"}) as run:
    mlflow.log_metrics({"accuracy": float(classifier.score(pixels[1400:], labels[1400:])),
                        "holdout/loss": 0.25})
    # What it needs is said: finding that out would import all of it once more, each time.
    needs = {"pip_requirements": ["onnx"]}
    mlflow.onnx.log_model(model, name="digits", registered_model_name="digits", **needs)
    mlflow.onnx.log_model(large, name="large", registered_model_name="large", **needs)
    mlflow.log_text("no model", "plain/readme.txt")
client = mlflow.MlflowClient()
elsewhere = client.create_experiment("elsewhere", artifact_location=f"file://{sys.argv[1]}")
with mlflow.start_run(experiment_id=elsewhere) as direct:
    mlflow.log_text("a model", "it/only.onnx")
client.create_registered_model("kept")
client.create_model_version("kept", f"{direct.info.artifact_uri}/it", direct.info.run_id)
client.set_registered_model_alias("digits", "champion", 1)
client.create_registered_model("text")
client.create_model_version("text", f"{run.info.artifact_uri}/plain", run.info.run_id)
shown = pixels[1400:1403]
print(json.dumps({"run_id": run.info.run_id, "pixels": shown.tolist(),
                  "answers": classifier.predict(shown).tolist()}))
"""
