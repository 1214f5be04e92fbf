"""Changing weights loses no request."""

from __future__ import annotations

from rich.console import Console

from nereid import Client
from perf.weight_changes import measure
from tests.support.serving import ServingStack


def test_no_request_fails_while_weights_change(serving_stack: ServingStack) -> None:
    stack = serving_stack.stack
    with Client(stack["api"], stack["token"]) as client:
        before = client.policy("digits")
        figures = measure(
            client,
            stack["triton"]["http"],
            stack["triton"]["grpc"],
            changes=20,
            clients=4,
            console=Console(quiet=True),
        )
        accepted = client.put_policy("digits", before.document, etag="*")
        client.wait_endpoint("digits", generation=accepted.generation)
    assert figures["failed requests"] == 0, figures["first failure"]
    assert figures["requests"] > 100
