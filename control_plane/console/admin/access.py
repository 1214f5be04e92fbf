"""Who may come in: users, groups, API tokens."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminSelectWidget

from control_plane import wiring
from control_plane.access.models import ApiToken
from control_plane.access.services import issue_token, revoke_token
from control_plane.audit.services import record
from control_plane.console.record_admin import ServiceAdmin, change_url, label
from control_plane.console.templatetags.console import ago

LIFETIMES = (
    ("30", "30 days"),
    ("90", "90 days"),
    ("365", "a year"),
    ("", "until it is revoked"),
)

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
        return request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        return super().get_queryset(request).prefetch_related("user_set", "permissions")

    @display(description="people")
    def people(self, group: Group) -> int:
        return len(group.user_set.all())

    @display(description="permissions")
    def rights(self, group: Group) -> int:
        return len(group.permissions.all())


class TokenForm(forms.ModelForm):
    """A token for oneself."""

    lifetime = forms.ChoiceField(
        choices=LIFETIMES, required=False, initial="90", widget=UnfoldAdminSelectWidget
    )

    class Meta:
        model = ApiToken
        fields = ("name",)
        help_texts = {"name": "What will use it, so that you know later what to revoke."}  # noqa: RUF012


@admin.register(ApiToken)
class TokenAdmin(ServiceAdmin):
    """API tokens: each person sees and makes their own, an admin sees all."""

    form = TokenForm
    audited_as = "token"
    list_display = ("name", "user", "state", "used", "created", "expires_at")
    list_filter = ("created_at", "expires_at")
    list_select_related = ("user",)
    search_fields = ("name", "user__username")
    add_fieldsets = ((None, {"fields": ("name", "lifetime")}),)
    fields = ("name", "user", "state", "used", "created_at", "expires_at", "revoked_at")
    readonly_fields = fields
    actions_detail = ("revoke",)
    empty_icon = "key"
    empty_title = "No tokens yet"
    empty_text = "A program shows a token to the API. Make one here, then log the command in:"
    empty_command = "nereid login"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        return rows if request.user.is_superuser else rows.filter(user=request.user)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_revoke_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return ModelAdmin.has_change_permission(self, request)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return tuple(self.readonly_fields) if obj else ()

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        if obj:
            kwargs["form"] = forms.ModelForm
        return super().get_form(request, obj, change=change, **kwargs)

    @display(description="state")
    def state(self, token: Any) -> SafeString:
        if token.revoked_at:
            return label("revoked")
        if token.expires_at and token.expires_at <= wiring.clock().now():
            return label("expired")
        return label("live")

    @display(description="last used", ordering="last_used_at")
    def used(self, token: Any) -> str:
        return ago(token.last_used_at)

    def write(self, request: HttpRequest, form: forms.ModelForm, change: bool) -> Any:
        name, days = form.cleaned_data["name"], form.cleaned_data["lifetime"]
        expires_at: datetime | None = None
        if days:
            expires_at = wiring.clock().now() + timedelta(days=int(days))
        token, clear = issue_token(
            user=request.user,
            name=name,
            actor=request.user.get_username(),
            expires_at=expires_at,
        )
        request.issued_token = clear  # type: ignore[attr-defined] # for response_add alone
        return token

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Shows the token in the answer itself: it is kept nowhere, so this is the only time."""
        context = {
            "original": obj,
            "token": request.issued_token,  # type: ignore[attr-defined]
            "origin": request.build_absolute_uri("/").rstrip("/"),
            "back": change_url(obj),
        }
        response = self.page(request, "console/token.html", "Your new token", context)
        response["Cache-Control"] = "no-store"
        return response

    @action(
        description="Revoke",
        url_path="revoke",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["revoke"],
    )
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks, then makes the token useless at once."""
        token = self.found(request, object_id, "revoke")
        if not (request.user.is_superuser or token.user_id == request.user.pk):
            raise PermissionDenied
        if request.method == "POST":
            self._revoke(request, token)
            return HttpResponseRedirect(change_url(token))
        context = {
            "original": token,
            "heading": f"Revoke token “{token.name}”?",
            "consequences": [
                "Whatever uses it is refused from the next request on.",
                "It cannot be brought back; a new one can be made.",
            ],
            "confirm": "Revoke",
            "back": change_url(token),
        }
        return self.page(request, "console/confirm.html", "Revoke", context)

    def _revoke(self, request: HttpRequest, token: ApiToken) -> None:
        actor = request.user.get_username()
        if revoke_token(token=token, actor=actor, now=wiring.clock().now()):
            self.message_user(request, f"Token {token.name} was revoked.", messages.SUCCESS)
        else:
            self.message_user(request, "It was revoked already.", messages.INFO)
