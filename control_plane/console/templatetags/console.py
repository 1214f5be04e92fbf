"""Small words in templates: how long ago, how large, which colour."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import template
from django.db.models import Model
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from control_plane.console import words
from control_plane.console.diff import DiffFile, diff_files
from control_plane.console.markdown import html_of
from control_plane.console.tensor_rows import INPUT, OUTPUT
from control_plane.console.word_rows import METRIC, MORE_PROVENANCE, TAG, Row, Rows
from control_plane.domain.routing.fields import MAX_NUMBER

register = template.Library()


@register.filter
def ago(moment: datetime | None) -> str | SafeString:
    """`12 s ago`, with the exact time where the pointer rests."""
    if moment is None:
        return "never"
    exact = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        exact,
        words.ago(moment, timezone.now()),
    )


@register.filter
def colour(status: str) -> str:
    """Unfold's colour word for a status."""
    return words.COLOURS.get(status, "default")


@register.filter
def spaced(state: str) -> str:
    """A state in words: `rolling back`."""
    return words.spaced(state)


@register.filter
def served(arm: Mapping[str, Any]) -> str:
    """What an arm of a policy serves: `digits v2`, `digits-png r2`."""
    return words.served(arm)


@register.filter
def share(value: float | None) -> str:
    """A percent with as many decimals as it needs: 90, 10.5, 9.97."""
    return words.number(value)


@register.filter
def diff(text: str) -> list[DiffFile]:
    """A unified diff, file by file, each line with its kind."""
    return diff_files(text)


@register.filter
def size(count: int) -> str:
    """Bytes in the unit people read, which stays beside its figure at the end of a line."""
    return words.size(count).replace(" ", "\u00a0")


@register.filter
def markdown(text: str) -> SafeString:
    """Markdown as HTML that can do nothing."""
    return html_of(text)


@register.filter
def json_text(value: Any) -> str:
    """A document as people read it."""
    return json.dumps(value, indent=2, ensure_ascii=False)


@register.filter
def item(mapping: Any, key: str) -> Any:
    """`mapping[key]`, or nothing."""
    return mapping.get(key) if hasattr(mapping, "get") else None


@register.filter
def metric(value: object) -> str:
    """An evaluation metric with four digits."""
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)


@register.filter
def shape(dims: list[int] | None) -> str:
    """`[?, 1, 8, 8]`; a dimension that varies is a question mark."""
    return f"[{', '.join('?' if dim < 0 else str(dim) for dim in dims or [])}]"


@register.filter
def latency(value: float | None) -> str:
    """Microseconds in the unit people read."""
    return words.microseconds(value)


@register.filter
def percent(value: float | None) -> str:
    """`9.97 %`, or a dash."""
    return words.percent(value)


@register.filter
def milliseconds(value: float | None) -> str:
    """Milliseconds in the unit people read."""
    return words.microseconds(None if value is None else 1000 * value)


@register.filter
def page(record: Model | None) -> str:
    """The address of a record's page."""
    if record is None:
        return ""
    meta = record._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[record.pk])


@register.filter
def router_version(version: str) -> str:
    """What a version of a router is for: it has one for each version, and the policy's own."""
    return "by the policy" if version == str(MAX_NUMBER) else f"version {version} itself"


@register.filter
def moment(value: datetime) -> SafeString:
    """The exact time, and how long ago that is."""
    return format_html("{} UTC ({})", f"{value:%Y-%m-%d %H:%M:%S}", ago(value))


_ROW_TEXTS: Mapping[tuple[str, ...], tuple[tuple[str, str, int, str], ...]] = {
    TAG: (("team", "Tag", 100, ""), ("vision", "Its value", 200, "")),
    METRIC: (
        ("default", "Data set", 100, ""),
        ("accuracy", "Name of the figure", 100, ""),
        ("0.98", "Figure", 40, "decimal"),
    ),
    INPUT: (
        ("image", "Name of the input", 255, ""),
        ("FP32", "Datatype", 10, ""),
        ("-1, 1, 8, 8", "Shape", 200, ""),
    ),
    OUTPUT: (
        ("logits", "Name of the output", 255, ""),
        ("FP32", "Datatype", 10, ""),
        ("-1, 10", "Shape", 200, ""),
    ),
    MORE_PROVENANCE: (("dataset", "Field", 100, ""), ("digits-2026", "What it says", 1000, "")),
}
"""Fields of a row -> for each its placeholder, label, longest text and keyboard."""


@register.inclusion_tag("console/parts/edit_row.html")
def edit_row(rows: Rows, row: Row, number: int) -> dict[str, Any]:
    """One row of text fields on an editing page."""
    texts = [
        {
            "name": name,
            "value": value,
            "placeholder": placeholder,
            "label": label,
            "most": most,
            "mode": mode,
        }
        for name, value, (placeholder, label, most, mode) in zip(
            rows.names, row.texts, _ROW_TEXTS[rows.names], strict=True
        )
    ]
    return {"row": row, "texts": texts, "number": number}


@register.inclusion_tag("console/parts/edit_row.html")
def blank_row(rows: Rows) -> dict[str, Any]:
    """The row that a script adds."""
    return edit_row(rows, Row([""] * len(rows.names)), 0)


@register.inclusion_tag("console/parts/edit_text.html")
def edit_text(
    draft: Any, name: str, label: str, placeholder: str, mode: str = ""
) -> dict[str, Any]:
    """A single field of an editing page."""
    return {
        "name": name,
        "label": label,
        "placeholder": placeholder,
        "mode": mode,
        "value": draft.texts[name],
        "errors": draft.errors.get(name, []),
    }
