"""A model's own words, edited: description, owner, tags, and what it has to keep up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import QueryDict

from control_plane.console.edit_page import Draft
from control_plane.console.word_rows import TAG, Rows, tag_rows, tags_in
from control_plane.domain.registry.service_level import LIMITS
from control_plane.registry.models import Model
from control_plane.registry.services import update_model


class ModelDraft(Draft):
    """The page of a model that is there."""

    template = "console/model_edit.html"
    saved = "What is said of the model was changed."
    fields = ("description", "owner", *(f"sla.{name}" for name in LIMITS))
    record: Model

    def present(self) -> dict[str, Any]:
        return {
            "description": self.record.description,
            "owner": self.record.owner,
            "tags": self.record.tags,
            "sla": self.record.sla,
        }

    def texts_of(self, record: Model) -> dict[str, str]:
        level = {f"sla.{name}": f"{record.sla[name]:.15g}" for name in record.sla}
        return {
            "description": record.description,
            "owner": record.owner,
            **{f"sla.{name}": level.get(f"sla.{name}", "") for name in LIMITS},
        }

    def lists_of(self, record: Model, form: QueryDict | None) -> dict[str, Rows]:
        return {"tags": tag_rows(record.tags) if form is None else Rows.sent(form, TAG)}

    def wanted(self) -> dict[str, Any]:
        level = {name: self.number(f"sla.{name}") for name in LIMITS}
        return {
            "description": self.texts["description"],
            "owner": self.texts["owner"].strip(),
            "tags": tags_in(self.lists["tags"]),
            "sla": {name: value for name, value in level.items() if value is not None},
        }

    def write(self, changes: Mapping[str, Any]) -> Model:
        return update_model(name=self.record.name, actor=self.actor, changes=changes)
