"""The real workers: a killed one loses nothing; and the receiver of the documentation runs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from celery import Celery
from django.db import connection
from django.utils import timezone

from control_plane.adapters.clock import SystemClock
from control_plane.adapters.queue import CeleryQueue
from control_plane.adapters.receivers import HttpReceivers
from control_plane.domain.webhooks.addresses import Allowed
from control_plane.registry.services import create_model
from control_plane.webhooks.delivering import LEASE, deliver, sweep
from control_plane.webhooks.models import Delivery, State, Webhook
from control_plane.webhooks.services import Wish, create_webhook
from nereid import webhooks as sdk
from stack.ports import free_port
from tests.support.fakes import FakeQueue
from tests.support.receiver import Receiver

CHECKOUT = Path(__file__).resolve().parents[3]
HERE = Allowed.of("127.0.0.1")


@pytest.fixture
def start_worker(broker: str, transactional_db: None) -> Iterator[Callable[[], Any]]:
    """Starts a worker of the webhooks' queue on the test's own database."""
    address = connection.settings_dict
    where = f"?host={quote(str(address['HOST']), safe='')}" if address["HOST"] else ""
    options = "&".join(f"{key}={quote(str(v), safe='')}" for key, v in address["OPTIONS"].items())
    query = where or (f"?{options}" if options else "")
    environment = os.environ | {
        "DATABASE_URL": f"postgresql://{address['USER']}@/{address['NAME']}{query}",
        "CELERY_BROKER_URL": broker,
        "NEREID_WEBHOOK_ALLOW": "127.0.0.1",
    }
    command = [sys.executable, "-m", "celery", "--quiet", "-A", "workers.app", "worker"]
    command += ["-Q", "webhooks", "-P", "threads", "-c", "2", "--without-gossip"]
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(command, cwd=CHECKOUT, env=environment))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
    for process in started:
        process.wait(60)


def test_a_worker_that_is_killed_loses_nothing(
    receiver: Receiver, broker: str, start_worker: Callable[[], Any], monkeypatch: Any
) -> None:
    wish = Wish(url=receiver.url, events=["model.*"])
    _, secret = create_webhook(name="deploys", wish=wish, actor="ada", allowed=HERE)
    held = threading.Event()
    receiver.answers = [lambda request: held.wait(60) and None]
    with Celery("test", broker=broker) as app:
        queue = CeleryQueue(app)
        monkeypatch.setattr("control_plane.wiring.queue", lambda: queue)
        create_model(name="digits", actor="ada")  # the outbox's own message goes out
        worker = start_worker()
        receiver.wait_for(1, patience_s=90)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        held.set()
        delivery = Delivery.objects.get()
        assert (delivery.state, delivery.tries) == (State.PENDING, 0), "it sent, and noted nothing"
        assert sweep(clock=SystemClock(), queue=queue) == 0, "the dead one's lease still holds"
        now = timezone.now()
        lasting = Webhook.objects.filter(lease_expires_at__lte=now + LEASE)
        assert lasting.update(lease_expires_at=now), "no lease lasts longer than said"
        assert sweep(clock=SystemClock(), queue=queue) == 1
        start_worker()
        first, second = receiver.wait_for(2, patience_s=90)
        until(lambda: Delivery.objects.get().state == State.DELIVERED)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert sdk.verify(second.headers, second.body, secret)["type"] == "model.created"


@pytest.mark.django_db
def test_the_receiver_of_the_documentation_runs() -> None:
    page = (CHECKOUT / "docs" / "webhooks.md").read_text()
    found = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert found
    port = free_port()
    wish = Wish(url=f"http://127.0.0.1:{port}/", events=["model.*"])
    webhook, secret = create_webhook(name="docs", wish=wish, actor="ada", allowed=HERE)
    create_model(name="digits", actor="ada")
    environment = os.environ | {"WEBHOOK_SECRET": secret, "PORT": str(port)}
    with subprocess.Popen(
        [sys.executable, "-c", found[1]],
        cwd=CHECKOUT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:

            def delivered() -> bool:
                Delivery.objects.filter(state=State.PENDING).update(due_at=timezone.now())
                Webhook.objects.update(rests_until=None)
                deliver(
                    webhook_id=webhook.id,
                    clock=SystemClock(),
                    queue=FakeQueue(),
                    receivers=HttpReceivers(HERE),
                )
                return Delivery.objects.get().state == State.DELIVERED

            until(delivered)
            assert process.stdout is not None
            assert process.stdout.readline().startswith("model.created {'model': 'digits'")
            # A stranger's POST is answered 400.
            reply = HttpReceivers(HERE).post(webhook.url, {"webhook-id": "evt_x"}, b"{}")
            assert reply.status == 400
        finally:
            process.terminate()


def until(condition: Callable[[], bool], patience_s: float = 60) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
