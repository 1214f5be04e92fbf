"""Deliveries: looked at, and sent again."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from control_plane import wiring
from control_plane.console.confirming import Question, ask
from control_plane.console.record_admin import RecordAdmin, label, link, mono
from control_plane.webhooks.models import Delivery, State
from control_plane.webhooks.services import redeliver


@admin.register(Delivery)
class DeliveryAdmin(RecordAdmin):
    """What was sent to webhooks, and what came of it."""

    list_display = ("event", "to", "shown_state", "reason", "tries", "created")
    list_filter = ("state", "webhook", "event")
    list_select_related = ("webhook",)
    search_fields = ("event", "event_id", "webhook__name", "reason")
    fields = ("event", "to", "shown_state", "reason", "message_id", "next_attempt", "created_at")
    readonly_fields = fields
    change_form_outer_after_template = "console/parts/delivery_page.html"
    actions_detail = ("send_again",)
    empty_icon = "outbox"
    empty_title = "Nothing was sent yet"
    empty_text = "What webhooks are told stands here, with every attempt. Ended ones: for 30 days."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("body")

    @display(description="to", ordering="webhook__name")
    def to(self, delivery: Delivery) -> SafeString | str:
        return link(delivery.webhook)

    @display(description="state", ordering="state")
    def shown_state(self, delivery: Delivery) -> SafeString:
        return label(delivery.state)

    @display(description="webhook-id")
    def message_id(self, delivery: Delivery) -> SafeString:
        return mono(delivery.event_id)

    @display(description="next attempt")
    def next_attempt(self, delivery: Delivery) -> str:
        return f"{delivery.due_at:%Y-%m-%d %H:%M:%S} UTC" if delivery.due_at else "none"

    def page_values(self, request: HttpRequest, record: Any) -> dict[str, Any]:
        payload = json.dumps(json.loads(record.body), indent=2)
        return {"payload": payload, "attempts": record.attempts.order_by("-id")}

    def has_send_again_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """For one that ended, where the person may change webhooks."""
        delivery = self.get_object(request, str(object_id)) if object_id else None
        return (
            delivery is not None
            and delivery.state != State.PENDING
            and request.user.has_perm("webhooks.change_webhook")
        )

    @action(
        description="Send again",
        url_path="send-again",
        icon="send",
        variant=ActionVariant.PRIMARY,
        permissions=["send_again"],
    )
    def send_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks, then sends it under the id that it had."""
        delivery = self.found(request, object_id, "view")
        question = Question(
            title="Send again",
            heading=f"Send {delivery.event} to “{delivery.webhook}” again?",
            consequences=[
                f"It goes to {delivery.webhook.url}, with the same webhook-id.",
                "A receiver that has handled this id does nothing the second time.",
            ],
            confirm="Send again",
            harmless=True,
        )

        def act() -> str:
            actor, now = request.user.get_username(), wiring.clock().now()
            redeliver(delivery=delivery, actor=actor, now=now)
            return f"{delivery.event} is on its way again."

        return ask(self, request, delivery, question, act)
