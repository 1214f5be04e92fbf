"""A profile word by word, each with what it means: from the descriptions of its fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from control_plane.domain.serving.profile import ServingProfile

_APART = frozenset({"description"})


@dataclass(frozen=True)
class Explained:
    """One word of a profile: where it stands, what it says there, and what that means."""

    place: str
    value: str
    meaning: str


def explained(profile: ServingProfile) -> list[Explained]:
    """Everything that the profile says otherwise than Triton's default, in the document's order."""
    return list(_words(profile, ""))


def _words(section: BaseModel, where: str) -> Iterator[Explained]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if field.exclude or name in _APART or value == field.get_default(call_default_factory=True):
            continue
        place = f"{where}.{field.alias or name}" if where else field.alias or name
        meaning = field.description or _summary(value)
        yield from _said(value, place, meaning)


def _said(value: Any, place: str, meaning: str) -> Iterator[Explained]:
    if isinstance(value, BaseModel):
        inner = list(_words(value, place))
        yield from inner or [Explained(place, "on", meaning)]
    elif isinstance(value, tuple) and any(isinstance(one, BaseModel) for one in value):
        for i, one in enumerate(value):
            yield from _said(one, f"{place}[{i}]" if len(value) > 1 else place, _summary(one))
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _said(one, f"{place}.{key}", meaning)
    else:
        yield Explained(place, _text(value), meaning)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ", ".join(_text(one) for one in value)
    return str(value)


def _summary(value: Any) -> str:
    return (type(value).__doc__ or "").partition("\n")[0] if isinstance(value, BaseModel) else ""
