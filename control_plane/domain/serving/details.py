"""What Triton's configuration says of one model, beside its signature and its serving profile.

A profile fits any model; this names the model's own tensors and files. It comes with a version,
in Triton's words, and is written into the configuration that serves it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from annotated_types import Ge, Len, MinLen
from pydantic import AfterValidator, Field, Strict, StringConstraints, ValidationError

from control_plane.domain.registry.frameworks import (
    AGENT,
    CUSTOM,
    GOLDEN_FILE,
    LIBRARY,
    MAIN_FILES,
    MEMBER_RULE,
    RUNTIME,
    UPLOADED_CONFIG,
    is_member_name,
)
from control_plane.domain.registry.uploaded_config import BACKENDS
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
_WRITTEN_HERE = frozenset({"traffic", "cascade", "weighted_average", "remote"})


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


def _no_folder(name: str) -> str:
    if "/" in name:
        raise ValueError("a name without folders")
    return name


def _not_ours(name: str) -> str:
    if name in _WRITTEN_HERE:
        raise ValueError("what such a model has is written by Nereid alone")
    return name


FileName = Annotated[str, Strict(), StringConstraints(max_length=200), AfterValidator(_a_member)]
PlainName = Annotated[FileName, AfterValidator(_no_folder)]
Capability = Annotated[str, Strict(), StringConstraints(pattern=r"^[1-9][0-9]?\.[0-9]$")]
AgentName = Annotated[str, Strict(), StringConstraints(pattern=r"^[A-Za-z0-9_]{1,64}$")]
BackendName = Annotated[
    str, Strict(), StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$"), AfterValidator(_not_ours)
]
AgentParameter = Annotated[str, Strict(), StringConstraints(max_length=4096)]
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


class Operations(Section):
    """Operators of the model's own."""

    op_library_filename: Annotated[tuple[FileName, ...], MinLen(1)] = Field(
        description="Libraries in the version's folder, or beside it."
    )


class Agent(Section):
    """Code of the server's that sees the model's files before it loads them."""

    name: AgentName
    parameters: Annotated[Mapping[Word, AgentParameter], Len(0, 64)] = Field(default_factory=dict)


class Agents(Section):
    """Repository agents, in the order in which they are asked."""

    agents: Annotated[tuple[Agent, ...], Len(1, 16)]


class Details(Section):
    """What a configuration says of the model itself."""

    backend: BackendName | None = Field(
        None, description="Of a model of the framework custom: what serves it."
    )
    platform: Word | None = Field(None, description="What its backend is told of it.")
    default_model_filename: PlainName | None = Field(
        None, description="The model's file or folder in the version's, where it is another."
    )
    cc_model_filenames: Annotated[Mapping[Capability, PlainName], Len(0, 64)] = Field(
        default_factory=dict, description="By CUDA compute capability: the file for such a GPU."
    )
    runtime: PlainName | None = Field(None, description="The library that is the backend.")
    model_operations: Operations | None = None
    model_repository_agents: Agents | None = None
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
    def libraries(self) -> tuple[str, ...]:
        """Of operators, in the order in which they are loaded."""
        return self.model_operations.op_library_filename if self.model_operations else ()

    @property
    def own_runtime(self) -> str:
        """The runtime that Triton would not find by itself; empty: there is none.

        The usual name of one is what a running Triton prints; another server's may be another, so
        it is kept for the export alone.
        """
        backends = {name for names in BACKENDS.values() for name in names} | {self.backend}
        usual = {"model.py", *(f"libtriton_{backend}.so" for backend in backends)}
        return "" if self.runtime in usual else self.runtime or ""

    @property
    def code(self) -> tuple[str, ...]:
        """What of it can carry code, in words."""
        said = (
            (LIBRARY, self.model_operations),
            (AGENT, self.model_repository_agents),
            (RUNTIME, self.own_runtime),
        )
        return tuple(kind for kind, value in said if value)

    def unserved_reason(self, files: Collection[str]) -> str:
        """Why no server can be given the model, in words; empty where one can.

        Args:
            files: of the version's folder.
        """
        if self.model_repository_agents:
            names = [agent.name for agent in self.model_repository_agents.agents]
            listed = ", ".join(names)
            return f"it asks the repository agent {listed}, and no server is known to have that"
        if self.own_runtime and self.own_runtime not in files:
            return f"its runtime {self.own_runtime} is not in the version's folder"
        return ""

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


def main_file(framework: str, details: Details, files: Collection[str]) -> str:
    """The model's own file by its path in the version's folder: of a folder, the file that it has.

    Args:
        files: of the version's folder; where none of them can be it, what it should be called.
    """
    usual = MAIN_FILES[framework]
    if not details.default_model_filename:
        there = next((name for name in usual if name in files), "")
        by_capability = [
            _inside(usual, name, files) for name in details.cc_model_filenames.values()
        ]
        if framework == CUSTOM and not there:
            return min((name for name in files if not name.startswith(MODEL_FOLDER)), default="")
        return there or next((name for name in by_capability if name in files), usual[0])
    return _inside(usual, details.default_model_filename, files)


def _inside(usual: tuple[str, ...], name: str, files: Collection[str]) -> str:
    found = [f"{name}/{one.rpartition('/')[2]}" for one in usual]
    return next((path for path in found if path in files), name)


def is_there(name: str, files: Collection[str]) -> bool:
    """True where it is one of the files, or a folder with some of them."""
    return name in files or any(path.startswith(f"{name}/") for path in files)


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


def warmup_violations(requests: Sequence[WarmupRequest], where: str) -> Iterator[Violation]:
    """Inputs that hold nothing, or more than one thing, and names that are taken."""
    for i, request in enumerate(requests):
        for name, given in request.inputs.items():
            said = (given.zero_data, given.random_data, given.input_data_file)
            if sum(one is not None for one in said) != 1:
                place = f"{where}/model_warmup/{i}/inputs/{name}"
                detail = "one of zero_data, random_data and input_data_file"
                yield Violation(place, "exclusive", detail)
            if _OF_EXAMPLES.fullmatch(given.input_data_file or ""):
                place = f"{where}/model_warmup/{i}/inputs/{name}/input_data_file"
                yield Violation(place, "reserved", "such names are for golden examples")


def _contradictions(details: Details, where: str) -> Iterator[Violation]:
    for side in ("input", "output"):
        names = [one.name for one in getattr(details, side)]
        for i, name in enumerate(names):
            if name in names[:i]:
                yield Violation(f"{where}/{side}/{i}/name", "twice", f"{name!r} is given twice")
    yield from warmup_violations(details.model_warmup, where)
    policy = details.version_policy
    if policy and sum(one is not None for one in (policy.latest, policy.all, policy.specific)) != 1:
        yield Violation(f"{where}/version_policy", "exclusive", "one of latest, all and specific")
