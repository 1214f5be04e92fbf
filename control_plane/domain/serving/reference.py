"""The reference of serving profiles, as Markdown, from the descriptions of their fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from control_plane.domain.serving.profile import ServingProfile


def reference() -> str:
    """One table for each part of a profile, in the order of the document."""
    return "\n".join(_tables("", ServingProfile, set()))


def _tables(place: str, section: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[str]:
    """A part that stands in several places is explained in the first of them."""
    seen.add(section)
    fields = {f.alias or name: f for name, f in section.model_fields.items() if not f.exclude}
    yield f"### `{place}`\n" if place else "### At the top\n"
    yield f"{_summary(section)}\n"
    yield "| | default | |\n| --- | --- | --- |"
    for name, field in fields.items():
        said = field.description or _summary(_parts(field.annotation)[0])
        yield f"| `{name}` | {_default(field)} | {said} |"
    yield ""
    for name, field in fields.items():
        for part in _parts(field.annotation):
            if part not in seen:
                yield from _tables(f"{place}.{name}" if place else name, part, seen)


def _parts(annotation: Any) -> list[type[BaseModel]]:
    """The sections in a field's type, however they are wrapped."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [part for inner in get_args(annotation) for part in _parts(inner)]


def _summary(section: type[BaseModel]) -> str:
    return (section.__doc__ or "").partition("\n")[0]


def _default(field: FieldInfo) -> str:
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f"`{field.default}`" if isinstance(field.default, int | float | str) else ""
