"""`/webhooks/`: receivers of events, their secrets, and a test."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.conditions import IF_MATCH, EditableView
from control_plane.api.deliveries_resource import DeliverySerializer
from control_plane.api.fields import TextField
from control_plane.api.resource import ResourceView, link, read_body
from control_plane.domain.routing.fields import Fields
from control_plane.domain.violations import InvalidInputError, Violation
from control_plane.domain.webhooks.addresses import MAX_URL
from control_plane.domain.webhooks.matching import MAX_NAMES, MAX_PATTERNS
from control_plane.webhooks.models import STATES, Webhook
from control_plane.webhooks.pinging import ping
from control_plane.webhooks.selectors import get_webhook
from control_plane.webhooks.services import (
    LONGEST_OVERLAP,
    Wish,
    create_webhook,
    delete_webhook,
    locked,
    rotate_secret,
    update_webhook,
)


class WebhookSerializer(serializers.ModelSerializer[Webhook]):
    """A webhook as the API shows it, never with its secret; `names` null: about every name."""

    names = serializers.SerializerMethodField()
    state = serializers.SerializerMethodField()

    class Meta:
        model = Webhook
        fields = (
            "name",
            "url",
            "events",
            "names",
            "enabled",
            "state",
            "disabled_reason",
            "failing_since",
            "old_secret_until",
            "created_at",
            "created_by",
        )

    def get_names(self, webhook: Webhook) -> list[str] | None:
        return webhook.names or None

    @extend_schema_field(serializers.ChoiceField(choices=STATES))
    def get_state(self, webhook: Webhook) -> str:
        return webhook.state()


class WebhookWithSecretSerializer(WebhookSerializer):
    """A webhook with a secret just made: the only answer that has it."""

    secret = serializers.CharField(help_text="whsec_…, shown this once")

    class Meta(WebhookSerializer.Meta):
        fields = (*WebhookSerializer.Meta.fields, "secret")  # type: ignore[assignment]


class WebhookPatch(serializers.Serializer[Any]):
    """What can be changed of a webhook; a list is replaced as a whole."""

    url = TextField(required=False, max_length=MAX_URL, help_text="https://…, or http://…")
    events = serializers.ListField(
        child=TextField(max_length=64),
        required=False,
        allow_empty=False,
        max_length=MAX_PATTERNS,
        help_text="types of events, such as version.ready, version.* or *",
    )
    names = serializers.ListField(
        child=TextField(max_length=63),
        required=False,
        allow_null=True,
        max_length=MAX_NAMES,
        help_text="only what is about these models and endpoints; null or none: all",
    )
    enabled = serializers.BooleanField(required=False)


class WebhookRequest(WebhookPatch):
    """What makes a webhook."""

    name = TextField(max_length=200)
    url = TextField(max_length=MAX_URL, help_text="https://…, or http://…")
    events = serializers.ListField(
        child=TextField(max_length=64),
        allow_empty=False,
        max_length=MAX_PATTERNS,
        help_text="types of events, such as version.ready, version.* or *",
    )


class RotateRequest(serializers.Serializer[Any]):
    """How a secret is replaced."""

    overlap = TextField(
        required=False,
        default="24h",
        max_length=20,
        help_text='for how long the old secret signs too, at most "168h"; "0s": no more',
    )


EXAMPLE = OpenApiExample(
    "what becomes of versions",
    value={
        "name": "deploys",
        "url": "https://hooks.example.com/nereid",
        "events": ["version.*", "revision.failed"],
        "names": ["digits"],
    },
    request_only=True,
)


class _WebhookView(EditableView):
    read_permission = "webhooks.view_webhook"
    tag_fields = ("name", "created_at", "url", "events", "names", "enabled")

    @property
    def write_permission(self) -> str:
        verb = {"DELETE": "delete", "POST": "change"}.get(self.request.method or "", "change")
        return f"webhooks.{verb}_webhook"

    def lock(self, **path: Any) -> object:
        return locked(path["name"])

    def shown(self, **path: Any) -> dict[str, Any]:
        return _document(get_webhook(path["name"]))


class WebhooksView(ResourceView, ListAPIView[Webhook]):
    """All webhooks."""

    read_permission = "webhooks.view_webhook"
    write_permission = "webhooks.add_webhook"
    queryset = Webhook.objects.all()
    serializer_class = WebhookSerializer
    search_fields = ("name", "url")

    @extend_schema(
        request=WebhookRequest, responses={201: WebhookWithSecretSerializer}, examples=[EXAMPLE]
    )
    def post(self, request: Request) -> Response:
        """Makes a webhook; the answer alone has its secret."""
        body = read_body(WebhookRequest, request)
        webhook, secret = create_webhook(
            name=body["name"],
            wish=_wish(body),
            actor=self.actor,
            allowed=settings.NEREID_WEBHOOK_ALLOW,
        )
        return _with_secret(request, webhook, secret, 201)

    def get_queryset(self) -> QuerySet[Webhook]:
        return Webhook.objects.all()


class WebhookView(_WebhookView):
    """One webhook."""

    @extend_schema(responses=WebhookSerializer)
    def get(self, request: Request, name: str) -> Response:
        """One webhook."""
        return Response(_document(get_webhook(name)))

    @extend_schema(request=WebhookPatch, responses=WebhookSerializer, parameters=[IF_MATCH])
    def patch(self, request: Request, name: str) -> Response:
        """Changes a webhook. Disabled, what is on its way is abandoned; enabled, it begins anew."""
        webhook = update_webhook(
            name=name,
            wish=_wish(read_body(WebhookPatch, request)),
            actor=self.actor,
            now=wiring.clock().now(),
            allowed=settings.NEREID_WEBHOOK_ALLOW,
        )
        return Response(_document(webhook))

    @extend_schema(responses={204: None}, parameters=[IF_MATCH])
    def delete(self, request: Request, name: str) -> Response:
        """Removes a webhook with the log of its deliveries."""
        delete_webhook(name=name, actor=self.actor)
        return Response(status=204)


class WebhookTestView(ResourceView):
    """A test of a webhook."""

    read_permission = "webhooks.view_webhook"
    write_permission = "webhooks.change_webhook"

    @extend_schema(request=None, responses={202: DeliverySerializer})
    def post(self, request: Request, name: str) -> Response:
        """Sends `webhook.ping`, whatever the webhook wants; its delivery says what came of it."""
        delivery = ping(name=name, actor=self.actor, now=wiring.clock().now())
        where = link(request, "delivery", name=name, delivery_id=delivery.id)
        document = DeliverySerializer(delivery).data
        return Response(document, status=202, headers={"Location": where})


class WebhookRotateView(ResourceView):
    """The secret of a webhook."""

    read_permission = "webhooks.view_webhook"
    write_permission = "webhooks.change_webhook"

    @extend_schema(request=RotateRequest, responses=WebhookWithSecretSerializer)
    def post(self, request: Request, name: str) -> Response:
        """Makes a new secret, which the answer alone has; for a while the old one signs too."""
        overlap = _duration(read_body(RotateRequest, request)["overlap"])
        webhook, secret = rotate_secret(
            name=name, actor=self.actor, now=wiring.clock().now(), overlap=overlap
        )
        return _with_secret(request, webhook, secret, 200)


def _document(webhook: Webhook) -> dict[str, Any]:
    return dict(WebhookSerializer(webhook).data)


def _with_secret(request: Request, webhook: Webhook, secret: str, status: int) -> Response:
    headers = {"Cache-Control": "no-store"}
    if status == 201:
        headers["Location"] = link(request, "webhook", name=webhook.name)
    document = {**_document(webhook), "secret": secret}
    return Response(document, status=status, headers=headers)


def _wish(body: dict[str, Any]) -> Wish:
    names = (body["names"] or []) if "names" in body else None
    return Wish(body.get("url"), body.get("events"), names, body.get("enabled"))


def _duration(text: str) -> timedelta:
    found: list[Violation] = []
    longest = int(LONGEST_OVERLAP.total_seconds()) * 1_000_000
    fields = Fields({"overlap": text}, "", found, "the body", {"overlap"})
    microseconds = fields.duration("overlap", 0, longest)
    if found or microseconds is None:
        raise InvalidInputError(found)
    return timedelta(microseconds=microseconds)
