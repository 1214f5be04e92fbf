"""The data of warm-up requests, made of a version's golden examples as Triton reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from control_plane.adapters.tensors import data_of
from control_plane.domain.registry.golden import GoldenTensor, Value
from control_plane.domain.serving.warmup import WARMUP_FOLDER, golden_files


def warmup_paths(config: Mapping[str, Any]) -> set[str]:
    """Where in a model's directory the data of its warm-up lies that is made of examples."""
    return {f"{WARMUP_FOLDER}/{file}" for file in golden_files(config.get("model_warmup", ()))}


def warmup_files(config: Mapping[str, Any], golden: bytes) -> dict[str, bytes]:
    """By path in the model's directory; none where its warm-up reads no example.

    Triton wants one row of each input, whatever the batch size: the example's first.
    """
    samples = config.get("model_warmup", ())
    wanted = golden_files(samples)
    if not wanted:
        return {}
    examples = json.loads(golden)
    batched = int(config["max_batch_size"]) > 0
    kinds = {
        name: entry["data_type"] for sample in samples for name, entry in sample["inputs"].items()
    }
    files = {}
    for file, (number, name) in wanted.items():
        nested = examples[number]["inputs"][name]
        values = tuple(_flat(nested[0] if batched else nested))
        kind = kinds[name].removeprefix("TYPE_").replace("STRING", "BYTES")
        tensor = GoldenTensor(name, kind, (len(values),), values)
        files[f"{WARMUP_FOLDER}/{file}"] = data_of(tensor).data
    return files


def _flat(nested: Any) -> Iterator[Value]:
    if not isinstance(nested, list):
        yield nested
        return
    for part in nested:
        yield from _flat(part)
