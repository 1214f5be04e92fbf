"""What a model works on before its first caller: what is slow once is not slow for anyone."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from control_plane.domain.serving.section import Positive, Section
from control_plane.domain.signature import Signature


class Warmup(Section):
    """Requests of the server's own, at each load and for each instance."""

    data: Literal["zero", "random"] = Field(
        "zero", description="What the inputs hold. Texts are empty either way."
    )
    batch_sizes: tuple[Positive, ...] = Field(
        (1,), description="One request of each size; 1 alone where there are no batches."
    )
    count: Positive = Field(1, description="How often each of them is run.")

    def values_for(self, signature: Signature, max_batch_size: int) -> list[dict[str, Any]]:
        """The `model_warmup` of a model; a free dimension is taken to be 1."""
        sizes = self.batch_sizes if max_batch_size else (1,)
        batched = max_batch_size > 0
        return [
            {
                "name": f"{self.data}-{size}",
                "batch_size": size,
                "count": self.count,
                "inputs": {
                    tensor.name: {
                        "data_type": _data_type(tensor.datatype),
                        "dims": [
                            str(max(1, dim)) for dim in tensor.shape[1 if batched else 0 :] or (1,)
                        ],
                        self._source(tensor.datatype): True,
                    }
                    for tensor in signature.inputs
                },
            }
            for size in sizes
        ]

    def _source(self, datatype: str) -> str:
        # Random bytes are no texts: a model that reads them would fail at its load.
        return "random_data" if self.data == "random" and datatype != "BYTES" else "zero_data"


def _data_type(datatype: str) -> str:
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"
