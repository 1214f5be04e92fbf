"""What the API answers about servers, deeds, people and tokens, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from nereid.resources import Document


@dataclass(frozen=True)
class AuditEvent:
    """Who did what to which object."""

    id: int
    at: str
    actor: str
    action: str
    object_type: str
    object_name: str
    reason: str
    request_id: str
    before: Any
    after: Any
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> AuditEvent:
        return cls(
            id=int(raw["id"]),
            at=str(raw.get("at") or ""),
            actor=str(raw.get("actor") or ""),
            action=str(raw.get("action") or ""),
            object_type=str(raw.get("object_type") or ""),
            object_name=str(raw.get("object_name") or ""),
            reason=str(raw.get("reason") or ""),
            request_id=str(raw.get("request_id") or ""),
            before=raw.get("before"),
            after=raw.get("after"),
            raw=raw,
        )


@dataclass(frozen=True)
class HeldModel:
    name: str
    version: str
    state: str


@dataclass(frozen=True)
class Backend:
    """What a server runs models with: a library (`native`), or Python code (`python`)."""

    name: str
    kind: str
    version: str

    def __str__(self) -> str:
        version = f" {self.version}" if self.version else ""
        return f"{self.name}{version}" + (" (Python-based)" if self.kind == "python" else "")


def _backends(raw: Any) -> tuple[Backend, ...] | None:
    if raw is None:
        return None
    return tuple(
        Backend(str(one["name"]), str(one.get("kind") or ""), str(one.get("version") or ""))
        for one in raw
    )


@dataclass(frozen=True)
class Server:
    name: str
    status: str
    http: str
    grpc: str
    metrics: str
    gate: str  # where its node says whether it may be sent requests; empty: not known
    accelerator: str
    triton_version: str
    last_seen_at: str
    models: tuple[HeldModel, ...]
    backends: tuple[Backend, ...] | None  # None: its node does not know
    labels: Mapping[str, str]
    scheduling: str  # Open, Cordoned, Draining or Drained
    left: tuple[Document, ...]  # what a drain waits for: endpoint and reason
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> Server:
        def text(key: str) -> str:
            return str(raw.get(key) or "")

        return cls(
            name=str(raw["name"]),
            status=text("status"),
            http=text("http"),
            grpc=text("grpc"),
            metrics=text("metrics"),
            gate=text("gate"),
            accelerator=text("accelerator"),
            triton_version=text("triton_version"),
            last_seen_at=text("last_seen_at"),
            models=tuple(
                HeldModel(
                    str(held.get("name") or ""),
                    str(held.get("version") or ""),
                    str(held.get("state") or ""),
                )
                for held in raw.get("models") or ()
            ),
            backends=_backends(raw.get("backends")),
            labels=dict(raw.get("labels") or {}),
            scheduling=str((raw.get("scheduling") or {}).get("state") or "Open"),
            left=tuple((raw.get("scheduling") or {}).get("left") or ()),
            raw=raw,
        )


@dataclass(frozen=True)
class Token:
    """An API token, never in clear. `names` None: it reaches every model and endpoint."""

    id: str
    name: str
    user: str
    role: str
    names: tuple[str, ...] | None
    state: str
    created_at: str
    expires_at: str  # empty: never
    last_used_at: str  # empty: not yet
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> Self:
        return cls(**cls._fields(raw))

    @classmethod
    def _fields(cls, raw: Document) -> dict[str, Any]:
        names = raw.get("names")
        return {
            "id": str(raw["id"]),
            "name": str(raw.get("name") or ""),
            "user": str(raw.get("user") or ""),
            "role": str(raw.get("role") or ""),
            "names": None if names is None else tuple(names),
            "state": str(raw.get("state") or ""),
            "created_at": str(raw.get("created_at") or ""),
            "expires_at": str(raw.get("expires_at") or ""),
            "last_used_at": str(raw.get("last_used_at") or ""),
            "raw": raw,
        }


@dataclass(frozen=True)
class NewToken(Token):
    """A token just made."""

    secret: str = field(repr=False, compare=False)

    @classmethod
    def _fields(cls, raw: Document) -> dict[str, Any]:
        return {**super()._fields(raw), "secret": str(raw["token"])}


@dataclass(frozen=True)
class User:
    """A person, and what they may do; `all_rights`: whatever their roles say."""

    username: str
    name: str
    email: str
    active: bool
    console: bool
    all_rights: bool
    roles: tuple[str, ...]
    groups: tuple[str, ...]
    publish_code: bool
    signs_in_at: tuple[str, ...]
    last_login: str  # empty: not yet
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> User:
        return cls(
            username=str(raw["username"]),
            name=str(raw.get("name") or ""),
            email=str(raw.get("email") or ""),
            active=bool(raw.get("active")),
            console=bool(raw.get("console")),
            all_rights=bool(raw.get("all_rights")),
            roles=tuple(raw.get("roles") or ()),
            groups=tuple(raw.get("groups") or ()),
            publish_code=bool(raw.get("publish_code")),
            signs_in_at=tuple(raw.get("signs_in_at") or ()),
            last_login=str(raw.get("last_login") or ""),
            raw=raw,
        )


@dataclass(frozen=True)
class Grant:
    """A role on one model or endpoint, for a person or a group: the other is empty."""

    id: str
    user: str
    group: str
    role: str
    kind: str
    name: str
    created_by: str
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> Grant:
        return cls(
            id=str(raw["id"]),
            user=str(raw.get("user") or ""),
            group=str(raw.get("group") or ""),
            role=str(raw.get("role") or ""),
            kind=str(raw.get("kind") or ""),
            name=str(raw.get("name") or ""),
            created_by=str(raw.get("created_by") or ""),
            raw=raw,
        )

    @property
    def holder(self) -> str:
        """Whose it is, in words."""
        return f"group {self.group}" if self.group else self.user


@dataclass(frozen=True)
class Disk:
    """A disk that the control plane writes to."""

    what: str
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class Edge:
    """A proxy in front of the servers, as the writer of its files saw it last."""

    name: str
    seen_at: str
    live: bool
    listeners: Mapping[str, str]  # by protocol, the address
    behind: tuple[str, ...]  # files whose newest version it has not taken up
    servers: Mapping[str, str]  # why nothing is sent to one; empty: it is sent to

    @classmethod
    def from_json(cls, raw: Document) -> Edge:
        return cls(
            name=str(raw["name"]),
            seen_at=str(raw.get("seen_at") or ""),
            live=bool(raw.get("live")),
            listeners=dict(raw.get("listeners") or {}),
            behind=tuple(raw.get("behind") or ()),
            servers={str(one["server"]): _left_out(one) for one in raw.get("servers") or ()},
        )


def _left_out(raw: Document) -> str:
    """Why a proxy does not send to a server over one of the protocols, or both."""
    whys = {one: raw.get(one) for one in ("http", "grpc")}
    told = [f"{one}: {why}" for one, why in whys.items() if why]
    if len(set(whys.values())) == 1 and told:
        return str(whys["http"])
    untold = [f"{one}: not told of it" for one, why in whys.items() if why is None]
    return "; ".join([*told, *untold])


@dataclass(frozen=True)
class Store:
    """A store of files of the control plane's; `problem` says why it cannot be used."""

    what: str
    place: str
    problem: str


