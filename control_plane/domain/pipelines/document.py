"""A pipeline's document: what people write, read and checked as far as it can be alone.

Whether its tensors fit together is known once its members are (`domain.pipelines.wiring`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from control_plane.domain.names import PUBLIC_NAME_RULE, is_public_name
from control_plane.domain.pipelines.ensemble_words import EnsembleWords, read_words
from control_plane.domain.pipelines.patterns import (
    Confidence,
    PipelineKind,
    Scale,
    Score,
    pattern_violations,
)
from control_plane.domain.registry.aliases import alias_in
from control_plane.domain.routing.fields import Fields, shown
from control_plane.domain.routing.policy import MAX_VERSION
from control_plane.domain.signature import MAX_TENSOR_NAME, MAX_TENSORS
from control_plane.domain.stored_json import check_storable, pointer_part
from control_plane.domain.violations import InvalidInputError, Violation

MAX_STEPS = 64

MAX_DESCRIPTION = 500

_FIELDS = {"kind", "description", "steps", "inputs", "outputs", "confidence", "scale", "config"}
_CONFIDENCE_FIELDS = {"output", "score"}
_RUNS_FIELDS = {"model", "version", "pipeline", "revision"}
_STEP_FIELDS = _RUNS_FIELDS | {"name", "inputs", "outputs", "at_least", "weight"}
_MAX_VIOLATIONS = 20

Aliases = Mapping[tuple[str, str], int]
"""(model, alias) -> the number of the version that bears it."""


@dataclass(frozen=True)
class Runs:
    """What a step runs: a version of a model, or a revision of another pipeline."""

    name: str
    number: int
    pipeline: bool = False

    @property
    def key(self) -> tuple[str, int]:
        """Names of models and pipelines are one namespace, so this says which of them, too."""
        return self.name, self.number

    @property
    def field(self) -> str:
        """The field of the step that says the number."""
        return "revision" if self.pipeline else "version"

    def __str__(self) -> str:
        if self.pipeline:
            return f"pipeline {self.name} revision {self.number}"
        return f"{self.name} version {self.number}"


@dataclass(frozen=True)
class Step:
    """One step; `inputs` and `outputs` map its own tensors to the pipeline's, as written.

    What is left out is the pipeline's tensor of the same name. `at_least` is the confidence from
    which on a step of a cascade is believed, `weight` how much one of a weighted average counts.
    """

    name: str
    runs: Runs
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    at_least: float | None = None
    weight: float | None = None


@dataclass(frozen=True)
class Pipeline:
    """A pipeline as it was written; `inputs` and `outputs` None are found from the steps.

    A cascade has a `confidence`, a weighted average a `scale`; `config` is what an ensemble says of
    itself.
    """

    steps: tuple[Step, ...]
    inputs: tuple[str, ...] | None = None
    outputs: tuple[str, ...] | None = None
    description: str = ""
    kind: PipelineKind = PipelineKind.ENSEMBLE
    confidence: Confidence | None = None
    scale: Scale | None = None
    config: EnsembleWords | None = field(default=None, hash=False)

    def to_document(self) -> dict[str, Any]:
        """What `read_pipeline` reads back, without what was left out."""
        document: dict[str, Any] = {"kind": self.kind.value}
        if self.description:
            document["description"] = self.description
        if self.confidence:
            document["confidence"] = self.confidence.to_document()
        if self.scale:
            document["scale"] = self.scale.value
        if self.config:
            document["config"] = self.config.to_document()
        for side, names in (("inputs", self.inputs), ("outputs", self.outputs)):
            if names is not None:
                document[side] = list(names)
        document["steps"] = [_step_document(step) for step in self.steps]
        return document


def named_aliases(document: object) -> set[tuple[str, str]]:
    """Every (model, alias) that a step of the document names its version by."""
    return {
        (step["model"], alias)
        for step in _raw_steps(document)
        if isinstance(step.get("model"), str)
        and (alias := alias_in(step.get("version"))) is not None
    }


def read_pipeline(name: str, document: object, aliases: Aliases = MappingProxyType({})) -> Pipeline:
    """Reads a pipeline's document; an alias becomes the number that it stands for now.

    Raises:
        InvalidInputError: with one violation per broken rule, each with its JSON pointer.
    """
    if not is_public_name(name):
        detail = f"{name[:80]!r}: a name has {PUBLIC_NAME_RULE}"
        raise InvalidInputError([Violation("/name", "invalid_name", detail)])
    check_storable(document)
    found: list[Violation] = []
    fields = Fields(document, "", found, "a pipeline", _FIELDS)
    raw = fields.list("steps", MAX_STEPS)
    if not raw and not found:
        fields.note("steps", "required", "a pipeline has a list of at least one step")
    pipeline = Pipeline(
        steps=tuple(_step(one, where, found, aliases) for where, one in raw),
        inputs=_tensors(fields, "inputs"),
        outputs=_tensors(fields, "outputs"),
        description=fields.text("description") or "",
        kind=fields.choice("kind", PipelineKind.ENSEMBLE),
        confidence=_confidence(fields, found),
        scale=fields.choice("scale", Scale.AS_IS) if fields.get("scale") is not None else None,
        config=read_words(fields.get("config"), "/config", found),
    )
    found += _named_twice(pipeline)
    found += pattern_violations(pipeline)
    found += _itself(name, pipeline)
    if found:
        raise InvalidInputError(found[:_MAX_VIOLATIONS])
    return pipeline


def _step(raw: object, where: str, found: list[Violation], aliases: Aliases) -> Step:
    if isinstance(raw, Mapping) and "endpoint" in raw:
        detail = (
            "a step names a version or a pipeline, never an endpoint: what an endpoint sends its "
            "requests to changes with its policy, and a pipeline never does"
        )
        found.append(Violation(f"{where}/endpoint", "endpoint", detail))
        raw = {key: value for key, value in raw.items() if key != "endpoint"}
        if not raw.keys() & {"model", "pipeline"}:
            return Step("", Runs("", 0))
    fields = Fields(raw, where, found, "a step", _STEP_FIELDS)
    runs = _runs(fields, aliases)
    name = fields.get("name")
    if name is None:
        name = runs.name
    if not isinstance(name, str) or not is_public_name(name):
        fields.note("name", "invalid_name", f"{shown(name)}: {PUBLIC_NAME_RULE}")
        name = ""
    return Step(
        name,
        runs,
        _map(fields, "inputs"),
        _map(fields, "outputs"),
        at_least=fields.number("at_least", 0, 1),
        weight=fields.number("weight", 0),
    )


def read_runs(document: object, where: str, found: list[Violation]) -> Runs:
    """What a step would run that says this alone; what is wrong with it is added to `found`."""
    fields = Fields(document, where, found, "a member", _RUNS_FIELDS)
    return _runs(fields, {})


def _confidence(fields: Fields, found: list[Violation]) -> Confidence | None:
    raw = fields.get("confidence")
    if raw is None:
        return None
    inner = Fields(raw, f"{fields.where}/confidence", found, "a confidence", _CONFIDENCE_FIELDS)
    output = inner.get("output")
    if not _is_tensor_name(output):
        inner.note("output", "type", _NAME_RULE)
        output = ""
    return Confidence(output, inner.choice("score", Score.SOFTMAX))


def _runs(fields: Fields, aliases: Aliases) -> Runs:
    pipeline = fields.get("pipeline") is not None
    if pipeline == (fields.get("model") is not None):
        detail = "a step runs either a model's version or a pipeline's revision: name one of them"
        fields.note("model", "required", detail)
        return Runs("", 0)
    kind, number = ("pipeline", "revision") if pipeline else ("model", "version")
    for other in ("version",) if pipeline else ("revision",):
        if fields.get(other) is not None:
            fields.note(other, "unknown", f"a step that runs a {kind} has a {number}")
    name = fields.get(kind)
    if not isinstance(name, str) or not is_public_name(name):
        fields.note(kind, "invalid_name", f"{shown(name)}: {PUBLIC_NAME_RULE}")
        return Runs("", 0, pipeline)
    value = fields.get(number)
    if not pipeline and (alias := alias_in(value)) is not None:
        if (name, alias) not in aliases:
            detail = f"model {name!r} has no alias {alias[:80]!r}"
            fields.note(number, "not_found", detail)
        return Runs(name, aliases.get((name, alias), 0))
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_VERSION:
        or_alias = "" if pipeline else ", or an alias: '@champion'"
        fields.note(number, "invalid", f"a {number} is a whole number from 1{or_alias}")
        value = 0
    return Runs(name, value, pipeline)


def _map(fields: Fields, field: str) -> dict[str, str]:
    raw = fields.get(field)
    if raw is None:
        return {}
    if not isinstance(raw, Mapping) or len(raw) > MAX_TENSORS:
        detail = f"{field} maps the step's own tensors to the pipeline's: {{own: pipeline}}"
        fields.note(field, "type", detail)
        return {}
    for own, tensor in raw.items():
        if not (_is_tensor_name(own) and _is_tensor_name(tensor)):
            where = f"{fields.where}/{field}/{pointer_part(own)}"
            fields.found.append(Violation(where, "type", _NAME_RULE))
    return dict(raw)


def _tensors(fields: Fields, field: str) -> tuple[str, ...] | None:
    if fields.get(field) is None:
        return None
    names: list[str] = []
    for where, name in fields.list(field, MAX_TENSORS):
        if not isinstance(name, str) or not _is_tensor_name(name):
            fields.found.append(Violation(where, "type", _NAME_RULE))
        elif name in names:
            fields.found.append(Violation(where, "twice", f"{shown(name)} is listed already"))
        else:
            names.append(name)
    return tuple(names)


_NAME_RULE = f"a tensor's name is a text of 1 to {MAX_TENSOR_NAME} printable characters"


def _is_tensor_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_TENSOR_NAME and value.isprintable()


def _named_twice(pipeline: Pipeline) -> Iterator[Violation]:
    names = [step.name for step in pipeline.steps]
    for i, name in enumerate(names):
        if name and name in names[:i]:
            detail = f"another step is named {name!r}: name this one otherwise"
            yield Violation(f"/steps/{i}/name", "duplicate", detail)


def _itself(name: str, pipeline: Pipeline) -> Iterator[Violation]:
    for i, step in enumerate(pipeline.steps):
        if step.runs.pipeline and step.runs.name == name:
            detail = f"pipeline {name} cannot be a step of itself: write its steps down here"
            yield Violation(f"/steps/{i}/pipeline", "itself", detail)


def _raw_steps(document: object) -> Iterator[Mapping[str, Any]]:
    steps = document.get("steps") if isinstance(document, Mapping) else None
    if isinstance(steps, list) and len(steps) <= MAX_STEPS:
        yield from (step for step in steps if isinstance(step, Mapping))


def _step_document(step: Step) -> dict[str, Any]:
    kind = "pipeline" if step.runs.pipeline else "model"
    document: dict[str, Any] = {
        "name": step.name,
        kind: step.runs.name,
        step.runs.field: step.runs.number,
    }
    if step.inputs:
        document["inputs"] = dict(step.inputs)
    if step.outputs:
        document["outputs"] = dict(step.outputs)
    for name, value in (("at_least", step.at_least), ("weight", step.weight)):
        if value is not None:
            document[name] = value
    return document
