"""Webhooks over the real database, and a real receiver on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from control_plane.adapters.receivers import HttpReceivers
from control_plane.domain.webhooks.addresses import Allowed
from control_plane.webhooks.delivering import deliver
from control_plane.webhooks.models import Delivery, Webhook
from control_plane.webhooks.services import Wish, create_webhook
from tests.support.fakes import FakeClock, FakeQueue
from tests.support.receiver import Receiver, receiving

HERE = Allowed.of("127.0.0.0/8")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


class Hooks:
    """Webhooks to one receiver, a clock that stands still, and a worker's turn by hand."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.clock = FakeClock()
        self.queue = FakeQueue()
        self.secrets: dict[str, str] = {}

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def make(self, name: str = "deploys", **wish: Any) -> Webhook:
        said = {"url": self.receiver.url, "events": ["*"], **wish}
        webhook, self.secrets[name] = create_webhook(
            name=name, wish=Wish(**said), actor="ada", allowed=HERE
        )
        return webhook

    def work(self, webhook: Webhook, timeout_s: float = 2.0) -> int:
        """A worker's turn; how many attempts it made."""
        receivers = HttpReceivers(HERE, timeout_s=timeout_s)
        return deliver(
            webhook_id=webhook.id, clock=self.clock, queue=self.queue, receivers=receivers
        )

    def only(self) -> Delivery:
        return Delivery.objects.get()


@pytest.fixture
def hooks(db: None, receiver: Receiver) -> Hooks:
    return Hooks(receiver)
