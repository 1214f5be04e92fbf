"""Webhooks: made, changed, tested, and given another secret."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from control_plane import wiring
from control_plane.console.confirming import Question, ask
from control_plane.console.record_admin import DeletableAdmin, change_url, label
from control_plane.console.webhook_page import webhook_context
from control_plane.domain.webhooks.addresses import MAX_URL
from control_plane.domain.webhooks.catalogue import CATALOGUE
from control_plane.webhooks.models import Webhook
from control_plane.webhooks.pinging import ping
from control_plane.webhooks.services import (
    Wish,
    create_webhook,
    delete_webhook,
    rotate_secret,
    update_webhook,
)

SUBJECTS = ", ".join(
    dict.fromkeys(f"{event.subject}.*" for event in CATALOGUE if event.subject != "webhook")
)
OVERLAP = timedelta(hours=24)


class WebhookForm(forms.ModelForm):
    """What people say of a webhook."""

    url = forms.CharField(
        label="URL",
        max_length=MAX_URL,
        widget=UnfoldAdminTextInputWidget({"placeholder": "https://hooks.example.com/nereid"}),
        help_text="Where it is told. It answers 2xx within 10 seconds; redirects are not followed.",
    )
    events = forms.CharField(
        widget=UnfoldAdminTextInputWidget({"placeholder": "version.* revision.failed"}),
        help_text=f"Types with spaces between. * is all; {SUBJECTS}; or single ones, such as "
        "version.rejected.",
    )
    names = forms.CharField(
        label="Only about",
        required=False,
        widget=UnfoldAdminTextInputWidget({"placeholder": "every model and endpoint"}),
        help_text="Names of models and endpoints, with spaces between. Empty: all of them.",
    )
    enabled = forms.BooleanField(
        required=False,
        initial=True,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Switched off, what is on its way is abandoned.",
    )

    class Meta:
        model = Webhook
        fields = ("name", "url", "events", "names", "enabled")
        help_texts = {"name": "What it is called here, such as deploys."}  # noqa: RUF012

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in ("events", "names"):
            if isinstance(value := self.initial.get(field), list):
                self.initial[field] = " ".join(value)

    def clean_events(self) -> list[str]:
        return _words(self.cleaned_data["events"])

    def clean_names(self) -> list[str]:
        return _words(self.cleaned_data["names"])

    def _post_clean(self) -> None:
        """Fills in no record: the service writes it, and its refusals are in its own words."""


@admin.register(Webhook)
class WebhookAdmin(DeletableAdmin):
    """Webhooks, for admins."""

    form = WebhookForm
    audited_as = "webhook"
    pointers = {"/name": "name", "/url": "url", "/events": "events", "/names": "names"}  # noqa: RUF012
    list_display = ("name", "state", "told_of", "about", "shown_url", "created", "created_by")
    list_filter = ("enabled",)
    search_fields = ("name", "url")
    fields = ("name", "url", "events", "names", "enabled")
    change_form_outer_before_template = "console/parts/webhook_log.html"
    actions_detail = ("send_test", "rotate")
    empty_icon = "webhook"
    empty_title = "No webhooks yet"
    empty_text = (
        "A webhook tells another server what happens here: signed, tried again for a day, and "
        "with a log of every delivery."
    )
    empty_command = "nereid webhooks create deploys https://hooks.example.com/x --on 'version.*'"

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name",) if obj else ()

    @display(description="state")
    def state(self, webhook: Webhook) -> SafeString:
        return label(webhook.state())

    @display(description="told of")
    def told_of(self, webhook: Webhook) -> str:
        return ", ".join(webhook.events)

    @display(description="about")
    def about(self, webhook: Webhook) -> str:
        return ", ".join(webhook.names) or "everything"

    @display(description="URL", ordering="url")
    def shown_url(self, webhook: Webhook) -> str:
        return webhook.url if len(webhook.url) <= 60 else f"{webhook.url[:60]}…"

    def write(self, request: HttpRequest, form: forms.ModelForm, change: bool) -> Webhook:
        values, actor = form.cleaned_data, request.user.get_username()
        wish = Wish(values["url"], values["events"], values["names"], values["enabled"])
        allowed = settings.NEREID_WEBHOOK_ALLOW
        if change:
            now = wiring.clock().now()
            name = form.instance.name
            return update_webhook(name=name, wish=wish, actor=actor, now=now, allowed=allowed)
        name = values["name"]
        webhook, secret = create_webhook(name=name, wish=wish, actor=actor, allowed=allowed)
        request.webhook_secret = secret  # type: ignore[attr-defined] # for response_add alone
        return webhook

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Shows the secret in the answer itself: this is the only time."""
        return self._secret(request, obj, request.webhook_secret)  # type: ignore[attr-defined]

    def remove(self, request: HttpRequest, record: Webhook) -> str:
        delete_webhook(name=record.name, actor=request.user.get_username())
        return f"Webhook {record.name} was deleted."

    def consequences(self, record: Webhook) -> list[str]:
        return [
            "Its receiver is told of nothing more.",
            "The log of its deliveries goes with it; the audit record stays.",
        ]

    def page_values(self, request: HttpRequest, record: Any) -> dict[str, Any]:
        return webhook_context(request.user, record)

    def has_change_button_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)

    @action(description="Send a test", url_path="test", icon="send", permissions=["change_button"])
    def send_test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks, then sends `webhook.ping`."""
        webhook = self.found(request, object_id, "change")
        question = Question(
            title="Send a test",
            heading=f"Send a test to “{webhook}”?",
            consequences=[
                f"webhook.ping is sent to {webhook.url}, whatever it wants to be told.",
                "It is signed, tried again and logged as every other event is.",
            ],
            confirm="Send a test",
            harmless=True,
        )

        def act() -> str:
            actor, now = request.user.get_username(), wiring.clock().now()
            ping(name=webhook.name, actor=actor, now=now)
            return "A test is on its way: the log below says what comes of it."

        return ask(self, request, webhook, question, act)

    @action(
        description="Rotate the secret",
        url_path="rotate",
        icon="autorenew",
        permissions=["change_button"],
    )
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks, then shows the new secret, once."""
        webhook = self.found(request, object_id, "change")
        if request.method == "POST":
            webhook, secret = rotate_secret(
                name=webhook.name,
                actor=request.user.get_username(),
                now=wiring.clock().now(),
                overlap=OVERLAP,
            )
            return self._secret(request, webhook, secret)
        context = {
            "original": webhook,
            "heading": f"Make a new secret for “{webhook}”?",
            "consequences": [
                "The new one is shown once, on the next page.",
                "For 24 hours the present one signs too: give the receiver the new one meanwhile.",
                "If the present one leaked, end it at once instead: "
                f"nereid webhooks rotate {webhook} --overlap 0s",
            ],
            "confirm": "Make a new secret",
            "back": change_url(webhook),
        }
        return self.page(request, "console/confirm.html", "Rotate the secret", context)

    def _secret(self, request: HttpRequest, webhook: Webhook, secret: str) -> HttpResponse:
        context = {"original": webhook, "secret": secret, "back": change_url(webhook)}
        response = self.page(request, "console/webhook_secret.html", "The secret", context)
        response["Cache-Control"] = "no-store"
        return response


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()
