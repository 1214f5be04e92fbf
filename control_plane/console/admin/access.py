"""Who may come in: users and groups."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from control_plane.audit.services import record
from control_plane.console.record_admin import label
from control_plane.console.templatetags.console import ago
from control_plane.domain.access import Role

GIVE_ROLES = "access.give_roles"
RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions")

admin.site.unregister(User)
admin.site.unregister(Group)


class AuditedAdmin(ModelAdmin):
    """Django's own records, whose writes have no service: the audit event goes with the save."""

    audited_as = ""

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """None: a deletion of many at once would leave no event for each."""
        return {}

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The last step of a save, in its transaction: groups and permissions are set by then."""
        super().save_related(request, form, formsets, change)
        verb = "update" if change else "create"
        self._record(request, form.instance, verb, {"fields": sorted(form.changed_data)})

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self._record(request, obj, "delete", None)
        super().delete_model(request, obj)

    def _record(self, request: HttpRequest, obj: Any, verb: str, after: Any) -> None:
        record(
            actor=request.user.get_username(),
            action=f"{self.audited_as}.{verb}",
            object_type=self.audited_as,
            object_id=obj.pk,
            object_name=str(obj),
            after=after,
        )


@admin.register(User)
class UserAdmin(DjangoUserAdmin, AuditedAdmin):
    """People. One who leaves is made inactive: the audit record names them for good."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    audited_as = "user"
    list_display = ("username", "email", "role", "group_list", "is_active", "seen")
    list_filter = ("is_active", "is_staff", "is_superuser", "groups")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if isinstance(obj, User) and obj.is_superuser and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Who may edit people may not hand out rights they lack themselves."""
        if request.user.is_superuser:
            return ("last_login", "date_joined") if obj else ()
        return (*RIGHTS, "last_login", "date_joined")

    @display(description="role")
    def role(self, user: User) -> SafeString:
        if user.is_superuser:
            return label("admin", "primary")
        return label("console", "info") if user.is_staff else label("API only")

    @display(description="groups")
    def group_list(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all())

    @display(description="last login", ordering="last_login")
    def seen(self, user: User) -> str:
        return ago(user.last_login)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, AuditedAdmin):
    """Sets of permissions; only an admin, who has them all, makes or changes one."""

    audited_as = "group"
    list_display = ("name", "people", "rights")
    empty_icon = "group"
    empty_title = "No groups yet"
    empty_text = "A group is a set of permissions that you give to several people at once."

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(GIVE_ROLES)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(GIVE_ROLES)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A role is not deleted: the next migration would make it anew, without its people."""
        role = isinstance(obj, Group) and obj.name in list(Role)
        return request.user.has_perm(GIVE_ROLES) and not role

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        return super().get_queryset(request).prefetch_related("user_set", "permissions")

    @display(description="people")
    def people(self, group: Group) -> int:
        return len(group.user_set.all())

    @display(description="permissions")
    def rights(self, group: Group) -> int:
        return len(group.permissions.all())
