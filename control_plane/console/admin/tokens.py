"""API tokens: made, shown once, revoked."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.safestring import SafeString
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from control_plane import wiring
from control_plane.access.models import ApiToken
from control_plane.access.services import issue_token, revoke_token
from control_plane.access.tokens import may_revoke, tokens_of
from control_plane.console.record_admin import ServiceAdmin, change_url, label
from control_plane.console.templatetags.console import ago
from control_plane.domain.access import SAYS, Role, Scope

LIFETIMES = (
    ("30", "30 days"),
    ("90", "90 days"),
    ("365", "a year"),
    ("", "until it is revoked"),
)


class TokenForm(forms.ModelForm):
    """A token for oneself."""

    role = forms.ChoiceField(
        choices=[(role.value, f"{role}: {SAYS[role]}") for role in Role],
        initial=Role.VIEWER.value,
        widget=UnfoldAdminSelectWidget,
        help_text="It never allows more than you may do yourself; admin is all of that.",
    )
    names = forms.CharField(
        label="Only these",
        required=False,
        widget=UnfoldAdminTextInputWidget({"placeholder": "every model and endpoint"}),
        help_text="Names of models and endpoints, with spaces between. Empty: all of them.",
    )
    lifetime = forms.ChoiceField(
        choices=LIFETIMES, required=False, initial="90", widget=UnfoldAdminSelectWidget
    )

    class Meta:
        model = ApiToken
        fields = ("name",)
        help_texts = {"name": "What will use it, so that you know later what to revoke."}  # noqa: RUF012

    def clean_names(self) -> frozenset[str]:
        return frozenset(self.cleaned_data["names"].replace(",", " ").split())


@admin.register(ApiToken)
class TokenAdmin(ServiceAdmin):
    """API tokens: everybody sees, makes and revokes their own, an admin sees and revokes all."""

    form = TokenForm
    audited_as = "token"
    list_display = ("name", "user", "allows", "state", "used", "created", "expires_at")
    list_filter = ("role", "created_at", "expires_at")
    list_select_related = ("user",)
    search_fields = ("name", "user__username")
    add_fieldsets = ((None, {"fields": ("name", "role", "names", "lifetime")}),)
    fields = (
        "name",
        "user",
        "allows",
        "state",
        "used",
        "created_at",
        "expires_at",
        "revoked_at",
    )
    readonly_fields = fields
    actions_detail = ("revoke",)
    empty_icon = "key"
    empty_title = "No tokens yet"
    empty_text = "A program shows a token to the API. Make one here, then log the command in:"
    empty_command = "nereid login"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return tokens_of(request.user).order_by("-created_at")

    # Whoever may come in has programs of their own, whatever they may do.
    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest) -> bool:
        return True

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_revoke_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        token = obj if isinstance(obj, ApiToken) else self.get_object(request, str(obj))
        return token is not None and may_revoke(request.user, token)

    def check_new(self, request: HttpRequest, values: dict[str, Any]) -> None:
        """Everybody may make one."""

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
        return label(token.state(wiring.clock().now()))

    @display(description="allows", ordering="role")
    def allows(self, token: Any) -> str:
        return str(token.scope)

    @display(description="last used", ordering="last_used_at")
    def used(self, token: Any) -> str:
        return ago(token.last_used_at)

    def write(self, request: HttpRequest, form: forms.ModelForm, change: bool) -> Any:
        values, now = form.cleaned_data, wiring.clock().now()
        expires_at: datetime | None = None
        if values["lifetime"]:
            expires_at = now + timedelta(days=int(values["lifetime"]))
        token, clear = issue_token(
            user=request.user,
            name=values["name"],
            actor=request.user.get_username(),
            now=now,
            expires_at=expires_at,
            scope=Scope(Role(values["role"]), values["names"]),
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
