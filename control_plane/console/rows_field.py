"""Rows of words in a form of Django's: what an editing page has, where a record is made.

A field reads its rows from the same names as the editing pages do, draws them with the same
template, and keeps what is wrong at the row where it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.http import QueryDict
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from control_plane.console.word_rows import Rows
from control_plane.domain.violations import Violation

SAID_THERE = "what to change is said at its row"


class RowsWidget(forms.Widget):
    """The rows, each with its fields and its errors, and the button that adds one."""

    def __init__(self, names: tuple[str, ...], add: str) -> None:
        super().__init__()
        self.names, self.add = names, add

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Rows:
        sent = data if isinstance(data, QueryDict) else QueryDict()
        return Rows.sent(sent, self.names)

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return not any(each in data for each in self.names)

    def id_for_label(self, id_: str) -> str:
        """None: each field of a row has a name of its own."""
        return ""

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None
    ) -> SafeString:
        rows = value if isinstance(value, Rows) else Rows.of(self.names, ())
        context = {"rows": rows, "kind": name, "add": self.add}
        return render_to_string("console/parts/form_rows.html", context)


class RowsField(forms.Field):
    """A field of rows; `read` makes a value of them and notes at each row what is wrong."""

    def __init__(
        self, names: tuple[str, ...], read: Callable[[Rows], Any], add: str, **options: Any
    ) -> None:
        super().__init__(required=False, widget=RowsWidget(names, add), **options)
        self.read = read
        self.rows: Rows | None = None

    def clean(self, value: Rows) -> Any:
        """The value of the rows.

        Raises:
            ValidationError: a row cannot be read.
        """
        self.rows = value
        found = self.read(value)
        if value.wrong:
            raise forms.ValidationError(SAID_THERE)
        return found

    def bound_data(self, data: Rows, initial: Any) -> Rows:
        """The rows with what was found wrong with them."""
        return data if self.rows is None else self.rows

    def refuse(self, violation: Violation) -> bool:
        """Puts a refusal at its row; False where it is about none of them."""
        return self.rows is not None and self.rows.refuse(violation)
