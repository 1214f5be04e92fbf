"""What can still be said of a version, edited: words, tags, figures, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import QueryDict

from control_plane.console.edit_page import Draft
from control_plane.console.word_rows import (
    METRIC,
    MORE_PROVENANCE,
    TAG,
    Rows,
    metric_rows,
    metrics_in,
    tag_rows,
    tags_in,
)
from control_plane.domain.registry.provenance import KNOWN, is_empty
from control_plane.domain.stored_json import pointer_part
from control_plane.registry.models import ModelVersion
from control_plane.registry.version_edits import update_version


class VersionDraft(Draft):
    """The page of a version: its file never changes, and what its provenance says is for good."""

    template = "console/version_edit.html"
    saved = "What is said of the version was changed."
    fields = ("description", *(f"provenance.{name}" for name in KNOWN))
    record: ModelVersion

    def present(self) -> dict[str, Any]:
        return {
            "description": self.record.description,
            "tags": self.record.tags,
            "metrics": self.record.metrics,
        }

    def texts_of(self, record: ModelVersion) -> dict[str, str]:
        open_fields = [name for name in KNOWN if is_empty(record.provenance.get(name))]
        return {
            "description": record.description,
            **{f"provenance.{name}": "" for name in open_fields},
        }

    def lists_of(self, record: ModelVersion, form: QueryDict | None) -> dict[str, Rows]:
        if form is None:
            return {
                "tags": tag_rows(record.tags),
                "metrics": metric_rows(record.metrics),
                "provenance": Rows.of(MORE_PROVENANCE, ()),
            }
        return {
            "tags": Rows.sent(form, TAG),
            "metrics": Rows.sent(form, METRIC),
            "provenance": Rows.sent(form, MORE_PROVENANCE),
        }

    @property
    def settled(self) -> list[tuple[str, Any]]:
        """What the provenance says for good: known fields first, then the others by name."""
        said = self.record.provenance
        order = [*KNOWN, *sorted(said.keys() - KNOWN.keys())]
        return [(name, said[name]) for name in order if not is_empty(said.get(name))]

    @property
    def open_fields(self) -> list[tuple[str, str, str, list[str]]]:
        """(name, field, text, errors) of the known fields that are still empty."""
        return [
            (name, f"provenance.{name}", text, self.errors.get(f"provenance.{name}", []))
            for name in KNOWN
            if (text := self.texts.get(f"provenance.{name}")) is not None
        ]

    def wanted(self) -> dict[str, Any]:
        rows = self.lists["provenance"].once(
            lambda row: f"/provenance/{pointer_part(row.texts[0])}", "this field stands twice"
        )
        more = {}
        for row in rows:
            if not row.texts[0]:
                row.errors.append("a field has a name")
            more[row.texts[0]] = row.texts[1]
        known = {
            name.removeprefix("provenance."): text.strip()
            for name, text in self.texts.items()
            if name.startswith("provenance.") and text.strip()
        }
        said = {**more, **known}
        return {
            "description": self.texts["description"],
            "tags": tags_in(self.lists["tags"]),
            "metrics": metrics_in(self.lists["metrics"]),
            **({"provenance": said} if said else {}),
        }

    def write(self, changes: Mapping[str, Any]) -> ModelVersion:
        return update_version(version_id=self.record.id, actor=self.actor, changes=changes)
