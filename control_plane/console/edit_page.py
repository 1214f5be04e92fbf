"""The pages on which a model's and a version's own words are edited.

Each carries what the person saw when it was opened: what is sent to the service is the difference,
so that what somebody else said meanwhile stays, and where both changed the same text it is said.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict

from control_plane.console.record_admin import RecordAdmin, Refusal, change_url
from control_plane.console.word_rows import Rows, merge_patch
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
)

REFUSALS = (InvalidInputError, ConflictError, NotAllowedError, NotFoundError)


class Draft(ABC):
    """What is written on an editing page, and what is wrong with it.

    `texts` are its single fields; `errors` are by field, those of the whole under `""`.
    """

    template: str
    saved: str
    fields: tuple[str, ...]

    def __init__(self, record: Any, form: QueryDict | None, actor: str) -> None:
        self.record, self.actor = record, actor
        self.errors: dict[str, list[str]] = {}
        self.seen = self.present()
        self.texts = self.texts_of(record)
        if form is not None:
            self.seen = _seen(form.get("seen", ""), self.seen)
            # Every field there can be: one that somebody else filled in meanwhile, too.
            sent = {name: str(form[name]) for name in self.fields if name in form}
            self.texts |= {name: text.replace("\r\n", "\n") for name, text in sent.items()}
        self.lists = self.lists_of(record, form)

    @abstractmethod
    def present(self) -> dict[str, Any]:
        """What the record says now of what can be edited here."""

    @abstractmethod
    def texts_of(self, record: Any) -> dict[str, str]:
        """The single fields."""

    @abstractmethod
    def lists_of(self, record: Any, form: QueryDict | None) -> dict[str, Rows]:
        """The lists, as they were sent or as the record has them."""

    @abstractmethod
    def wanted(self) -> dict[str, Any]:
        """What is written, in the shape of `present`; what cannot be read is noted in `errors`."""

    @abstractmethod
    def write(self, changes: Mapping[str, Any]) -> Any:
        """Calls the service; returns the record."""

    @property
    def wrong(self) -> bool:
        return bool(self.errors) or any(rows.wrong for rows in self.lists.values())

    @property
    def seen_text(self) -> str:
        return json.dumps(self.seen)

    def refuse(self, refusal: Refusal) -> None:
        """Puts what a service refuses at its field, the rest above the form."""
        if not isinstance(refusal, InvalidInputError):
            self.say("", str(refusal))
            return
        for violation in refusal.violations:
            if any(rows.refuse(violation) for rows in self.lists.values()):
                continue
            name = violation.pointer.strip("/").replace("/", ".")
            known = name in self.texts
            where = name if known else ""
            self.say(
                where, violation.detail if known else f"{violation.pointer}: {violation.detail}"
            )

    def say(self, name: str, text: str) -> None:
        self.errors.setdefault(name, []).append(text)

    def number(self, name: str) -> float | None:
        """A single field as a number; None where it is empty."""
        text = self.texts[name].strip().replace(",", ".")
        if not text:
            return None
        try:
            return float(text)
        except ValueError:
            self.say(name, f"{text[:40]!r} is no number")
            return None

    def changes(self) -> dict[str, Any]:
        """What the service has to change; a text that somebody else changed too is refused."""
        patch = merge_patch(self.seen, self.wanted())
        present = self.present()
        for name, value in patch.items():
            now = present.get(name)
            if isinstance(value, str) and now not in (self.seen.get(name), value):
                self.say(name, f"somebody changed it meanwhile; it says now: {str(now)[:300]}")
        return patch


def edit_page(pages: RecordAdmin, request: HttpRequest, draft_of: type[Draft], record: Any) -> Any:
    """GET shows the record's words in fields; POST writes what changed."""
    form = request.POST if request.method == "POST" else None
    draft = draft_of(record, form, request.user.get_username())
    if form is not None:
        changes = draft.changes()
        if not draft.wrong:
            try:
                written = draft.write(changes) if changes else record
                pages.message_user(
                    request, draft.saved if changes else "Nothing was changed.", messages.SUCCESS
                )
                return HttpResponseRedirect(change_url(written))
            except REFUSALS as refusal:
                draft.refuse(refusal)
    context = {
        "original": record if record.pk and not record._state.adding else None,
        "draft": draft,
        "back": change_url(record) if not record._state.adding else "",
    }
    response: HttpResponse = pages.page(request, draft.template, "Edit", context)
    response.status_code = 400 if draft.wrong else 200
    return response


def _seen(text: str, otherwise: dict[str, Any]) -> dict[str, Any]:
    """What the page showed; where that cannot be read, what the record says now."""
    try:
        seen = json.loads(text)
    except ValueError:
        return otherwise
    return seen if isinstance(seen, dict) else otherwise
