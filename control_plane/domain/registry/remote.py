"""A model that a process of somebody's own serves: its address, and which addresses may be named.

Whatever this server connects to for somebody could be a service that only it can reach: only
addresses that an operator allowed are.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from control_plane.domain.violations import InvalidInputError, Violation

SCHEME = "grpc"
FILE = "remote.json"

LOOPBACK = "127.0.0.1:*,localhost:*,[::1]:*"
"""What may be named where nobody says otherwise: processes of this machine."""

_MODEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_MAX_PORT = 65535


@dataclass(frozen=True)
class RemoteModel:
    """A model of a gRPC service of the v2 protocol; an IPv6 `host` is without brackets."""

    host: str
    port: int
    model: str

    def __str__(self) -> str:
        return f"{SCHEME}://{self.address}/{self.model}"

    @property
    def address(self) -> str:
        """`host:port`, as it is dialled."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def to_file(self) -> bytes:
        """The version's file: what the backend `remote` reads."""
        return json.dumps({"address": self.address, "model": self.model}, indent=1).encode() + b"\n"


def read_remote(source: str) -> RemoteModel:
    """Reads `grpc://127.0.0.1:8001/double`.

    Raises:
        InvalidInputError: it is no such address.
    """
    try:
        parts = urlsplit(source)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise _refused(source) from None
    model = parts.path.removeprefix("/")
    plain = parts.scheme == SCHEME and not (parts.query or parts.fragment or "@" in parts.netloc)
    if not plain or port is None or not _is_host(host) or not _MODEL.fullmatch(model):
        raise _refused(source)
    return RemoteModel(host, port, model)


@dataclass(frozen=True)
class AllowedRemotes:
    """Which `(host, port)` may be named; port None is any of that host."""

    entries: frozenset[tuple[str, int | None]]

    @classmethod
    def of(cls, text: str) -> AllowedRemotes:
        """Reads `127.0.0.1:*, notebooks.internal:8001, [::1]:*`.

        Raises:
            ValueError: an entry is no host with a port.
        """
        entries = set()
        for entry in (part.strip().lower() for part in text.split(",")):
            if not entry:
                continue
            host, _, port = entry.rpartition(":")
            host = host.removeprefix("[").removesuffix("]")
            numbered = port.isdecimal() and 0 < int(port) <= _MAX_PORT
            if not _is_host(host) or not (port == "*" or numbered):
                raise ValueError(
                    f"NEREID_REMOTE_ALLOW: {entry!r} is no host:port, nor host:* for all ports"
                )
            entries.add((_plain(host), None if port == "*" else int(port)))
        return cls(frozenset(entries))

    def check(self, remote: RemoteModel) -> None:
        """Refuses what no operator allowed.

        Raises:
            InvalidInputError: the address is not on the list.
        """
        host = _plain(remote.host)
        if {(host, None), (host, remote.port)}.isdisjoint(self.entries):
            detail = (
                f"{remote.address} is not on the list of processes that may serve an arm: an "
                "operator adds it to NEREID_REMOTE_ALLOW"
            )
            raise InvalidInputError([Violation("/source", "not_allowed", detail)])


def same_service(remote: RemoteModel, address: str) -> bool:
    """True when `host:port` is where the remote is: of one machine's names for itself, any."""
    host, _, port = address.rpartition(":")
    names = [_plain(host.lower().removeprefix("[").removesuffix("]")), _plain(remote.host)]
    loopback = {"127.0.0.1", "localhost", "::1"}
    same = names[0] == names[1] or loopback.issuperset(names)
    return same and port == str(remote.port)


def _plain(host: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        return host


def _is_host(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return len(host) <= 253 and bool(_HOST.fullmatch(host))
    return True


def _refused(source: str) -> InvalidInputError:
    detail = (
        f"{source[:200]!r} names no process: write grpc://HOST:PORT/MODEL, such as "
        "grpc://127.0.0.1:8001/double"
    )
    return InvalidInputError([Violation("/source", "invalid", detail)])
