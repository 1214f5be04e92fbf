"""Every Queue keeps what it is given; the Celery one over a real broker."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest
from celery import Celery

from control_plane.adapters.queue import CeleryQueue, node_queue
from control_plane.ports.queue import Queue
from tests.support.fakes import FakeQueue

Received = Callable[[str], list[tuple[str, dict[str, object]]]]

LANES = ("control", "validation", "webhooks", "perf", "node.lab.prepare", "node.lab.switch")


def test_the_celery_queue_sends_each_verb_down_its_lane(broker: str) -> None:
    app = Celery("test", broker=broker)
    queue: Queue = CeleryQueue(app)
    endpoint, version, hook = uuid4(), uuid4(), uuid4()
    queue.reconcile(endpoint_id=endpoint)
    queue.validate(version_id=version)
    queue.deliver(webhook_id=hook)
    queue.perf_run(run_id=12)
    queue.tune(tune_id=7)
    queue.perf_command(server="lab", verb="hold", run_id=12)
    queue.recording(server="lab", recording_id=3, key="ab" * 16)
    for verb in ("prepare", "switch", "retire", "remove"):
        queue.command(server="lab", verb=verb, endpoint_id=endpoint, generation=7)
    sent = {name: drain(app, name) for name in LANES}
    command = {"server": "lab", "endpoint_id": str(endpoint), "generation": 7}
    assert sent["control"] == [
        ("reconcile.endpoint", {"endpoint_id": str(endpoint)}),
    ]
    # A load of minutes stands in nobody's way there.
    assert sent["validation"] == [("registry.validate", {"version_id": str(version)})]
    assert sent["webhooks"] == [("webhooks.deliver", {"webhook_id": str(hook)})]
    assert sent["node.lab.switch"] == [("node.switch", command)]
    assert sent["perf"] == [("perf.run", {"run_id": 12}), ("perf.tune", {"tune_id": 7})]
    assert [task for task, _ in sent["node.lab.prepare"]] == [
        "perf.hold",
        "perf.record",
        "node.prepare",
        "node.retire",
        "node.remove",
    ]
    app.close()


def test_the_fake_queue_keeps_the_same() -> None:
    fake = FakeQueue()
    queue: Queue = fake
    endpoint, version, hook = uuid4(), uuid4(), uuid4()
    queue.reconcile(endpoint_id=endpoint)
    queue.validate(version_id=version)
    queue.deliver(webhook_id=hook)
    queue.command(server="lab", verb="switch", endpoint_id=endpoint, generation=7)
    queue.perf_run(run_id=12)
    queue.tune(tune_id=7)
    queue.recording(server="lab", recording_id=3, key="ab" * 16)
    queue.perf_command(server="lab", verb="hold", run_id=12)
    assert (fake.perf_runs, fake.tunes, fake.recordings) == ([12], [7], [3])
    assert fake.perf_commands == [("lab", "hold", 12)]
    assert (fake.reconciles, fake.validations) == ([endpoint], [version])
    assert fake.deliveries == [hook]
    assert fake.commands == [("lab", "switch", 7)]


@pytest.mark.parametrize("verb", ["prepare", "retire", "remove"])
def test_only_switches_travel_on_the_switch_lane(verb: str) -> None:
    assert node_queue("lab", verb) == "node.lab.prepare"
    assert node_queue("lab", "switch") == "node.lab.switch"


def test_what_the_sweep_asks_for_again_does_not_pile_up(broker: str) -> None:
    app = Celery("test", broker=broker)
    queue = CeleryQueue(app)
    queue.deliver(webhook_id=uuid4())
    queue.command(server="lab", verb="switch", endpoint_id=uuid4(), generation=7)
    queue.reconcile(endpoint_id=uuid4())
    with app.connection_for_read() as connection:
        for name, has_an_end in (("webhooks", True), ("node.lab.switch", True), ("control", False)):
            with connection.SimpleQueue(name) as lane:
                message = lane.get(block=False)
                message.ack()
                assert (message.headers["expires"] is not None) == has_an_end, name
    app.close()


def drain(app: Celery, name: str) -> list[tuple[str, dict[str, object]]]:
    """What lies in a queue, as (task, keyword arguments)."""
    found = []
    with app.connection_for_read() as connection, connection.SimpleQueue(name) as queue:
        for _ in range(queue.qsize()):
            message = queue.get(block=False)
            message.ack()
            found.append((message.headers["task"], message.payload[1]))
    return found
