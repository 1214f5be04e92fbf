"""The router as many write it today: a Python model that calls the chosen arm through BLS."""

from __future__ import annotations

import random

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Answers with what the arm answers; weights and arms stand in the model's parameters."""

    def initialize(self, args: dict) -> None:
        """Reads `arms` (`name=weight,...`) from the configuration."""
        import json

        parameters = json.loads(args["model_config"])["parameters"]
        pairs = [pair.split("=") for pair in parameters["arms"]["string_value"].split(",")]
        self.arms = [name for name, _ in pairs]
        self.weights = [float(weight) for _, weight in pairs]

    async def execute(self, requests: list) -> list:
        """One inner call for each request, awaited in turn."""
        return [await self.routed(request) for request in requests]

    async def routed(self, request: object) -> object:
        """The arm's answer, or its error."""
        arm = random.choices(self.arms, self.weights)[0]
        answer = await pb_utils.InferenceRequest(
            model_name=arm,
            request_id=request.request_id(),
            inputs=request.inputs(),
            requested_output_names=list(request.requested_output_names()),
        ).async_exec()
        if answer.has_error():
            return pb_utils.InferenceResponse(error=answer.error())
        return pb_utils.InferenceResponse(output_tensors=answer.output_tensors())
