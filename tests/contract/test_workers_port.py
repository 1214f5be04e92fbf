"""Who works, asked of a real broker: one that cannot tell is said to be so."""

from __future__ import annotations

import pytest
import redis
from celery import Celery

from control_plane.adapters.workers import CeleryWorkers
from control_plane.ports.workers import Workers, WorkersUnknownError
from stack.ports import free_port


def workers(broker: str) -> Workers:
    return CeleryWorkers(Celery("test", broker=broker), patience_s=0.2)


def test_nobody_works(broker: str) -> None:
    assert workers(broker).by_queue() == {}


def test_no_broker() -> None:
    with pytest.raises(WorkersUnknownError):
        workers(f"redis://127.0.0.1:{free_port()}/0").by_queue()


def test_a_broker_that_is_full(broker: str) -> None:
    """It answers a greeting, and nothing after it."""
    with redis.Redis.from_url(broker) as server:
        usual = server.config_get("maxmemory")["maxmemory"]
        server.config_set("maxmemory", 1)
        try:
            with pytest.raises(WorkersUnknownError, match="maxmemory"):
                workers(broker).by_queue()
        finally:
            server.config_set("maxmemory", usual)
