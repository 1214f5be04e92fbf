"""What the arms are changed to is what answers, and no request is lost on the way."""

from __future__ import annotations

import numpy as np
import tritonclient.http as httpclient
from rich.console import Console

from nereid import Client
from perf.weight_changes import addresses, measure
from tests.support.serving import ServingStack


def test_no_request_fails_while_weights_change(serving_stack: ServingStack) -> None:
    stack = serving_stack.stack
    with Client(stack["api"], stack["token"]) as client:
        before = client.policy("digits")
        figures = measure(
            client,
            addresses(client),
            changes=20,
            clients=4,
            console=Console(quiet=True),
        )
        accepted = client.put_policy("digits", before.document, etag="*")
        client.wait_endpoint("digits", generation=accepted.generation)
    assert figures["failed requests"] == 0, figures["first failure"]
    assert figures["requests"] > 100


def test_a_twin_answers_beside_its_arm(serving_stack: ServingStack) -> None:
    stack = serving_stack.stack
    image = httpclient.InferInput("image", [1, 1, 8, 8], "FP32")
    image.set_data_from_numpy(np.zeros((1, 1, 8, 8), np.float32))
    triton = httpclient.InferenceServerClient(stack["triton"]["http"])
    with Client(stack["api"], stack["token"]) as client:
        before = client.policy("digits")
        arms = [
            {"name": "stable", "model": "digits", "version": 1, "weight": 50, "primary": True},
            {"name": "twin", "model": "digits", "version": 1, "weight": 50, "twin": True},
        ]
        accepted = client.put_policy("digits", {"arms": arms}, etag="*")
        client.wait_endpoint("digits", generation=accepted.generation)
        answers = [triton.infer("digits", [image]).get_response() for _ in range(40)]
        accepted = client.put_policy("digits", before.document, etag="*")
        client.wait_endpoint("digits", generation=accepted.generation)
    triton.close()
    answered = {answer["parameters"]["nereid_arm"] for answer in answers}
    [plain] = [name for name in answered if not name.endswith(".twin")]
    assert answered == {plain, f"{plain}.twin"}
