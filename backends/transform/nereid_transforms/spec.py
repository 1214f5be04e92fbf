"""The words of a `transform.yaml`: inputs, steps, outputs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NoReturn

import yaml
from annotated_types import Ge, Le, Len
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from pydantic import model_validator as checks

from .tensor_type import DATATYPES, MAX_RANK

NAMES = ("transform.yaml", "transform.json")
MAX_BYTES = 4 << 20
MAX_STEPS = 256
MAX_TENSORS = 256
_MAX_PROBLEMS = 10
_WORDS = (
    ("Tuple", "The list"),
    ("tuple", "list"),
    ("dictionary", "mapping"),
    (" after validation, not 0", ""),
    ("String", "The text"),
    ("string", "text"),
)
"""What pydantic calls things, and what people do."""

_ALTERNATIVES = ("str", "int", "float", "InFile")


class SpecError(ValueError):
    """The transform cannot be; the message names the step or tensor, and what to do."""


_NAME = re.compile(r"[^\s,]{1,255}")
TensorName = Annotated[str, StringConstraints(pattern=f"^{_NAME.pattern}$")]
OpName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Dim = Annotated[int, Ge(-1), Le((1 << 31) - 1)]


def _ports(value: Any) -> Any:
    """Says in one sentence what is wrong, where a union would say it for each of its parts."""
    named: list[Any] = []
    if isinstance(value, str):
        named = [value]
    elif isinstance(value, list | tuple):
        named = list(value)
    elif isinstance(value, Mapping):
        named = [*value, *value.values()]
    else:
        raise ValueError("a tensor's name, a list of names, or a mapping of the op's names to them")
    for name in named:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} names no tensor: 1 to 255 characters without spaces")
    return value


Ports = Annotated[str | tuple[str, ...] | dict[str, str], BeforeValidator(_ports)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputSpec(Section):
    """A tensor that callers send."""

    name: TensorName
    datatype: str = Field(description="KServe v2's name: FP32, INT64, BYTES, …")
    dims: Annotated[tuple[Dim, ...], Len(0, MAX_RANK)] = Field(
        description="Of one row, without the batch; -1 where one varies."
    )

    @checks(mode="after")
    def _known(self) -> InputSpec:
        if self.datatype not in DATATYPES:
            raise ValueError(f"{self.datatype!r} is none of {', '.join(DATATYPES)}")
        if 0 in self.dims:
            raise ValueError("a dimension is -1 or above 0")
        return self


class StepSpec(Section):
    """One op, what it takes, and what its results are called."""

    op: OpName
    inputs: Ports = Field(description="A tensor, a list of them, or by what the op calls them.")
    outputs: Ports = Field(description="New names, written in the same ways.")
    options: dict[str, Any] = Field(default_factory=dict, description="The op's own.")


class OutputSpec(Section):
    """A tensor that callers get; written as its name alone where both are the same."""

    name: TensorName
    source: TensorName = Field(alias="from")

    @checks(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value, "from": value} if isinstance(value, str) else value


class TransformSpec(Section):
    """The whole file."""

    description: Annotated[str, StringConstraints(max_length=10_000)] = ""
    inputs: Annotated[tuple[InputSpec, ...], Len(1, MAX_TENSORS)]
    steps: Annotated[tuple[StepSpec, ...], Len(1, MAX_STEPS)]
    outputs: Annotated[tuple[OutputSpec, ...], Len(1, MAX_TENSORS)]


def read_spec(content: bytes) -> TransformSpec:
    """The specification in a file of YAML or JSON.

    Raises:
        SpecError: it is neither, or has a word that it cannot have, with its place.
    """
    if len(content) > MAX_BYTES:
        raise SpecError(f"a transform has at most {MAX_BYTES} bytes: put lists in files beside it")
    document = _parsed(content)
    if not isinstance(document, Mapping):
        raise SpecError("a transform is a mapping with inputs, steps and outputs")
    try:
        return TransformSpec.model_validate(document)
    except ValidationError as error:
        raise SpecError(problems(error, document)) from None
    except RecursionError:
        raise SpecError("it is nested too deep") from None


def is_json(content: bytes) -> bool:
    """True where the file is JSON, and so is called `transform.json`."""
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True


def problems(error: ValidationError, document: Mapping[str, Any], within: str = "") -> str:
    """What pydantic found, with the places in the words of the file."""
    found = {
        f"{_place(each, document, within)}{_sentence(each)}": None
        for each in error.errors()
        if not _follows(each, error.errors())
    }
    return "; ".join(list(found)[:_MAX_PROBLEMS])


def _follows(one: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> bool:
    """True where a list counts as too short because of what is wrong with an entry."""
    place = one["loc"]
    return one["type"] == "too_short" and any(
        other["loc"][: len(place)] == place and len(other["loc"]) > len(place) for other in others
    )


class _Loader(yaml.SafeLoader):
    """YAML's plain values, without aliases: a few lines of those can mean gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(
                None, None, "aliases (*name) are not taken", self.peek_event().start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[Any] = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if isinstance(name, str) and name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {name!r} is there twice", key.start_mark
                )
            seen.add(name if isinstance(name, str) else id(key))
        return super().construct_mapping(node, deep)


def _parsed(content: bytes) -> Any:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(f"it is not UTF-8: {error}") from None
    try:
        if is_json(content):
            return json.loads(content, parse_constant=_no_number)
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader with less
    except yaml.YAMLError as error:
        raise SpecError(f"it is neither YAML nor JSON: {str(error)[:500]}") from None
    except RecursionError:
        raise SpecError("it is nested too deep") from None
    except ValueError as error:  # a date that is none, an integer without end
        raise SpecError(f"it cannot be read: {str(error)[:500]}") from None


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number in JSON")


def _place(error: Mapping[str, Any], document: Mapping[str, Any], within: str) -> str:
    """`step 2 (resize) options.height: `, counted from 1 as people do."""
    words: list[str] = []
    rest = list(error["loc"])
    if error["type"] in ("missing", "extra_forbidden"):  # said in the sentence
        rest.pop()
    if within:
        words.append(within)
    elif len(rest) >= 2 and rest[0] in ("steps", "inputs", "outputs") and isinstance(rest[1], int):
        side, number = rest[:2]
        rest = rest[2:]
        words.append(f"{side[:-1]} {number + 1}{_name_of(document, side, number)}")
    # What pydantic calls the alternatives of a union is no part of the file.
    plain = [str(part) for part in rest if not (isinstance(part, str) and set("[(") & set(part))]
    while plain and plain[-1] in _ALTERNATIVES:
        plain.pop()
    if plain:
        words.append(".".join(plain))
    return f"{' '.join(words)}: " if words else ""


def _name_of(document: Mapping[str, Any], side: str, number: int) -> str:
    listed = document.get(side)
    entry = listed[number] if isinstance(listed, list) and number < len(listed) else None
    name = entry.get("op" if side == "steps" else "name") if isinstance(entry, Mapping) else None
    return f" ({name})" if isinstance(name, str) else ""


def _sentence(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return f"there is no {str(error['loc'][-1])!r} here"
    if error["type"] == "missing":
        return f"{error['loc'][-1]} is missing"
    message = str(error["msg"]).removeprefix("Value error, ")
    shown = repr(error.get("input"))
    shown = shown if len(shown) <= 60 else f"{shown[:59]}…"
    if error["type"] == "value_error":
        return message
    for theirs, ours in _WORDS:
        message = message.replace(theirs, ours)
    return f"{message[:1].lower()}{message[1:]}, not {shown}"
