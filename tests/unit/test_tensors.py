"""Values on their way to a server and back."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.adapters.tensors import data_of, values_of
from control_plane.domain.registry.golden import GoldenTensor
from control_plane.ports.inference import TensorData


@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("FP32", (1.5, -2.0)),
        ("FP64", (0.1, 1e300)),
        ("FP16", (0.5, 65504.0)),
        ("BF16", (1.0, -3.5)),
        ("INT8", (-128, 127)),
        ("UINT64", (0, (1 << 64) - 1)),
        ("BOOL", (True, False)),
        ("BYTES", ("é", "")),
    ],
)
def test_they_come_back_as_they_went(datatype: str, values: tuple[Any, ...]) -> None:
    sent = data_of(GoldenTensor("x", datatype, (2,), values))
    assert (sent.name, sent.datatype, sent.shape) == ("x", datatype, (2,))
    assert values_of(sent) == list(values)


@pytest.mark.parametrize("data", [b"\x05\x00\x00\x00ab", b"\x01"])
def test_a_text_that_is_cut_off(data: bytes) -> None:
    with pytest.raises(ValueError, match="cut off"):
        values_of(TensorData("x", "BYTES", (1,), data))
