"""Who may come in: people and groups, with their roles in words."""

from __future__ import annotations

from copy import copy
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldBooleanSwitchWidget

from control_plane.access.people import RightsChange, check_may_change
from control_plane.access.rights import GIVE_ROLES, described, may_publish_code, set_rights
from control_plane.access.roles import is_role, roles_of
from control_plane.audit.services import record
from control_plane.console.record_admin import RecordAdmin, label, link
from control_plane.console.templatetags.console import ago
from control_plane.domain.access import SAYS, Role
from control_plane.domain.violations import ConflictError, NotAllowedError

admin.site.unregister(User)
admin.site.unregister(Group)


class AuditedAdmin(ModelAdmin):
    """Django's own records, whose writes have no service: the audit event goes with the save."""

    audited_as = ""
    history_view = RecordAdmin.history_view

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """None: a deletion of many at once would leave no event for each."""
        return {}

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        before = described(type(obj).objects.get(pk=obj.pk)) if change else None
        request.audited_before = before  # type: ignore[attr-defined] # for save_related
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The last step of a save, in its transaction: groups and permissions are set here."""
        super().save_related(request, form, formsets, change)
        self.give(request, form)
        before: Any = request.audited_before  # type: ignore[attr-defined]
        after = described(type(form.instance).objects.get(pk=form.instance.pk))
        if before != after:
            verb = "update" if change else "create"
            self.note(request, form.instance, verb, before, after)

    def give(self, request: HttpRequest, form: Any) -> None:
        """Rights that the form says beside its record's own fields."""

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.note(request, obj, "delete", described(obj), None)
        super().delete_model(request, obj)

    def note(self, request: HttpRequest, obj: Any, verb: str, before: Any, after: Any) -> None:
        record(
            actor=request.user.get_username(),
            action=f"{self.audited_as}.{verb}",
            object_type=self.audited_as,
            object_id=obj.pk,
            object_name=str(obj),
            before=before,
            after=after,
        )

    # Django's own log of the admin's doings would be a second, lesser audit record.
    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return None

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return None

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        return None

    @display(description="grants")
    def grant_list(self, holder: Any) -> SafeString:
        """What they may do to single names; each is a page, and there is one to give another."""
        field = "user" if isinstance(holder, User) else "group"
        rows = ((link(grant, f"{grant.role} of {grant.target}"),) for grant in holder.grants.all())
        listed = format_html_join(SafeString("<br>"), "{}", rows) or "none"
        give = f"{reverse('admin:access_grant_add')}?{field}={holder.pk}"
        return format_html('{}<br><a class="n-link" href="{}">Give a grant</a>', listed, give)


