"""Serving profiles: those that come with Nereid to look at, others made and changed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from unfold.decorators import display

from control_plane.adapters import profiles as built_in
from control_plane.console.profile_page import Shown, profile_context, profile_text, revisions_of
from control_plane.console.revised_admin import DocumentForm, RevisedAdmin
from control_plane.registry.models import ModelVersion, Profile, ProfileRevision
from control_plane.registry.profile_edits import delete_profile, locked_profile, put_profile
from control_plane.registry.profiles import KnownProfile, all_profiles, get_profile

EXAMPLE = {
    "description": "Batches of up to 32 rows, for which requests wait up to 1 ms",
    "max_batch_size": 32,
    "dynamic_batching": {"max_queue_delay_microseconds": 1000},
    "instance_group": [{"count": 2}],
}


class ProfileForm(DocumentForm):
    """A profile's name and its document."""

    begins_with = EXAMPLE
    text = staticmethod(profile_text)

    class Meta:
        model = Profile
        fields = ("name",)
        help_texts = {"name": "What versions call it, such as patient."}  # noqa: RUF012

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["document"].help_text = (
            "JSON in the words of Triton's model configuration. What serves stays as it is: "
            "an endpoint's next policy is compiled with the new revision."
        )


@admin.register(Profile)
class ProfileAdmin(RevisedAdmin):
    """Serving profiles."""

    form = ProfileForm
    noun = "profile"
    audited_as = "profile"
    built_in_address = "registry_profile_built_in"
    built_in_template = "console/built_in_profile.html"
    list_display = ("name", "says", "revision", "used_by", "created", "created_by")
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
    known = staticmethod(all_profiles)
    locked = staticmethod(locked_profile)
    put = staticmethod(put_profile)

    def comes_with_nereid(self, name: str) -> bool:
        return name in built_in.profile_names()

    def document_of(self, known: KnownProfile) -> Any:
        return known.shown

    def context(self, request: HttpRequest, name: str) -> dict[str, Any]:
        return profile_context(request.user, get_profile(name))

    def revisions(self, record: Profile) -> list[Shown]:
        return revisions_of(record)

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

    @display(description="versions", ordering="versions_count")
    def used_by(self, profile: Any) -> int:
        count: int = profile.versions_count
        return count
