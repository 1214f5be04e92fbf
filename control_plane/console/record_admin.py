"""What the pages of all records share: writes go through services, and refusals are shown.

Nothing here saves a record by itself: a save behind the back of the services would miss the
audit record and the reconcile that carries the change out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, get_args

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from unfold.decorators import display

from control_plane.console import words
from control_plane.console.record_list import CountedPaginator, RecordList
from control_plane.console.rights import GrantedAdmin
from control_plane.console.rows_field import SAID_THERE, RowsField
from control_plane.console.templatetags.console import ago
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
    Violation,
)
from control_plane.ports.repository import ArtifactStoreFailedError

Refusal = (
    InvalidInputError | ConflictError | NotAllowedError | NotFoundError | ArtifactStoreFailedError
)


def change_url(record: models.Model) -> str:
    """The page of a record."""
    meta = record._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[record.pk])


def link(record: models.Model | None, text: object = None) -> SafeString | str:
    """A link to the page of a record, or nothing where there is none."""
    if record is None:
        return ""
    shown = record if text is None else text
    return format_html('<a class="n-link" href="{}">{}</a>', change_url(record), shown)


def mono(text: object) -> SafeString:
    """Text that people compare letter by letter: digests, physical names."""
    return format_html('<code class="n-code">{}</code>', text)


@lru_cache(maxsize=256)
def label(text: str, colour: str = "") -> SafeString:
    """A coloured label; without a colour, that of the status the text names.

    A list shows the same few words in each of its rows: each is made once.
    """
    kind = colour or words.COLOURS.get(text, "default")
    context = {"text": words.spaced(text), "type": kind}
    return render_to_string("unfold/helpers/label.html", context)


class RecordAdmin(GrantedAdmin):
    """A record that can be looked at; what else is possible, subclasses add.

    `empty_*` is what an empty list says: what the record is and how the first one comes about.
    `list_defer` are the columns that a list reads none of.
    """

    actions = None  # no bulk deletion beside the services
    list_per_page = 50
    list_sections = ()  # Unfold's templates look for it in every row
    list_defer: ClassVar[tuple[str, ...]] = ()
    paginator = CountedPaginator
    show_full_result_count = False  # one count of a long list is enough
    audited_as = ""
    empty_icon = "inbox"
    empty_title = "Nothing here yet"
    empty_text = ""
    empty_command = ""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """What the address prefills a form with, less what is no record's id."""
        given: dict[str, Any] = super().get_changeform_initial_data(request)
        return {name: value for name, value in given.items() if self._can_be(name, value)}

    def _can_be(self, name: str, value: Any) -> bool:
        fields = {field.name: field for field in self.opts.fields}
        field = fields.get(name)
        if not isinstance(field, models.ForeignKey):
            return True
        try:
            field.target_field.to_python(value)
        except ValidationError:
            return False
        return True

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[RecordList]:
        return RecordList

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """The audit record is the history; Django's own log does not see what the API does."""
        record = self.get_object(request, object_id)
        if record is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if not self.has_view_permission(request, record):
            raise PermissionDenied
        wanted = {"object_type": self.audited_as, "object_id": str(record.pk)}
        return HttpResponseRedirect(
            f"{reverse('admin:audit_auditevent_changelist')}?{urlencode(wanted)}"
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        record = self.get_object(request, object_id)
        context = {
            "show_history": bool(self.audited_as),
            "show_save_and_continue": False,
            "show_save_and_add_another": False,
            **(self.page_values(request, record) if record else {}),
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)

    def page_values(self, request: HttpRequest, record: Any) -> dict[str, Any]:
        """What the record's own page shows beside its fields."""
        return {}

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        one = {"show_save_and_continue": False, "show_save_and_add_another": False}
        return super().add_view(request, form_url, {**one, **(extra_context or {})})

    @display(description="created", ordering="created_at")
    def created(self, record: Any) -> SafeString | str:
        return ago(record.created_at)

    # Django's own log of the admin's doings would be a second, lesser audit record.
    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        return None

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:
        return None

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:
        return None

    def page(
        self, request: HttpRequest, template: str, title: str, context: dict[str, Any]
    ) -> TemplateResponse:
        """A page of this record beside the form, with the site's frame around it."""
        request.current_app = self.admin_site.name
        frame = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "model_admin": self,
        }
        return TemplateResponse(request, template, {**frame, **context})

    def found(self, request: HttpRequest, object_id: str, permission: str) -> Any:
        """The record, where the person may do that to it.

        Raises:
            Http404: there is no such record.
            PermissionDenied: the person may not.
        """
        record = self.get_object(request, object_id)
        if record is None:
            raise Http404(f"there is no such {self.opts.verbose_name}")
        if not getattr(self, f"has_{permission}_permission")(request, record):
            raise PermissionDenied
        return record


