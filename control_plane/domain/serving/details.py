"""What Triton's configuration says of one model, beside its signature and its serving profile.

A profile fits any model; this names the model's own tensors and files. It comes with a version,
in Triton's words, and is written into the configuration that serves it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Len, MinLen
from pydantic import AfterValidator, Field, Strict, StringConstraints, ValidationError

from control_plane.domain.registry.frameworks import (
    GOLDEN_FILE,
    MEMBER_RULE,
    UPLOADED_CONFIG,
    is_member_name,
)
from control_plane.domain.serving.profile import violation_of
from control_plane.domain.serving.section import Dim, Flag, Natural, Positive, Section, Word
from control_plane.domain.serving.sequences import DataType
from control_plane.domain.violations import InvalidInputError, Violation

MODEL_FOLDER = "__model__/"
"""In an archive: what lies beside the versions in Triton's model directory, and not in one."""

VARIANTS = "configs/"
"""Beside the versions: whole configurations by name, which Triton takes on demand."""

MAX_DETAILS_BYTES = 64 << 10
_MAX_VIOLATIONS = 20
_OF_EXAMPLES = re.compile(r"golden-[0-9]+-[0-9]+")


def beside_problem(name: str) -> str:
    """Why a file cannot lie beside a model's versions, in words; empty where it can.

    Args:
        name: its path in Triton's model directory.
    """
    if name in (UPLOADED_CONFIG, GOLDEN_FILE):
        return f"{name} beside the versions is Nereid's own"
    if name.startswith("warmup/") and _OF_EXAMPLES.fullmatch(name.rpartition("/")[2]):
        return f"{name} is the name of a golden example's data"
    if name.partition("/")[0].isdecimal():
        return f"{name} would lie in a version's folder"
    return ""


def _a_member(name: str) -> str:
    if not is_member_name(name):
        raise ValueError(f"a file's name has {MEMBER_RULE}")
    return name


FileName = Annotated[str, Strict(), StringConstraints(max_length=200), AfterValidator(_a_member)]
VersionNumber = Annotated[int, Strict(), Ge(1)]


class TensorDetails(Section):
    """What is said of an input or output beside its type and shape."""

    name: Word = Field(description="Of the model's tensor.")
    dims: tuple[Dim, ...] | None = Field(
        None,
        description="What callers send or get, where the model's own shape is another (reshape).",
    )
    is_shape_tensor: Flag = Field(False, description="Its values are a shape (TensorRT).")
    is_non_linear_format_io: Flag = Field(False, description="Its memory has a layout of its own.")


class InputDetails(TensorDetails):
    """Of an input."""

    format: Literal["FORMAT_NHWC", "FORMAT_NCHW"] | None = Field(
        None, description="Where the channels of a picture are."
    )
    allow_ragged_batch: Flag = Field(
        False, description="Requests of different shapes share a batch, one behind the other."
    )
    optional: Flag = Field(False, description="Callers may leave it out.")


class OutputDetails(TensorDetails):
    """Of an output."""

    label_filename: FileName | None = Field(
        None, description="A file with one label a line, for the classification extension."
    )


class BatchInput(Section):
    """Inputs that the batcher fills with what it knows of a batch."""

    kind: Literal[
        "BATCH_ELEMENT_COUNT",
        "BATCH_ACCUMULATED_ELEMENT_COUNT",
        "BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO",
        "BATCH_MAX_ELEMENT_COUNT_AS_SHAPE",
        "BATCH_ITEM_SHAPE",
        "BATCH_ITEM_SHAPE_FLATTEN",
    ] = "BATCH_ELEMENT_COUNT"
    target_name: Annotated[tuple[Word, ...], MinLen(1)]
    data_type: DataType
    source_input: tuple[Word, ...] = ()


class BatchOutput(Section):
    """Outputs that are cut into the answers by the shape of an input."""

    kind: Literal["BATCH_SCATTER_WITH_INPUT_SHAPE"] = "BATCH_SCATTER_WITH_INPUT_SHAPE"
    target_name: Annotated[tuple[Word, ...], MinLen(1)]
    source_input: tuple[Word, ...] = ()


class WarmupInput(Section):
    """What one input of a warm-up request holds: zeros, chance, or a file under `warmup/`."""

    data_type: DataType
    dims: tuple[Dim, ...]
    zero_data: Literal[True] | None = None
    random_data: Literal[True] | None = None
    input_data_file: FileName | None = None