@dataclass(frozen=True)
class Diagnosis:
    """What the control plane knows of its own state; `queues` None: its broker did not answer."""

    version: str
    time: str
    queues: Mapping[str, tuple[str, ...]] | None
    disks: tuple[Disk, ...]
    stores: tuple[Store, ...]
    migrations: tuple[str, ...] | None  # what the database lacks; None: too old to say
    scrapes: Mapping[str, str]  # by server, when its metrics were read last; "": never
    edges: tuple[Edge, ...]
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> Diagnosis:
        queues = raw.get("queues")
        return cls(
            version=str(raw.get("version") or ""),
            time=str(raw.get("time") or ""),
            queues=None
            if queues is None
            else {str(queue["name"]): tuple(queue.get("workers") or ()) for queue in queues},
            disks=tuple(
                Disk(
                    str(disk.get("what") or ""),
                    int(disk.get("free_bytes") or 0),
                    int(disk.get("total_bytes") or 0),
                )
                for disk in raw.get("disks") or ()
            ),
            stores=tuple(
                Store(
                    str(store.get("what") or ""),
                    str(store.get("place") or ""),
                    str(store.get("problem") or ""),
                )
                for store in raw.get("stores") or ()
            ),
            migrations=None if raw.get("migrations") is None else tuple(raw["migrations"]),
            scrapes={
                str(one["server"]): str(one.get("scraped_at") or "")
                for one in raw.get("scrapes") or ()
            },
            edges=tuple(Edge.from_json(one) for one in raw.get("edges") or ()),
            raw=raw,
        )
