"""Serving profiles: those that come with Nereid to look at, others made and changed."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from control_plane.adapters import profiles as built_in
from control_plane.console.profile_page import profile_context, profile_text, revisions_of
from control_plane.console.record_admin import DeletableAdmin, placed
from control_plane.domain.violations import ConflictError, InvalidInputError, Violation
from control_plane.registry.models import ModelVersion, Profile, ProfileRevision
from control_plane.registry.profile_edits import delete_profile, locked_profile, put_profile
from control_plane.registry.profiles import all_profiles, get_profile

EXAMPLE = {
    "description": "Batches of up to 32 rows, for which requests wait up to 1 ms",
    "max_batch_size": 32,
    "dynamic_batching": {"max_queue_delay_microseconds": 1000},
    "instance_group": [{"count": 2}],
}


class ProfileForm(forms.ModelForm):
    """A profile's name and its document."""

    document = forms.CharField(
        widget=UnfoldAdminTextareaWidget({"rows": 18, "class": "n-mono", "spellcheck": "false"}),
        help_text="JSON in the words of Triton's model configuration. What serves stays as it is: "
        "an endpoint's next policy is compiled with the new revision.",
    )
    seen = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Profile
        fields = ("name",)
        help_texts = {"name": "What versions call it, such as patient."}  # noqa: RUF012

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        row = self.instance
        if row.pk and row.newest:
            self.initial["document"] = profile_text(row.revisions.get(number=row.newest).document)
            self.initial["seen"] = row.newest
        elif "document" not in self.initial:
            self.initial["document"] = profile_text(EXAMPLE)

    def clean_document(self) -> Any:
        try:
            return json.loads(self.cleaned_data["document"])
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(f"this is no JSON: {error}") from error

    def _post_clean(self) -> None:
        """Fills in no record: the service writes it, and its refusals are in its own words."""


@admin.register(Profile)
class ProfileAdmin(DeletableAdmin):
    """Serving profiles."""

    form = ProfileForm
    audited_as = "profile"
    list_display = ("name", "says", "revision", "used_by", "created", "created_by")
    search_fields = ("name",)
    fields = ("name", "document", "seen")
    list_after_template = "console/parts/built_in_profiles.html"
    change_form_outer_before_template = "console/parts/profile_page.html"
    change_form_outer_after_template = "console/parts/profile_revisions.html"
    empty_icon = "tune"
    empty_title = "No profiles of your own yet"
    empty_text = (
        "A serving profile says how requests become batches and how many copies of a model work. "
        "Those below come with Nereid; one of your own begins as any of them:"
    )
    empty_command = "nereid profiles show realtime > mine.json; nereid profiles put mine mine.json"

    def get_urls(self) -> list[URLPattern]:
        shown = self.admin_site.admin_view(self.built_in_view)
        name = "registry_profile_built_in"
        return [path("built-in/<slug:name>/", shown, name=name), *super().get_urls()]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name",) if obj else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        writes = self.has_change_permission(request, obj) if obj else True
        return ("name", "document", "seen") if writes else ("name",)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """`?like=realtime` begins with what that one says."""
        like = {known.name: known for known in all_profiles()}.get(request.GET.get("like", ""))
        return {"document": profile_text(like.shown)} if like else {}

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        given = [known for known in all_profiles() if known.built_in]
        return super().changelist_view(
            request, {"built_in_profiles": given, **(extra_context or {})}
        )

    def built_in_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """The page of one that comes with Nereid."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if name not in built_in.profile_names():
            raise Http404(f"no profile {name!r} comes with Nereid")
        context = {
            **profile_context(request.user, get_profile(name)),
            "may_add": self.has_add_permission(request),
        }
        return self.page(request, "console/built_in_profile.html", name, context)

    def page_values(self, request: HttpRequest, record: Any) -> dict[str, Any]:
        known = get_profile(record.name)
        return {**profile_context(request.user, known), "revisions": revisions_of(record)}

    def write(self, request: HttpRequest, form: forms.ModelForm, change: bool) -> Profile:
        values, actor = form.cleaned_data, request.user.get_username()
        name = form.instance.name if change else values["name"]
        row = locked_profile(name)
        if not change and row is not None:
            raise InvalidInputError([Violation("/name", "taken", f"there is a profile {name!r}")])
        if change and row is not None and values.get("seen") != row.newest:
            raise ConflictError(
                f"somebody saved revision {row.newest} meanwhile: nothing was saved. Open the page "
                "anew, and put what you changed into that"
            )
        try:
            put_profile(name=name, document=values["document"], actor=actor)
        except InvalidInputError as error:
            raise InvalidInputError([placed(one) for one in error.violations]) from error
        return Profile.objects.get(name=name)

    def remove(self, request: HttpRequest, record: Profile) -> str:
        delete_profile(name=record.name, actor=request.user.get_username())
        return f"Serving profile {record.name} was deleted."

    def obstacle(self, record: Profile) -> str:
        count = ModelVersion.objects.filter(profile=record.name).count()
        return f"{count} version{'s' if count != 1 else ''} name it." if count else ""

    def consequences(self, record: Profile) -> list[str]:
        return [
            "Its revisions go with it; the audit record stays.",
            "What serves by it goes on: it was compiled.",
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Profile]:
        """With what the list shows of each, in one query whatever its length."""
        newest = ProfileRevision.objects.filter(profile=OuterRef("pk"), number=OuterRef("newest"))
        named = ModelVersion.objects.filter(profile=OuterRef("name")).order_by()
        counted = named.values("profile").annotate(count=Count("pk")).values("count")
        rows: QuerySet[Profile] = super().get_queryset(request)
        return rows.annotate(
            shown_description=Subquery(newest.values("document__description")[:1]),
            versions_count=Coalesce(Subquery(counted), 0),
        )

    @display(description="for")
    def says(self, profile: Any) -> str:
        return profile.shown_description or ""

    @display(description="revision", ordering="newest")
    def revision(self, profile: Profile) -> int:
        return profile.newest

    @display(description="versions", ordering="versions_count")
    def used_by(self, profile: Any) -> int:
        count: int = profile.versions_count
        return count
