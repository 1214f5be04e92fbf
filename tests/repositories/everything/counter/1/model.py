import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        step = pb_utils.get_input_tensor_by_name(request, "step").as_numpy()
        held = pb_utils.get_input_tensor_by_name(request, "held").as_numpy()
        total = held + step
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor("total", total), pb_utils.Tensor("kept", total)]
        )
