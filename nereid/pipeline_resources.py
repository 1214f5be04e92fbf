"""What the API answers about pipelines, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nereid.resources import Document, Finding, Place, Tensor


@dataclass(frozen=True)
class PipelineStep:
    """A step as it runs; those of inner pipelines are named `outer/inner`."""

    name: str
    model: str
    version: int
    inputs: Mapping[str, str]  # the step's own name -> the pipeline's
    outputs: Mapping[str, str]
    pipeline: bool = False  # then `model` is its name, and `version` its revision

    @classmethod
    def from_json(cls, raw: Document) -> PipelineStep:
        return cls(
            name=str(raw["name"]),
            model=str(raw["model"]),
            version=int(raw["version"]),
            inputs=dict(raw.get("inputs") or {}),
            outputs=dict(raw.get("outputs") or {}),
            pipeline=bool(raw.get("pipeline")),
        )


@dataclass(frozen=True)
class PipelineCheck:
    """What a pipeline's document would be: what callers meet, and what runs."""

    document: Document
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    max_batch_size: int  # 0: it takes no batches
    decoupled: bool
    steps: tuple[PipelineStep, ...]
    own_steps: tuple[PipelineStep, ...]
    tensors: tuple[Tensor, ...]
    findings: tuple[Finding, ...]
    diff: str
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> PipelineCheck:
        return cls(**_checked(raw), diff=str(raw.get("diff") or ""), raw=raw)


@dataclass(frozen=True)
class Pipeline:
    """A revision of a pipeline; `own_steps` are its steps as they are written.

    `error` says why it can no longer be served; `etag` is what a later change must present, and
    empty in a list.
    """

    name: str
    revision: int
    document: Document
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    max_batch_size: int
    decoupled: bool
    steps: tuple[PipelineStep, ...]
    own_steps: tuple[PipelineStep, ...]
    tensors: tuple[Tensor, ...]
    findings: tuple[Finding, ...]
    error: str
    serves_in: tuple[Place, ...]
    changed_at: str
    changed_by: str
    etag: str
    raw: Document = field(repr=False, compare=False)

    @property
    def description(self) -> str:
        return str(self.document.get("description") or "")

    @classmethod
    def from_json(cls, raw: Document, etag: str = "") -> Pipeline:
        return cls(
            name=str(raw["name"]),
            revision=int(raw["revision"]),
            **_checked(raw),
            error=str(raw.get("error") or ""),
            serves_in=tuple(Place.from_json(place) for place in raw.get("serves_in") or ()),
            changed_at=str(raw.get("changed_at") or ""),
            changed_by=str(raw.get("changed_by") or ""),
            etag=etag,
            raw=raw,
        )


def _checked(raw: Document) -> dict[str, Any]:
    tensors = {
        side: tuple(Tensor.from_json(one) for one in raw.get(side) or ())
        for side in ("inputs", "outputs", "tensors")
    }
    return {
        **tensors,
        "document": raw.get("document") or {},
        "max_batch_size": int(raw.get("max_batch_size") or 0),
        "decoupled": bool(raw.get("decoupled")),
        "steps": tuple(PipelineStep.from_json(step) for step in raw.get("steps") or ()),
        "own_steps": tuple(PipelineStep.from_json(step) for step in raw.get("own_steps") or ()),
        "findings": Finding.all_of(raw),
    }