class ServiceAdmin(RecordAdmin):
    """A record whose form is carried out by a service function.

    Subclasses write in `write`, and name in `pointers` which field of the form a violation's
    JSON pointer belongs to.
    """

    pointers: ClassVar[Mapping[str, str]] = {}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "change", obj)

    def write(self, request: HttpRequest, form: forms.ModelForm, change: bool) -> models.Model:
        """Calls the service; returns what it wrote."""
        raise NotImplementedError

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The form; what a service refuses is shown in it, at the field, like its own errors.

        The first pass has been rolled back by then: nothing of it is stored.
        """
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except get_args(Refusal) as refusal:
            request.refusal = refusal  # type: ignore[attr-defined] # read by get_form
            return super().changeform_view(request, object_id, form_url, extra_context)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        form = super().get_form(request, obj, change=change, **kwargs)
        refusal: Refusal | None = getattr(request, "refusal", None)
        if refusal is None:
            return form
        return _refused(form, refusal, self.pointers)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Django's hook: the service writes, and the form's object becomes what it wrote."""
        if not change:
            self.check_new(request, form.cleaned_data)
        saved = self.write(request, form, change)
        obj.pk, obj._state.adding, obj._state.db = saved.pk, False, saved._state.db
        obj.refresh_from_db()


class DeletableAdmin(ServiceAdmin):
    """A record that a service deletes, after the person was told what that does."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "delete", obj)

    def remove(self, request: HttpRequest, record: Any) -> str:
        """Calls the service; returns what to tell the person."""
        raise NotImplementedError

    def consequences(self, record: Any) -> list[str]:
        """What deleting it does, in words."""
        return []

    def obstacle(self, record: Any) -> str:
        """Why it cannot be deleted as things stand, where that is known beforehand."""
        return ""

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Django's page lists rows that go along; ours says what it means for the traffic."""
        record = self.get_object(request, object_id)
        if record is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if not self.has_delete_permission(request, record):
            raise PermissionDenied
        error = self.obstacle(record)
        if request.method == "POST":
            try:
                self.message_user(request, self.remove(request, record), messages.SUCCESS)
                listed = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
                return HttpResponseRedirect(reverse(listed))
            except (ConflictError, NotFoundError) as refusal:
                error = str(refusal)
        context = {
            "original": record,
            "heading": f"Delete {self.opts.verbose_name} “{record}”?",
            "consequences": self.consequences(record),
            "error": error,
            "confirm": "Delete",
            "back": change_url(record),
        }
        response = self.page(request, "console/confirm.html", "Delete", context)
        response.status_code = 409 if error and request.method == "POST" else 200
        return response


def _refused(
    form: type[forms.ModelForm], refusal: Refusal, pointers: Mapping[str, str]
) -> type[forms.ModelForm]:
    """That form, which finds with the service that the input is not valid."""

    class Refused(form):  # type: ignore[misc,valid-type]
        def _post_clean(self) -> None:
            super()._post_clean()
            show(self, refusal, pointers)

    return Refused


def show(form: forms.BaseForm, refusal: Refusal, pointers: Mapping[str, str]) -> None:
    """Puts a refusal into a form: each violation at its field, the rest above the form."""
    if not isinstance(refusal, InvalidInputError):
        form.add_error(None, str(refusal))
        return
    for violation in refusal.violations:
        if _at_its_row(form, violation):
            continue
        name = pointers.get(violation.pointer, violation.pointer.strip("/"))
        # One entry of a list that is written into one field.
        name = re.sub(r"/[0-9]+\Z", "", name)
        if name in form.fields:
            form.add_error(name, violation.detail)
        else:
            form.add_error(None, f"{violation.pointer or '/'}: {violation.detail}")


def _at_its_row(form: forms.BaseForm, violation: Violation) -> bool:
    """Puts a violation at the row that it is about, where the form has such a row."""
    for name, field in form.fields.items():
        if isinstance(field, RowsField) and field.refuse(violation):
            if not form.has_error(name):
                form.add_error(name, SAID_THERE)
            return True
    return False


def placed(violation: Violation) -> Violation:
    """What is wrong inside the document is said at its field, with the place."""
    if violation.pointer == "/name":
        return violation
    place = violation.pointer.strip("/").replace("/", ".")
    detail = f"{place}: {violation.detail}" if place else violation.detail
    return Violation("/document", violation.code, detail)
