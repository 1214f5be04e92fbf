"""What an operator says of the edge: where it listens, whom it lets in, and how much."""

from __future__ import annotations

from dataclasses import dataclass, field

MEBIBYTE = 1 << 20
LARGEST_BODY = 1 << 30
"""Half of what an HTTP/2 window can hold: a message larger than its window never arrives."""


@dataclass(frozen=True)
class Tls:
    """Files in PEM; replaced by rename, they are read again."""

    certificate: str
    key: str


@dataclass(frozen=True)
class Jwt:
    """Tokens that an identity provider signs. `keys` is a file: a JSON Web Key Set."""

    keys: str
    issuer: str
    audiences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tokens:
    """Tokens that are listed, each with the name of whoever has it."""

    names_by_token: dict[str, str] = field(repr=False)


@dataclass(frozen=True)
class Limits:
    """How much the edge takes; beyond it a caller is told so at once.

    Attributes:
        body_bytes: the largest request: 413 beyond it.
        at_once: requests on their way to the servers: 503 beyond it.
        connections: of callers: more are closed.
        per_second: requests of all callers together: 429 beyond it; None: no limit.
        timeout_s: for an answer; streams end when their caller says so.
    """

    body_bytes: int = 64 * MEBIBYTE
    at_once: int = 4096
    connections: int = 10_000
    per_second: int | None = None
    timeout_s: int = 300


@dataclass(frozen=True, kw_only=True)
class EdgeOptions:
    """Everything that does not change with the fleet. `folder` and `admin` are absolute paths."""

    host: str
    http_port: int
    grpc_port: int
    folder: str
    admin: str
    limits: Limits = field(default_factory=Limits)
    tls: Tls | None = None
    access: Jwt | Tokens | None = None

    def path(self, name: str) -> str:
        """Where one of the edge's files lies."""
        return f"{self.folder}/{name}"