class WarmupRequest(Section):
    """One request of the server's own, at each load."""

    name: Word
    batch_size: Natural = 0
    count: Positive = 1
    inputs: Annotated[Mapping[Word, WarmupInput], Len(1)]


class Latest(Section):
    """The versions with the highest numbers."""

    num_versions: Positive = 1


class All(Section):
    """Every version."""


class Specific(Section):
    """Versions by number."""

    versions: Annotated[tuple[VersionNumber, ...], MinLen(1)]


class VersionPolicy(Section):
    """Which versions a plain Triton serves; here every version is served under a name of its own.

    It is kept for the export.
    """

    latest: Latest | None = None
    all: All | None = None
    specific: Specific | None = None


class Details(Section):
    """What a configuration says of the model itself."""

    input: tuple[InputDetails, ...] = ()
    output: tuple[OutputDetails, ...] = ()
    batch_input: tuple[BatchInput, ...] = ()
    batch_output: tuple[BatchOutput, ...] = ()
    model_warmup: tuple[WarmupRequest, ...] = ()
    version_policy: VersionPolicy | None = None

    def to_document(self) -> dict[str, Any]:
        """What `read_details` reads, without what is left at its default."""
        return self.model_dump(mode="json", exclude_defaults=True, by_alias=True)

    @property
    def files(self) -> tuple[str, ...]:
        """The files of the model's directory that it names, each once."""
        labels = [one.label_filename for one in self.output if one.label_filename]
        data = [
            f"warmup/{given.input_data_file}"
            for request in self.model_warmup
            for given in request.inputs.values()
            if given.input_data_file
        ]
        return tuple(dict.fromkeys([*labels, *data]))

    @property
    def filled(self) -> frozenset[str]:
        """The inputs that the batcher fills: callers neither see nor send them."""
        return frozenset(name for one in self.batch_input for name in one.target_name)

    def dims_of(self, side: Literal["input", "output"]) -> dict[str, tuple[int, ...]]:
        """What callers send or get of the tensors that are reshaped, without the batch."""
        return {one.name: one.dims for one in getattr(self, side) if one.dims is not None}


NO_DETAILS = Details()


def read_details(document: object, where: str = "/model_config") -> Details:
    """The details in a document.

    Raises:
        InvalidInputError: unknown words, values out of range, or parts that do not go together.
    """
    if not isinstance(document, Mapping):
        raise InvalidInputError([Violation(where, "type", "a JSON object in Triton's words")])
    size = len(json.dumps(document, ensure_ascii=False).encode())
    if size > MAX_DETAILS_BYTES:
        detail = f"{size} bytes as JSON; there are at most {MAX_DETAILS_BYTES}"
        raise InvalidInputError([Violation(where, "max_length", detail)])
    try:
        details = Details.model_validate(dict(document))
    except ValidationError as error:
        found = [violation_of(one, where) for one in error.errors()[:_MAX_VIOLATIONS]]
        raise InvalidInputError(found) from error
    if contradictions := list(_contradictions(details, where))[:_MAX_VIOLATIONS]:
        raise InvalidInputError(contradictions)
    return details


def _contradictions(details: Details, where: str) -> Iterator[Violation]:
    for side in ("input", "output"):
        names = [one.name for one in getattr(details, side)]
        for i, name in enumerate(names):
            if name in names[:i]:
                yield Violation(f"{where}/{side}/{i}/name", "twice", f"{name!r} is given twice")
    for i, request in enumerate(details.model_warmup):
        for name, given in request.inputs.items():
            said = (given.zero_data, given.random_data, given.input_data_file)
            if sum(one is not None for one in said) != 1:
                place = f"{where}/model_warmup/{i}/inputs/{name}"
                detail = "one of zero_data, random_data and input_data_file"
                yield Violation(place, "exclusive", detail)
            if _OF_EXAMPLES.fullmatch(given.input_data_file or ""):
                place = f"{where}/model_warmup/{i}/inputs/{name}/input_data_file"
                yield Violation(place, "reserved", "such names are for golden examples")
    policy = details.version_policy
    if policy and sum(one is not None for one in (policy.latest, policy.all, policy.specific)) != 1:
        yield Violation(f"{where}/version_policy", "exclusive", "one of latest, all and specific")
