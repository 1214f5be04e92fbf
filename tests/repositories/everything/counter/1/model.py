import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.totals = {}

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        step = pb_utils.get_input_tensor_by_name(request, "step").as_numpy()
        held = pb_utils.get_input_tensor_by_name(request, "held").as_numpy()
        start = pb_utils.get_input_tensor_by_name(request, "START").as_numpy().any()
        sequence = int(pb_utils.get_input_tensor_by_name(request, "ID").as_numpy().ravel()[0])
        total = (held if start else self.totals[sequence]) + step
        self.totals[sequence] = total
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor("total", total), pb_utils.Tensor("kept", total)]
        )
