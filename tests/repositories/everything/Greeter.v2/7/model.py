import json
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        said = json.loads(args["model_config"])["parameters"]
        folder = Path(args["model_repository"])
        self.word = (folder / said["GREETING_FILE"]["string_value"]).read_text()

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        names = pb_utils.get_input_tensor_by_name(request, "name").as_numpy()
        mark = pb_utils.get_input_tensor_by_name(request, "mark")
        end = mark.as_numpy()[0].decode() if mark is not None else "."
        said = np.array([f"{self.word}, {n.decode()}{end}".encode() for n in names], object)
        return pb_utils.InferenceResponse([pb_utils.Tensor("greeting", said)])
