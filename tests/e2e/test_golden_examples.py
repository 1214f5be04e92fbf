"""Golden examples from the push to the server."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from nereid import Client, VersionRejectedError, policy_document
from tests.support.serving import CHECKOUT, ServingStack

MODEL = CHECKOUT / "model_repository/samples/digits/v1/model.onnx"


def example(**wrong: float) -> dict[str, object]:
    """What the model really says to zeros, less what is wrong."""
    zeros = np.zeros((1, 1, 8, 8), np.float32)
    [logits] = onnxruntime.InferenceSession(str(MODEL)).run(["logits"], {"image": zeros})
    logits[0, 3] += wrong.get("by", 0.0)
    return {"inputs": {"image": zeros.tolist()}, "outputs": {"logits": logits.tolist()}}


def test_every_server_answers_them_before_it_serves(serving_stack: ServingStack) -> None:
    with Client(serving_stack.api, serving_stack.token) as nereid:
        nereid.put_profile("warmed", {"max_batch_size": 8, "model_warmup": {"batch_sizes": [8]}})
        version = nereid.push(
            "golden", MODEL, create=True, golden=[example()], profile="warmed", wait=True
        )
        assert version.state == "ready"
        nereid.ensure_endpoint("golden")
        policy = policy_document(["golden:1=100"])
        accepted = nereid.put_policy("golden", policy, etag="*")
        endpoint = nereid.wait_endpoint("golden", generation=accepted.generation)
        assert endpoint.status == "Healthy", endpoint.reason
        [arm] = endpoint.raw["arms"]
        repository = Path(serving_stack.home) / "model_repository" / "live"
        published = repository / arm["physical"] / "golden.json"
        assert json.loads(published.read_text()) == [example()]
        assert (published.parent / "warmup" / "golden-0-0").read_bytes() == bytes(4 * 8 * 8)
        assert 'input_data_file: "golden-0-0"' in (published.parent / "config.pbtxt").read_text()
        with pytest.raises(VersionRejectedError, match=r"golden example 1 of 1: logits\[0, 3\] is"):
            nereid.push("golden", MODEL, golden=[example(by=0.5)], wait=True)
        nereid.delete_endpoint("golden")