class PersonForm(UserChangeForm):
    """A person, and what they may do; `by` is who edits them."""

    by: Any

    is_staff = forms.BooleanField(
        label="May use the console",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Without it the person has tokens alone.",
    )
    roles = forms.MultipleChoiceField(
        choices=[(role.value, f"{role}: {SAYS[role]}") for role in Role],
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="They add up. Who has none sees what there are grants for.",
    )
    publishes_code = forms.BooleanField(
        label="May publish code",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Versions that are run and not only read. The role admin has it already.",
    )
    teams = forms.ModelMultipleChoiceField(
        Group.objects.exclude(name__in=[role.value for role in Role]).order_by("name"),
        label="Groups",
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        person = self.instance
        if person.pk:
            self.initial["roles"] = roles_of(person)
            self.initial["publishes_code"] = may_publish_code(person)
            self.initial["teams"] = [g.pk for g in person.groups.all() if not is_role(g)]

    def clean(self) -> dict[str, Any]:
        """Nobody locks themselves out, as over the API."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        roles = values.get("roles")
        change = RightsChange(
            roles=None if roles is None else [Role(role) for role in roles],
            active=values.get("is_active"),
        )
        try:
            check_may_change(self.instance, change, self.by)
        except (ConflictError, NotAllowedError) as refusal:
            raise forms.ValidationError(str(refusal)) from refusal
        return values


@admin.register(User)
class UserAdmin(DjangoUserAdmin, AuditedAdmin):
    """People. One who leaves is made inactive: the audit record names them for good."""

    form = PersonForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    audited_as = "user"
    list_display = ("username", "email", "role", "group_list", "is_active", "seen")
    list_filter = ("is_active", "is_staff", "groups")
    own = ("username", "password", "first_name", "last_name", "email", "is_active")
    given = ("is_staff", "roles", "publishes_code", "teams")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if not obj:
            return super().get_fieldsets(request, obj)
        gives = request.user.has_perm(GIVE_ROLES) and self.has_change_permission(request, obj)
        may = self.given if gives else ("is_staff", "role", "group_list")
        return (
            (None, {"fields": self.own}),
            ("What they may do", {"fields": (*may, "is_superuser", "grant_list")}),
            ("When", {"fields": ("last_login", "date_joined")}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Who may edit people may not hand out rights; all rights, only who has them."""
        if not obj:
            return ()
        shown: tuple[str, ...] = ("role", "group_list", "grant_list", "last_login", "date_joined")
        if not request.user.is_superuser:
            shown = (*shown, "is_superuser")
        return shown if request.user.has_perm(GIVE_ROLES) else (*shown, "is_staff")

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.by = request.user  # the class is made for this request
        return form

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody sets the password of somebody who may more than they."""
        if isinstance(obj, User) and obj.is_superuser and not request.user.is_superuser:
            return False
        if isinstance(obj, User) and _gives_roles(obj):
            return request.user.has_perm(GIVE_ROLES)
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def give(self, request: HttpRequest, form: Any) -> None:
        if "roles" in form.cleaned_data and request.user.has_perm(GIVE_ROLES):
            values = form.cleaned_data
            set_rights(
                form.instance,
                roles=[Role(role) for role in values["roles"]],
                groups=values["teams"],
                publish_code=values["publishes_code"],
            )

    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        with transaction.atomic():
            return super().user_change_password(request, id, form_url)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Django's hook of a password's change, which no save of ours sees."""
        match = request.resolver_match
        if match is not None and match.url_name == "auth_user_password_change":
            self.note(request, obj, "password", None, None)

    @display(description="roles")
    def role(self, user: User) -> SafeString:
        if user.is_superuser:
            return label("all rights", "primary")
        roles = [(label(role, "info"),) for role in roles_of(user)]
        return format_html_join(" ", "{}", roles) or label("no role")

    @display(description="groups")
    def group_list(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all() if not is_role(group))

    @display(description="last login", ordering="last_login")
    def seen(self, user: User) -> str:
        return ago(user.last_login)


def _gives_roles(person: User) -> bool:
    """Whether they may hand out rights, or might as soon as they are switched on again."""
    awake = copy(person)
    awake.is_active = True
    return awake.has_perm(GIVE_ROLES)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, AuditedAdmin):
    """Sets of people; the four roles are groups whose permissions are not edited."""

    audited_as = "group"
    list_display = ("name", "means", "people", "rights")
    empty_icon = "group"
    empty_title = "No groups yet"
    empty_text = "A group gives several people the same grants and permissions at once."

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(GIVE_ROLES)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(GIVE_ROLES) and not (obj and is_role(obj))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(GIVE_ROLES) or super().has_view_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A role is not deleted: the next migration would make it anew, without its people."""
        return request.user.has_perm(GIVE_ROLES) and not (isinstance(obj, Group) and is_role(obj))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if not obj:
            return ("name", "permissions")
        rights = ("means",) if is_role(obj) else ("permissions",)
        return ("name", *rights, "people_list", "grant_list")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("means", "people_list", "grant_list") if obj else ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        return super().get_queryset(request).prefetch_related("user_set", "permissions")

    @display(description="means")
    def means(self, group: Group) -> str:
        return SAYS[Role(group.name)] if is_role(group) else "a group of your own"

    @display(description="people")
    def people(self, group: Group) -> int:
        return len(group.user_set.all())

    @display(description="people")
    def people_list(self, group: Group) -> SafeString | str:
        rows = ((link(user),) for user in group.user_set.all())
        return format_html_join(", ", "{}", rows) or "nobody"

    @display(description="permissions")
    def rights(self, group: Group) -> int:
        return len(group.permissions.all())
