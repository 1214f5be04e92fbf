"""What a sample is made of, as its `sample.yaml` says: files to push, what serves them, a question.

Paths are relative to the file. Versions are found again by the alias that they are given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

Array = npt.NDArray[Any]

FILE = "sample.yaml"
ALIAS = "sample"


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SampleVersion(_Said):
    """A version to push: one file, or several that are packed."""

    name: str
    file: str = ""
    files: tuple[str, ...] = ()
    framework: str | None = None
    profile: str | None = None
    metrics: str = ""
    signature: Mapping[str, Any] | None = None
    alias: str = ALIAS

    @model_validator(mode="after")
    def _one_or_several(self) -> Self:
        if bool(self.file) == bool(self.files):
            raise ValueError(f"{self.name}: name a file, or the files to pack")
        return self


class SampleProfile(_Said):
    """A serving profile, in a file of its own."""

    name: str
    file: str


class SampleArm(_Said):
    """A version by its alias, or a pipeline's revision that was just applied."""

    model: str = ""
    pipeline: str = ""
    weight: float

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if bool(self.model) == bool(self.pipeline):
            raise ValueError("an arm is a model or a pipeline")
        return self


class SampleEndpoint(_Said):
    """A public name and where its requests go."""

    name: str
    arms: tuple[SampleArm, ...] = Field(min_length=1)


class Given(_Said):
    """A tensor of a request: the bytes of a file, or a field of a JSON file."""

    bytes: str = ""
    values: str = ""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if bool(self.bytes) == bool(self.values):
            raise ValueError("a tensor is the bytes of a file, or values in JSON")
        return self


class Ask(_Said):
    """Requests whose answer is known."""

    endpoint: str
    inputs: Mapping[str, Given]
    expect: Mapping[str, int | str] = Field(default_factory=dict)
    how: Literal["single", "sequence", "stream"] = "single"
    times: int = 1


class SampleSet(_Said):
    """One sample."""

    title: str
    profiles: tuple[SampleProfile, ...] = ()
    models: tuple[SampleVersion, ...]
    pipelines: tuple[str, ...] = ()  # files, each with the pipeline's name in it
    endpoints: tuple[SampleEndpoint, ...]
    asks: tuple[Ask, ...]
    folder: Path

    def document(self, file: str) -> dict[str, Any]:
        """A YAML or JSON file of the sample."""
        document: dict[str, Any] = yaml.safe_load((self.folder / file).read_text("utf-8"))
        return document

    def tensors(self, ask: Ask) -> dict[str, Array]:
        """The inputs of a request; texts and files as [1, 1], a batch of one."""
        return {name: self._tensor(name, given) for name, given in ask.inputs.items()}

    def _tensor(self, name: str, given: Given) -> Array:
        if given.bytes:
            return np.array([[(self.folder / given.bytes).read_bytes()]], object)
        values = json.loads((self.folder / given.values).read_text("utf-8"))
        return np.asarray(values[name], np.float32)


def read_sample_sets(folder: Path) -> list[SampleSet]:
    """Every sample under a folder, by the names of theirs.

    Raises:
        ValueError: one of them cannot be read, with the field named (pydantic's ValidationError).
    """
    return [
        SampleSet(**yaml.safe_load(path.read_text("utf-8")), folder=path.parent)
        for path in sorted(folder.glob(f"*/{FILE}"))
    ]
