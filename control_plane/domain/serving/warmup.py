"""What a model works on before its first caller: what is slow once is not slow for anyone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from control_plane.domain.serving.section import Positive, Section
from control_plane.domain.signature import Signature, Tensor

Shapes = Mapping[str, Sequence[int]]
"""Of one golden example: each input's shape, with its rows first where the model has batches."""

WARMUP_FOLDER = "warmup"
"""In a model's directory, where Triton looks for the data of warm-up requests."""

_GOLDEN = re.compile(r"golden-([0-9]+)-[0-9]+")


class Warmup(Section):
    """Requests of the server's own, at each load and for each instance."""

    data: Literal["golden", "zero", "random"] = Field(
        "golden",
        description="What the inputs hold: those of the version's golden examples, in turn, and "
        "zeros where it has none; or zeros, or chance. Texts are empty but for golden ones.",
    )
    batch_sizes: tuple[Positive, ...] = Field(
        (1,), description="One request of each size; 1 alone where there are no batches."
    )
    count: Positive = Field(1, description="How often each of them is run.")

    def values_for(
        self,
        callers: Signature,
        max_batch_size: int,
        *,
        filled: Sequence[Tensor] = (),
        golden: Sequence[Shapes] = (),
    ) -> list[dict[str, Any]]:
        """The `model_warmup` of a model.

        Triton makes a batch of as many requests of one row as a sample says, all of its data.

        Args:
            callers: what callers see of the model; a free dimension is 1 without an example.
            filled: the inputs that the sequence batcher fills, which warms nothing up by itself.
            golden: the shapes of the version's examples.
        """
        sizes = self.batch_sizes if max_batch_size else (1,)
        batched = max_batch_size > 0
        examples = golden if self.data == "golden" else ()
        samples = []
        for place, size in enumerate(sizes):
            number = place % len(examples) if examples else None
            shapes = examples[number] if number is not None else {}
            inputs = {
                tensor.name: {
                    "data_type": _data_type(tensor.datatype),
                    "dims": _dims(shapes.get(tensor.name, tensor.shape), batched),
                    **self._source(tensor, number, i),
                }
                for i, tensor in enumerate(callers.inputs)
            }
            for tensor in filled:
                inputs[tensor.name] = {
                    "data_type": _data_type(tensor.datatype),
                    "dims": _dims(tensor.shape, batched),
                    "zero_data": True,
                }
            kind = "zero" if self.data == "golden" and number is None else self.data
            samples.append(
                {
                    "name": f"{kind}-{size}",
                    "batch_size": size,
                    "count": self.count,
                    "inputs": inputs,
                }
            )
        return samples

    def _source(self, tensor: Tensor, example: int | None, place: int) -> dict[str, Any]:
        if example is not None:
            return {"input_data_file": f"golden-{example}-{place}"}
        # Random bytes are no texts: a model that reads them would fail at its load.
        random = self.data == "random" and tensor.datatype != "BYTES"
        return {"random_data" if random else "zero_data": True}


def golden_files(samples: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, str]]:
    """The files with examples that warm-up samples read: the example's number, and the input in it.

    Those of a model's own samples have other names, or lie among its files already.
    """
    found = {}
    for sample in samples:
        for name, entry in sample["inputs"].items():
            if match := _GOLDEN.fullmatch(entry.get("input_data_file", "")):
                found[match[0]] = (int(match[1]), name)
    return found


def _dims(shape: Sequence[int], batched: bool) -> list[str]:
    return [str(max(1, dim)) for dim in shape[1 if batched else 0 :] or (1,)]


def _data_type(datatype: str) -> str:
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"
