"""The embedded broker speaks to both libraries, and to nobody without the password."""

import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from kombu import Connection

from stack.broker import EmbeddedBroker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path / "broker") as server:
        yield server


def test_celerys_library_sends_and_receives(broker: EmbeddedBroker) -> None:
    with Connection(broker.url) as link, link.SimpleQueue("tests") as queue:
        queue.put({"generation": 6})
        message = queue.get(timeout=5)
        message.ack()
        assert message.payload == {"generation": 6}


def test_redis_py_uses_the_same_url(broker: EmbeddedBroker) -> None:
    with redis.Redis.from_url(broker.url) as client:
        client.set("name", "nereid")
        assert client.get("name") == b"nereid"


def test_nobody_gets_in_without_the_password(broker: EmbeddedBroker) -> None:
    with (
        redis.Redis(host="127.0.0.1", port=broker.port) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_the_password_is_in_no_command_line_and_in_no_open_file(broker: EmbeddedBroker) -> None:
    assert broker.pid is not None
    assert broker.password not in " ".join(psutil.Process(broker.pid).cmdline())
    assert stat.S_IMODE(broker.config_file.stat().st_mode) == 0o600


def test_it_comes_back_under_the_same_address(broker: EmbeddedBroker) -> None:
    address = broker.url
    assert broker.pid is not None
    psutil.Process(broker.pid).kill()
    broker.stop()
    assert not broker.ready()
    broker.start()
    assert broker.url == address
    assert broker.ready()
