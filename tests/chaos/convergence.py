"""What "it came back by itself" means: the endpoint is healthy and answers a real request right."""

import time
from collections import Counter
from typing import Any

import httpx
import numpy as np
import tritonclient.grpc as triton

from nereid.samples import load_sample
from stack.settings import CHECKOUT
from tests.support.serving import ServingStack

ENDPOINT = "digits"
SAMPLE = load_sample("digits", CHECKOUT)


def endpoint(stack: ServingStack) -> dict[str, Any]:
    with stack.client() as client:
        answer = client.get(f"/endpoints/{ENDPOINT}/")
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


def put_weights(stack: ServingStack, first: float, second: float) -> int:
    """Intend this split; returns its generation, whether or not anything acts on it yet."""
    policy = {
        "arms": [
            {"name": "one", "model": "digits", "version": 1, "weight": first, "primary": True},
            {"name": "two", "model": "digits", "version": 2, "weight": second},
        ]
    }
    with stack.client() as client:
        answer = client.put(
            f"/endpoints/{ENDPOINT}/policy/", json=policy, headers={"If-Match": "*"}
        )
        answer.raise_for_status()
        return int(answer.json()["generation"])


def arms_that_answer(stack: ServingStack, requests: int = 20) -> Counter[str]:
    """Send real pictures through the router; counts who answered, asserts that each is right.

    Values, not statuses: a server without its environment answers health checks and empty tensors.
    """
    answered: Counter[str] = Counter()
    with triton.InferenceServerClient(stack.stack["triton"]["grpc"]) as client:
        for number in range(requests):
            image = SAMPLE.image(number % len(SAMPLE.images))
            given = triton.InferInput(SAMPLE.input, [1, 1, *image.pixels.shape], "FP32")
            given.set_data_from_numpy(image.pixels[None, None])
            result = client.infer(ENDPOINT, [given], client_timeout=10)
            scores = result.as_numpy(SAMPLE.output)
            assert scores is not None, f"no {SAMPLE.output} in the response"
            arm = result.get_response().parameters["nereid_arm"].string_param
            version = arm.split(".")[1].removeprefix("v")
            assert int(np.argmax(scores)) == image.answers[version]
            answered[version] += 1
    return answered


def converge(stack: ServingStack, generation: int, patience_s: float = 60.0) -> Counter[str]:
    """Wait until `generation` is what serves; what stands in the way is in the error."""
    deadline = time.monotonic() + patience_s
    last: object = None
    while time.monotonic() < deadline:
        try:
            state = endpoint(stack)
            last = (state["status"], state["reason"], state["observed_generation"])
            if state["status"] == "Healthy" and state["observed_generation"] >= generation:
                return arms_that_answer(stack)
        except (httpx.HTTPError, triton.InferenceServerException, OSError) as error:
            last = error
        time.sleep(0.1)
    raise AssertionError(f"not converged in {patience_s:.0f} s: {last}\n{stack.tail()}")
