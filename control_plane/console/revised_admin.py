"""Pages of named documents with revisions: some come with Nereid, others are made and changed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from control_plane.console.record_admin import DeletableAdmin, placed
from control_plane.domain.violations import ConflictError, InvalidInputError, Violation

_TEXTAREA = {"class": "n-mono", "spellcheck": "false"}


class DocumentForm(forms.ModelForm):
    """A name and a document; `seen` is the revision that the page showed."""

    begins_with: Any = None
    """The document of the form of a new one."""

    document = forms.CharField(widget=UnfoldAdminTextareaWidget({"rows": 20, **_TEXTAREA}))
    seen = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        row = self.instance
        if row.pk and row.newest:
            self.initial["document"] = self.text(row.revisions.get(number=row.newest).document)
            self.initial["seen"] = row.newest
        elif "document" not in self.initial:
            self.initial["document"] = self.text(self.begins_with)

    @staticmethod
    def text(document: Any) -> str:
        """A document as it is shown and edited."""
        raise NotImplementedError

    def clean_document(self) -> Any:
        try:
            return json.loads(self.cleaned_data["document"])
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(f"this is no JSON: {error}") from error

    def _post_clean(self) -> None:
        """Fills in no record: the service writes it, and its refusals are in its own words."""


class RevisedAdmin(DeletableAdmin):
    """A list of one's own with those of Nereid below, a page and a form each."""

    noun: str
    """What one is called in a sentence: `profile`."""

    built_in_address: str
    built_in_template: str
    """The name of the address of one that comes with Nereid, and its page's template."""

    search_fields = ("name",)
    fields = ("name", "document", "seen")

    def known(self) -> Iterable[Any]:
        """Every one there is."""
        raise NotImplementedError

    def comes_with_nereid(self, name: str) -> bool:
        raise NotImplementedError

    def document_of(self, known: Any) -> Any:
        raise NotImplementedError

    def context(self, request: HttpRequest, name: str) -> dict[str, Any]:
        """What the page of one shows above its form."""
        raise NotImplementedError

    def revisions(self, record: Any) -> Any:
        raise NotImplementedError

    def locked(self, name: str) -> Any:
        """The record, held until the write is done; None: it will be new."""
        raise NotImplementedError

    def put(self, *, name: str, document: object, actor: str) -> Any:
        raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        shown = self.admin_site.admin_view(self.built_in_view)
        address = path("built-in/<slug:name>/", shown, name=self.built_in_address)
        return [address, *super().get_urls()]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name",) if obj else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        writes = self.has_change_permission(request, obj) if obj else True
        return ("name", "document", "seen") if writes else ("name",)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """`?like=NAME` begins with what that one says."""
        like = {known.name: known for known in self.known()}.get(request.GET.get("like", ""))
        return {"document": self.form.text(self.document_of(like))} if like else {}

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        given = [known for known in self.known() if known.built_in]
        return super().changelist_view(request, {"built_in": given, **(extra_context or {})})

    def built_in_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """The page of one that comes with Nereid; it stays when one's own takes its place."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if not self.comes_with_nereid(name):
            raise Http404(f"no {self.noun} {name!r} comes with Nereid")
        context = {
            **self.context(request, name),
            "may_add": self.has_add_permission(request),
        }
        return self.page(request, self.built_in_template, name, context)

    def page_values(self, request: HttpRequest, record: Any) -> dict[str, Any]:
        return {**self.context(request, record.name), "revisions": self.revisions(record)}

    def write(self, request: HttpRequest, form: forms.ModelForm, change: bool) -> Any:
        values, actor = form.cleaned_data, request.user.get_username()
        name = form.instance.name if change else values["name"]
        row = self.locked(name)
        if not change and row is not None:
            taken = Violation("/name", "taken", f"there is a {self.noun} {name!r}")
            raise InvalidInputError([taken])
        if change and row is not None and values.get("seen") != row.newest:
            raise ConflictError(
                f"somebody saved revision {row.newest} meanwhile: nothing was saved. Open the page "
                "anew, and put what you changed into that"
            )
        try:
            self.put(name=name, document=values["document"], actor=actor)
        except InvalidInputError as error:
            raise InvalidInputError([placed(one) for one in error.violations]) from error
        return self.model.objects.get(name=name)

    @display(description="revision", ordering="newest")
    def revision(self, record: Any) -> int:
        newest: int = record.newest
        return newest
