"""What an ensemble's configuration says beside its steps and tensors, in Triton's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from annotated_types import Len
from pydantic import Field, Strict, StringConstraints, ValidationError

from control_plane.domain.serving.details import FileName, beside_problem
from control_plane.domain.serving.profile import ResponseCache, violation_of
from control_plane.domain.serving.section import Section, Word
from control_plane.domain.stored_json import pointer_part
from control_plane.domain.violations import Violation

MAX_LABELS = 1 << 20
"""Characters of all labels of a pipeline: they are kept in its document, and in every plan."""

REFUSED_BY_TRITON = ("instance_group", "model_warmup", "optimization")
"""What belongs to an ensemble's members: Triton loads no ensemble that says it of itself."""

_MAX_VIOLATIONS = 20

Text = Annotated[str, Strict(), StringConstraints(max_length=4096)]
Label = Annotated[str, Strict(), StringConstraints(max_length=1000, pattern=r"^[^\n]*$")]


class LabelledOutput(Section):
    """An output whose values have names, for the classification extension."""

    name: Word
    label_filename: FileName


class EnsembleWords(Section):
    """Each is left out where it is not said; no backend reads an ensemble's parameters."""

    response_cache: ResponseCache | None = Field(
        None, description="Answers of the whole pipeline are kept; needs a server with a cache."
    )
    parameters: Annotated[Mapping[Word, Text], Len(0, 64)] = Field(
        default_factory=dict, description="For whoever reads the model's configuration."
    )
    metric_tags: Annotated[Mapping[Word, Text], Len(0, 64)] = Field(
        default_factory=dict, description="Labels on Triton's metrics of it."
    )
    output: Annotated[tuple[LabelledOutput, ...], Len(0, 64)] = Field(
        (), description="Outputs with labels of their own; the others have those of their step."
    )
    label_files: Annotated[Mapping[FileName, tuple[Label, ...]], Len(0, 64)] = Field(
        default_factory=dict, description="The labels by file, in the order of the values."
    )

    def to_document(self) -> dict[str, Any]:
        """What `read_words` reads, without what is left out."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def in_config(self) -> dict[str, Any]:
        """As they stand in a configuration; those of its outputs are in `labels`."""
        said = self.model_dump(
            mode="json", exclude_defaults=True, exclude={"output", "label_files"}
        )
        if self.parameters:
            said["parameters"] = {
                name: {"string_value": text} for name, text in self.parameters.items()
            }
        return said

    @property
    def labels(self) -> dict[str, str]:
        """By output, the file that has its labels."""
        return {one.name: one.label_filename for one in self.output}

    @property
    def texts(self) -> dict[str, str]:
        """The files that lie beside the ensemble's configuration."""
        return {
            name: "".join(f"{one}\n" for one in self.label_files[name]) for name in self.label_files
        }


def read_words(document: object, where: str, found: list[Violation]) -> EnsembleWords | None:
    """Those of a document; what is wrong with them is added to `found`."""
    if document is None:
        return None
    if not isinstance(document, Mapping):
        found.append(Violation(where, "type", "a JSON object in Triton's words"))
        return None
    said = dict(document)
    for key in REFUSED_BY_TRITON:
        if said.pop(key, None) is not None:
            found.append(Violation(f"{where}/{key}", "unsupported", refusal(key)))
    try:
        words = EnsembleWords.model_validate(said)
    except ValidationError as error:
        found += [violation_of(one, where) for one in error.errors()[:_MAX_VIOLATIONS]]
        return None
    found += _label_violations(words, where)
    return words if words.to_document() else None


def refusal(key: str) -> str:
    """Why an ensemble does not say it, in words."""
    return f"Triton loads no ensemble that has {key}: say it of the models that its steps run"


def _label_violations(words: EnsembleWords, where: str) -> Iterator[Violation]:
    """Outputs named twice, files that are not there or lie where they cannot, and too many."""
    names = [one.name for one in words.output]
    for i, one in enumerate(words.output):
        if one.name in names[:i]:
            yield Violation(f"{where}/output/{i}/name", "twice", f"{one.name!r} is given twice")
        if one.label_filename not in words.label_files:
            detail = f"there is no {one.label_filename} among label_files"
            yield Violation(f"{where}/output/{i}/label_filename", "missing_file", detail)
    used = set(words.labels.values())
    for name in words.label_files:
        place = f"{where}/label_files/{pointer_part(name)}"
        if why := beside_problem(name):
            yield Violation(place, "invalid_name", why)
        elif name not in used:
            yield Violation(place, "unused", "no output has its labels in this file")
    if (size := sum(map(len, words.texts.values()))) > MAX_LABELS:
        detail = f"{size} characters of labels; a pipeline has at most {MAX_LABELS}"
        yield Violation(f"{where}/label_files", "max_length", detail)
