"""The reference of ops, as Markdown, from what they say of themselves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from .op import ANY, Op
from .table import GROUPS


def reference() -> str:
    """A section for each op, in groups."""
    return "\n".join(line for name, ops in GROUPS.items() for line in _group(name, ops))


def _group(name: str, ops: dict[str, type[Op]]) -> Iterator[str]:
    yield f"### {name}\n"
    for op_name, op in ops.items():
        yield f"#### `{op_name}`\n"
        yield f"{inspect.cleandoc(op.__doc__ or '')}\n"
        yield f"*Types:* {op.shapes}.\n"
        if ports := _ports(op):
            yield f"{ports}\n"
        yield from _table(op)


def _ports(op: type[Op]) -> str:
    """What a step's inputs and outputs may be called, where that is more than one of each."""
    said = []
    for verb, ports in (("Takes", op.takes), ("Gives", op.gives)):
        if ports not in (("input",), ("output",), (ANY,)):
            named = [f"`{p[:-1]}` if there is one" if p[-1] == "?" else f"`{p}`" for p in ports]
            said.append(f"{verb} {', '.join(named)}.")
    return " ".join(said)


def _table(section: type[BaseModel]) -> Iterator[str]:
    if section.model_fields:
        yield "| | default | |\n| --- | --- | --- |"
        for name, field in section.model_fields.items():
            yield f"| `{name}` | {_default(field)} | {field.description or ''} |"
        yield ""
    for name, field in section.model_fields.items():
        for part in _parts(field.annotation):
            if part.__name__ != "InFile":
                yield f"Each of `{name}`: {(part.__doc__ or '').partition(chr(10))[0]}\n"
                yield from _table(part)


def _parts(annotation: Any) -> list[type[BaseModel]]:
    """The tables in a field's type, however they are wrapped."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [part for inner in get_args(annotation) for part in _parts(inner)]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    if isinstance(field.default, tuple):
        return f"`{list(field.default)}`"
    return f"`{field.default}`" if isinstance(field.default, int | float | str) else ""
