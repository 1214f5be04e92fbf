"""A signal in, and for each window of it one answer, as soon as that window is done.

The `window` and the `hop` from one to the next are parameters of the configuration, in samples. A
caller that goes away ends its stream.
"""

import json

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        given = json.loads(args["model_config"])["parameters"]
        self.window = int(given["window"]["string_value"])
        self.hop = int(given["hop"]["string_value"])
        if not 0 < self.hop <= self.window:
            raise pb_utils.TritonModelException(
                f"hop is from 1 to window, which is {self.window}, and not {self.hop}"
            )
        self.taper = np.hanning(self.window)

    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            try:
                self.answer(request, sender)
            except Exception as error:  # one signal that cannot be read is no other caller's affair
                failure = pb_utils.TritonError(f"the signal cannot be read: {error}")
                sender.send(pb_utils.InferenceResponse(error=failure))
            finally:
                sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def answer(self, request, sender):
        signal = pb_utils.get_input_tensor_by_name(request, "signal").as_numpy()
        for start in range(0, len(signal) - self.window + 1, self.hop):
            if request.is_cancelled():
                return
            level, frequency = self.measured(signal[start : start + self.window])
            sender.send(
                pb_utils.InferenceResponse(
                    [
                        pb_utils.Tensor("start", np.array([start], np.int64)),
                        pb_utils.Tensor("level", np.array([level], np.float32)),
                        pb_utils.Tensor("frequency", np.array([frequency], np.float32)),
                    ]
                )
            )

    def measured(self, part):
        """The root mean square, and the loudest frequency in cycles per sample."""
        part = part.astype(np.float64)
        strengths = np.abs(np.fft.rfft((part - part.mean()) * self.taper))
        loudest = int(strengths.argmax())
        return np.sqrt(np.mean(part**2)), loudest / self.window
