"""Grants: a role on one name, given and taken away."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget

from control_plane.access.models import Grant
from control_plane.access.rights import GIVE_ROLES, give_grant, take_grant
from control_plane.console.record_admin import DeletableAdmin, link
from control_plane.domain.access import SAYS, Kind, Role, Target


class GrantForm(forms.ModelForm):
    """Who gets which role on what."""

    role = forms.ChoiceField(
        choices=[(role.value, f"{role}: {SAYS[role]}") for role in Role],
        widget=UnfoldAdminSelectWidget,
        help_text="Of this one name alone.",
    )

    class Meta:
        model = Grant
        fields = ("user", "group", "role", "kind", "name")
        help_texts = {"user": "A person, or else a group."}  # noqa: RUF012

    def _post_clean(self) -> None:
        """Fills in no record: the service makes it, and its refusals are in its own words."""


@admin.register(Grant)
class GrantAdmin(DeletableAdmin):
    """Grants: made and taken away, never changed."""

    form = GrantForm
    audited_as = "grant"
    list_display = ("target", "role", "holder", "created", "created_by")
    list_display_links = ("target",)
    list_filter = ("role", "kind")
    list_select_related = ("user", "group")
    search_fields = ("name", "user__username", "group__name")
    autocomplete_fields = ("user", "group")
    fields = ("holder", "role", "kind", "name", "created_at", "created_by")
    readonly_fields = fields
    add_fieldsets = ((None, {"fields": ("user", "group", "role", "kind", "name")}),)
    empty_icon = "how_to_reg"
    empty_title = "No grants yet"
    empty_text = "A grant is a role on one model or endpoint, for a person or a group."

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(GIVE_ROLES)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(GIVE_ROLES)

    def check_new(self, request: HttpRequest, values: dict[str, Any]) -> None:
        """Whoever opened the form may send it."""

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return tuple(self.readonly_fields) if obj else ()

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        if obj:
            kwargs["form"] = forms.ModelForm
        return super().get_form(request, obj, change=change, **kwargs)

    @display(description="on", ordering="name")
    def target(self, grant: Grant) -> str:
        return str(grant.target)

    @display(description="for")
    def holder(self, grant: Grant) -> SafeString | str:
        return link(grant.group or grant.user, grant.grantee)

    def write(self, request: HttpRequest, form: forms.ModelForm, change: bool) -> Grant:
        values = form.cleaned_data
        return give_grant(
            user=values["user"],
            group=values["group"],
            role=Role(values["role"]),
            target=Target(Kind(values["kind"]), values["name"]),
            actor=request.user.get_username(),
        )

    def remove(self, request: HttpRequest, record: Grant) -> str:
        take_grant(grant=record, actor=request.user.get_username())
        return f"{record.grantee} is no longer {record.role} of {record.target}."

    def consequences(self, record: Grant) -> list[str]:
        return [
            f"{record.grantee} may no longer do what the role {record.role} allows there,",
            "unless by another grant or role; their tokens neither.",
        ]
