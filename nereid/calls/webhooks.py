"""Webhooks: who is told of what, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nereid.calls.asking import PAGE_SIZE, ask, listed, looking, part, read
from nereid.deliveries import Delivery, EventType, Webhook, WebhookWithSecret
from nereid.steps import Steps


def webhooks() -> Steps[list[Webhook]]:
    """All webhooks."""
    return [Webhook.from_json(raw) for raw in (yield from listed("/webhooks/"))]


def webhook(name: str) -> Steps[Webhook]:
    """One webhook."""
    return Webhook.from_json((yield from read("GET", _path(name))))


def create_webhook(
    name: str,
    url: str,
    events: Sequence[str],
    *,
    names: Sequence[str] | None = None,
    enabled: bool = True,
) -> Steps[WebhookWithSecret]:
    """Tell `url` of these events (`version.*`, `*`); the `secret` that signs is seen this once.

    `names` are the only models and endpoints that it is told about.
    """
    body: dict[str, Any] = {
        "name": name,
        "url": url,
        "events": list(events),
        "names": list(names) if names else None,
        "enabled": enabled,
    }
    return WebhookWithSecret.from_json((yield from read("POST", "/webhooks/", json=body)))


def update_webhook(
    name: str,
    *,
    url: str | None = None,
    events: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    enabled: bool | None = None,
) -> Steps[Webhook]:
    """Change what is given; `names=[]` takes the filter away."""
    given = {
        "url": url,
        "events": None if events is None else list(events),
        "names": None if names is None else list(names),
        "enabled": enabled,
    }
    body = {key: value for key, value in given.items() if value is not None}
    return Webhook.from_json((yield from read("PATCH", _path(name), json=body)))


def delete_webhook(name: str) -> Steps[None]:
    """Remove a webhook with the log of its deliveries."""
    yield from ask("DELETE", _path(name))


def test_webhook(name: str) -> Steps[Delivery]:
    """Send `webhook.ping`; `wait_delivery` says what came of it."""
    return Delivery.from_json((yield from read("POST", f"{_path(name)}test/", json={})))


def rotate_webhook(name: str, *, overlap: str = "24h") -> Steps[WebhookWithSecret]:
    """A new `secret`, seen this once; the old one signs too for `overlap` (at most 168h)."""
    body = {"overlap": overlap}
    raw = yield from read("POST", f"{_path(name)}rotate/", json=body)
    return WebhookWithSecret.from_json(raw)


def deliveries(
    name: str, *, state: str | None = None, event: str | None = None, limit: int = PAGE_SIZE
) -> Steps[list[Delivery]]:
    """The newest deliveries of a webhook, at most `limit` (500), newest first."""
    given = {"state": state, "event": event, "limit": str(limit)}
    params = {key: value for key, value in given.items() if value}
    page = yield from read("GET", f"{_path(name)}deliveries/", params=params)
    return [Delivery.from_json(raw) for raw in page.get("results") or ()]


def delivery(name: str, delivery_id: str) -> Steps[Delivery]:
    """One delivery with what was sent and every attempt."""
    path = f"{_path(name)}deliveries/{part(delivery_id)}/"
    return Delivery.from_json((yield from read("GET", path)))


def redeliver(name: str, delivery_id: str) -> Steps[Delivery]:
    """Send an ended delivery again, under the `webhook-id` that it had."""
    path = f"{_path(name)}deliveries/{part(delivery_id)}/redeliver/"
    return Delivery.from_json((yield from read("POST", path, json={})))


def wait_delivery(
    name: str,
    delivery_id: str,
    *,
    timeout: float = 30.0,
    on_progress: Callable[[Delivery], None] | None = None,
) -> Steps[Delivery]:
    """The delivery as soon as it was tried once, or as it is when the time is over."""
    return (
        yield from looking(
            lambda: delivery(name, delivery_id),
            lambda seen: seen.tries > 0 or seen.state != "pending",
            timeout,
            on_progress,
        )
    )


def webhook_events() -> Steps[list[EventType]]:
    """Every type of event that a webhook can want."""
    response = yield from ask("GET", "/webhook-events/")
    return [EventType.from_json(raw) for raw in response.json()]


def _path(name: str) -> str:
    return f"/webhooks/{part(name)}/"
