"""Values of whatever form, fitted to what a model takes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nereid.resources import Tensor
from nereid.tensors import as_named, fitted


def test_a_frame_goes_to_a_model_with_an_input_of_each_column() -> None:
    wanted = [Tensor("bmi", "FP64", (-1, 1)), Tensor("sex", "BYTES", (-1, 1))]
    frame = pd.DataFrame({"sex": ["female", "male", "male"], "bmi": [20.0, 31.5, 24.0]})
    made = fitted(as_named(frame, wanted), wanted, "the frame")
    assert made["bmi"].tolist() == [[20.0], [31.5], [24.0]]
    assert made["sex"].tolist() == [["female"], ["male"], ["male"]]
    [one] = fitted({"bmi": [20.0]}, wanted[:1], "a row").values()
    assert one.tolist() == [[20.0]]
    [plain] = fitted({"image": [1.0, 2.0]}, [Tensor("image", "FP32", (-1, 2))], "a row").values()
    assert np.array_equal(plain, [[1.0, 2.0]])
