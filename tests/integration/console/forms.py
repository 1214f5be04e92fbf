"""What a browser would send of a page's form, read from the page itself."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

Fields = dict[str, list[str]]


class _Form(HTMLParser):
    """The fields of the one form that previews; templates are not part of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: list[tuple[str, str]] = []
        self.aside = 0
        self.select: str | None = None
        self.options: list[tuple[str, bool]] = []
        self.textarea: str | None = None
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if tag == "template":
            self.aside += 1
        if self.aside:
            return
        if tag == "input":
            self._input(values)
        elif tag == "select":
            self.select, self.options = values.get("name"), []
        elif tag == "option" and self.select:
            self.options.append((values.get("value") or "", "selected" in values))
        elif tag == "textarea":
            self.textarea, self.text = values.get("name"), ""

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "template":
            self.aside -= 1
        elif tag == "select" and self.select and not self.aside:
            chosen = [value for value, selected in self.options if selected]
            self.fields.append((self.select, (chosen or [self.options[0][0]])[-1]))
            self.select = None
        elif tag == "textarea" and self.textarea and not self.aside:
            # A parser drops the first line's end; a browser sends its own kind of line ends.
            text = self.text.removeprefix("\n").replace("\n", "\r\n")
            self.fields.append((self.textarea, text))
            self.textarea = None

    def _input(self, values: dict[str, str | None]) -> None:
        name, kind = values.get("name"), values.get("type", "text")
        if not name or kind == "submit":
            return
        if kind in ("checkbox", "radio") and "checked" not in values:
            return
        text = values.get("value") or ""
        # No browser sends line ends from a field of one line.
        self.fields.append((name, text.replace("\r", "").replace("\n", "")))


def form_fields(page: Any) -> Fields:
    """The fields by name, in the order of the page; `page` is a response or its HTML."""
    reader = _Form()
    reader.feed(page if isinstance(page, str) else page.content.decode())
    fields: Fields = {}
    for name, value in reader.fields:
        fields.setdefault(name, []).append(value)
    return fields
