"""The addresses of MLflow's registry: `models:/digits/3`, `models:/digits@champion`."""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.ports.sources import SourceRefusedError

SCHEME = "models"
_MAX_NAME = 256
_FORMS = "write models:/NAME@ALIAS or models:/NAME/NUMBER"


@dataclass(frozen=True)
class ModelAddress:
    """A version in the registry, by its number or by an alias."""

    name: str
    number: str = ""
    alias: str = ""

    def __str__(self) -> str:
        return f"{SCHEME}:/{self.name}" + (f"@{self.alias}" if self.alias else f"/{self.number}")


def is_number(text: str) -> bool:
    """Whether it can be a version's number."""
    return text.isascii() and text.isdecimal() and len(text) < 10


def read_address(source: str) -> ModelAddress:
    """What an address names.

    Raises:
        SourceRefusedError: it is none, or one that says something else tomorrow (a stage,
            `latest`).
    """
    rest = source.removeprefix(f"{SCHEME}:")
    if rest == source or not rest.startswith("/") or rest.startswith("//"):
        raise SourceRefusedError(f"{source[:300]!r}: {_FORMS}")
    name, slash, which = rest[1:].partition("/")
    alias = ""
    if not slash and "@" not in name:
        raise SourceRefusedError(f"{source[:300]!r} names no version: {_FORMS}")
    if not slash:
        name, _, alias = name.rpartition("@")
    if not name or len(name) > _MAX_NAME or not name.isprintable() or ":" in name:
        raise SourceRefusedError(f"{source[:300]!r} names no model: {_FORMS}")
    if slash and not is_number(which):
        said = "a stage or 'latest' moves" if which else "a version has a number"
        raise SourceRefusedError(f"{source[:300]!r}: {said}; {_FORMS}")
    if not slash and not (alias and alias.isprintable() and len(alias) <= _MAX_NAME):
        raise SourceRefusedError(f"{source[:300]!r} names no alias: {_FORMS}")
    return ModelAddress(name, which, alias)
