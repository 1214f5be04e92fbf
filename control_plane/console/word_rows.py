"""Rows of words on an editing page: tags, figures and fields of a provenance, each with its errors.

A row is a line of text fields of one name (`tag.key`, `tag.value`), so that the rows come back in
their order, with script or without. A row in which nothing is written is no row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from control_plane.domain.registry.metrics import DEFAULT_DATA_SET, by_data_set
from control_plane.domain.stored_json import pointer_part
from control_plane.domain.violations import Violation

SPARE = 2
"""Empty rows at the end, for those without script."""

TAG = ("tag.key", "tag.value")
METRIC = ("metric.data_set", "metric.name", "metric.value")
MORE_PROVENANCE = ("provenance.name", "provenance.value")


@dataclass
class Row:
    """What is written in one row, where it stands in the document, and what is wrong with it."""

    texts: list[str]
    pointer: str = ""
    errors: list[str] = field(default_factory=list)


@dataclass
class Rows:
    """The rows of one kind, as they were sent or as the record has them."""

    names: tuple[str, ...]
    rows: list[Row]

    @classmethod
    def sent(cls, form: QueryDict, names: tuple[str, ...]) -> Rows:
        lines = zip(*(form.getlist(name) for name in names), strict=False)
        texts = ([text.strip() for text in line] for line in lines)
        return cls(names, [Row(line) for line in texts if any(line)])

    @classmethod
    def of(cls, names: tuple[str, ...], lines: Iterable[Sequence[str]]) -> Rows:
        return cls(names, [Row(list(line)) for line in lines])

    @property
    def shown(self) -> list[Row]:
        """The rows with the empty ones behind them."""
        return [*self.rows, *(Row([""] * len(self.names)) for _ in range(SPARE))]

    @property
    def wrong(self) -> bool:
        return any(row.errors for row in self.rows)

    def once(self, key: Callable[[Row], str], words: str) -> Iterator[Row]:
        """The rows with their keys noted; the second of a key is refused there."""
        seen: set[str] = set()
        for row in self.rows:
            row.pointer = key(row)
            if row.pointer in seen:
                row.errors.append(words)
            else:
                seen.add(row.pointer)
                yield row

    def refuse(self, violation: Violation) -> bool:
        """Puts a refusal at its row; False where it is about none of them."""
        for row in self.rows:
            if row.pointer and row.pointer == violation.pointer:
                row.errors.append(violation.detail)
                return True
        return False


def tag_rows(tags: Mapping[str, str]) -> Rows:
    return Rows.of(TAG, sorted(tags.items()))


def tags_in(rows: Rows) -> dict[str, str]:
    """The tags that are written there."""
    kept = rows.once(lambda row: f"/tags/{pointer_part(row.texts[0])}", "this tag stands twice")
    found = {}
    for row in kept:
        key, value = row.texts
        if not key:
            row.errors.append("a tag is a word; its value may be left out")
        found[key] = value
    return found


def metric_rows(metrics: Mapping[str, Any]) -> Rows:
    return Rows.of(
        METRIC,
        (
            ("" if data_set == DEFAULT_DATA_SET else data_set, name, f"{figure:.15g}")
            for data_set, figures in by_data_set(metrics).items()
            for name, figure in sorted(figures.items())
        ),
    )


def metrics_in(rows: Rows) -> dict[str, Any]:
    """The figures that are written there; what is no number is refused at its row."""
    found: dict[str, Any] = {}
    for row in rows.once(_metric_pointer, "this figure stands twice"):
        data_set, name, text = row.texts
        if not name:
            row.errors.append("a figure has a name, such as accuracy")
            continue
        try:
            figure: float = float(text.replace(",", "."))
        except ValueError:
            row.errors.append(f"{text[:40]!r} is no number" if text else "a figure has a value")
            continue
        place = found.setdefault(data_set, {}) if data_set else found
        if not isinstance(place, dict) or isinstance(place.get(name), dict):
            row.errors.append(f"{data_set or name!r} is a figure and a data set: rename one")
        else:
            place[name] = int(figure) if figure.is_integer() and abs(figure) < 1e15 else figure
    return found


def _metric_pointer(row: Row) -> str:
    data_set, name, _ = row.texts
    if data_set == DEFAULT_DATA_SET:
        data_set = row.texts[0] = ""
    parts = [pointer_part(part) for part in (data_set, name) if part]
    return "/metrics/" + "/".join(parts)


def merge_patch(seen: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What leads from what the person saw to what they want (RFC 7396); null removes.

    What somebody else added meanwhile is in neither, and stays.
    """
    patch: dict[str, Any] = dict.fromkeys(seen.keys() - wanted.keys())
    for name, value in wanted.items():
        before = seen.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            if inner := merge_patch(before, value):
                patch[name] = inner
        elif name not in seen or value != before:
            patch[name] = value
    return patch
