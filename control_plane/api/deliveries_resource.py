"""`/webhooks/{name}/deliveries/` and `/webhook-events/`: what was sent, and what can be."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import django_filters
from django.db.models import QuerySet
from django_filters.rest_framework import FilterSet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.pagination import AllowedOrdering, CreatedPagination
from control_plane.api.registry_filters import DeclaredFilters
from control_plane.api.resource import ResourceView, link
from control_plane.domain.webhooks import payload
from control_plane.domain.webhooks.catalogue import CATALOGUE, TYPES
from control_plane.webhooks.models import Attempt, Delivery, State
from control_plane.webhooks.selectors import deliveries_of, get_delivery, get_webhook
from control_plane.webhooks.services import redeliver


class AttemptSerializer(serializers.ModelSerializer[Attempt]):
    """One POST: `status` is null where no answer came; `answer` is its first kilobyte."""

    class Meta:
        model = Attempt
        fields = ("at", "duration_ms", "status", "error", "answer")


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    """A delivery as lists show it; `event_id` is its `webhook-id`."""

    webhook = serializers.CharField(source="webhook.name")
    state = serializers.ChoiceField(choices=State.choices)

    class Meta:
        model = Delivery
        fields = (
            "id",
            "webhook",
            "event",
            "event_id",
            "state",
            "reason",
            "tries",
            "created_at",
            "due_at",
            "ended_at",
        )


class WholeDeliverySerializer(DeliverySerializer):
    """A delivery with what was sent and every attempt, the first one first."""

    payload = serializers.SerializerMethodField()
    attempts = AttemptSerializer(many=True)

    class Meta(DeliverySerializer.Meta):
        fields = (*DeliverySerializer.Meta.fields, "payload", "attempts")  # type: ignore[assignment]

    def get_payload(self, delivery: Delivery) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(delivery.body)
        return document


class EventTypeSerializer(serializers.Serializer[Any]):
    """A type of event: when it comes, the JSON Schema of its payload, and an example."""

    type = serializers.CharField()
    description = serializers.CharField()
    schema = serializers.DictField()
    example = serializers.DictField()


class DeliveryFilter(FilterSet):
    """Deliveries by what became of them."""

    state = django_filters.ChoiceFilter(choices=State.choices)
    event = django_filters.ChoiceFilter(choices=[(name, name) for name in TYPES])
    event_id = django_filters.CharFilter(max_length=64)

    class Meta:
        model = Delivery
        fields = ()


class DeliveriesView(ResourceView, ListAPIView[Delivery]):
    """The deliveries of one webhook."""

    read_permission = "webhooks.view_delivery"
    queryset = Delivery.objects.none()
    serializer_class = DeliverySerializer
    pagination_class = CreatedPagination
    filter_backends = (DeclaredFilters, AllowedOrdering)
    filterset_class = DeliveryFilter
    ordering_fields = ("created_at",)

    def get(self, request: Request, name: str) -> Response:
        """What was sent to a webhook, the newest first; ended ones are kept for 30 days."""
        return self.list(request)

    def get_queryset(self) -> QuerySet[Delivery]:
        if getattr(self, "swagger_fake_view", False):
            return Delivery.objects.none()
        return deliveries_of(get_webhook(self.kwargs["name"]))


class DeliveryView(ResourceView):
    """One delivery."""

    read_permission = "webhooks.view_delivery"

    @extend_schema(responses=WholeDeliverySerializer)
    def get(self, request: Request, name: str, delivery_id: UUID) -> Response:
        """One delivery, with what was sent and every attempt."""
        delivery = get_delivery(get_webhook(name), delivery_id)
        return Response(WholeDeliverySerializer(delivery).data)


class RedeliverView(ResourceView):
    """A delivery once more."""

    read_permission = "webhooks.view_delivery"
    write_permission = "webhooks.change_webhook"

    @extend_schema(request=None, responses={202: DeliverySerializer})
    def post(self, request: Request, name: str, delivery_id: UUID) -> Response:
        """Sends an ended delivery again, under the `webhook-id` that it had."""
        delivery = get_delivery(get_webhook(name), delivery_id)
        sent = redeliver(delivery=delivery, actor=self.actor, now=wiring.clock().now())
        where = link(request, "delivery", name=name, delivery_id=sent.id)
        return Response(DeliverySerializer(sent).data, status=202, headers={"Location": where})


class EventTypesView(ResourceView):
    """The catalogue of events."""

    read_permission = "webhooks.view_webhook"

    @extend_schema(responses=EventTypeSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Every type of event that a webhook can want."""
        return Response(
            [
                {
                    "type": event.name,
                    "description": event.words,
                    "schema": payload.schema(event),
                    "example": payload.example(event),
                }
                for event in CATALOGUE
            ]
        )
