"""What an ensemble's configuration says beside its steps and tensors, in Triton's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Len
from pydantic import Field, Strict, StringConstraints, ValidationError

from control_plane.domain.serving.details import WarmupRequest, warmup_violations
from control_plane.domain.serving.profile import ResponseCache, violation_of
from control_plane.domain.serving.section import Section, Word
from control_plane.domain.violations import Violation

_MAX_VIOLATIONS = 20

Text = Annotated[str, Strict(), StringConstraints(max_length=4096)]


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
    model_warmup: Annotated[tuple[WarmupRequest, ...], Len(0, 16)] = Field(
        (), description="Requests at each load, of zeros or by chance: a pipeline has no files."
    )

    def to_document(self) -> dict[str, Any]:
        """What `read_words` reads, without what is left out."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def in_config(self) -> dict[str, Any]:
        """As they stand in a configuration."""
        said = self.to_document()
        if self.parameters:
            said["parameters"] = {
                name: {"string_value": text} for name, text in self.parameters.items()
            }
        return said


def read_words(document: object, where: str, found: list[Violation]) -> EnsembleWords | None:
    """Those of a document; what is wrong with them is added to `found`."""
    if document is None:
        return None
    if not isinstance(document, Mapping):
        found.append(Violation(where, "type", "a JSON object in Triton's words"))
        return None
    try:
        words = EnsembleWords.model_validate(dict(document))
    except ValidationError as error:
        found += [violation_of(one, where) for one in error.errors()[:_MAX_VIOLATIONS]]
        return None
    found += warmup_violations(words.model_warmup, where)
    for i, request in enumerate(words.model_warmup):
        for name, given in request.inputs.items():
            if given.input_data_file is not None:
                place = f"{where}/model_warmup/{i}/inputs/{name}/input_data_file"
                detail = "a pipeline has no files of its own: say zero_data or random_data"
                found.append(Violation(place, "unsupported", detail))
    return words if words.to_document() else None
