"""All ops by name: ours, and those that the operator installed beside us."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from pydantic import BaseModel

from . import categories, dates, documents, images, numbers, scores, shapes, texts
from .op import Op

ENTRY_POINTS = "nereid.transforms"
"""The group under which a package names ops of its own."""

GROUPS: dict[str, dict[str, type[Op]]] = {
    "Images": images.OPS,
    "Texts": texts.OPS,
    "Numbers": numbers.OPS,
    "Categories": categories.OPS,
    "Dates": dates.OPS,
    "Shapes": shapes.OPS,
    "Scores": scores.OPS,
    "JSON": documents.OPS,
}
"""In the order of the reference."""

OURS: dict[str, type[Op]] = {name: op for group in GROUPS.values() for name, op in group.items()}


def op_class(name: str) -> type[Any]:
    """The op of that name. A package's op is imported only where a transform names it.

    Raises:
        ValueError: there is none, or it is none of the form that `OpClass` asks for.
    """
    if name in OURS:
        return OURS[name]
    own = {entry.name: entry for entry in importlib.metadata.entry_points(group=ENTRY_POINTS)}
    if name not in own:
        installed = f", and installed here: {', '.join(sorted(own))}" if own else ""
        raise ValueError(f"there is no op {name!r}; there are {', '.join(sorted(OURS))}{installed}")
    try:
        found = own[name].load()
    except Exception as error:  # whatever a package raises while it is imported
        raise ValueError(
            f"the op {name!r} of {own[name].value} cannot be imported: {error}"
        ) from error
    wanted = [word for word in ("takes", "gives", "infer", "run") if not hasattr(found, word)]
    if wanted or not (isinstance(found, type) and issubclass(found, BaseModel)):
        raise ValueError(
            f"the op {name!r} of {own[name].value} is no pydantic model with takes, gives, infer "
            "and run"
        )
    return found
