"""What the API answers, as values.

Unknown fields are ignored and optional ones may be absent, so this client works with a newer
server; ``raw`` keeps the whole document as it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

VersionState = Literal["uploading", "validating", "ready", "rejected", "archived"]
EndpointStatus = Literal["Unconfigured", "Progressing", "Healthy", "Degraded"]
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Model:
    name: str
    description: str
    owner: str
    tags: Mapping[str, str]
    sla: Mapping[str, float]
    aliases: Mapping[str, int]
    latest_version: int | None
    created_at: str
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> Model:
        return cls(
            name=str(raw["name"]),
            description=str(raw.get("description") or ""),
            owner=str(raw.get("owner") or ""),
            tags=dict(raw.get("tags") or {}),
            sla=dict(raw.get("sla") or {}),
            aliases=dict(raw.get("aliases") or {}),
            latest_version=raw.get("latest_version"),
            created_at=str(raw.get("created_at") or ""),
            raw=raw,
        )


@dataclass(frozen=True)
class Tensor:
    name: str
    datatype: str
    shape: tuple[int, ...]

    @classmethod
    def from_json(cls, raw: Document) -> Tensor:
        return cls(
            name=str(raw["name"]),
            datatype=str(raw.get("datatype") or ""),
            shape=tuple(int(size) for size in raw.get("shape") or ()),
        )

    def __str__(self) -> str:
        sizes = ", ".join("?" if size < 0 else str(size) for size in self.shape)
        return f"{self.name} {self.datatype}[{sizes}]"


@dataclass(frozen=True)
class Signature:
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @classmethod
    def from_json(cls, raw: Document) -> Signature:
        return cls(
            inputs=tuple(Tensor.from_json(tensor) for tensor in raw.get("inputs") or ()),
            outputs=tuple(Tensor.from_json(tensor) for tensor in raw.get("outputs") or ()),
        )


@dataclass(frozen=True)
class Place:
    """An endpoint that a version serves in; not `live`: the revision is on its way."""

    endpoint: str
    revision: int
    arm: str
    share: float
    live: bool

    @classmethod
    def from_json(cls, raw: Document) -> Place:
        return cls(
            endpoint=str(raw["endpoint"]),
            revision=int(raw["revision"]),
            arm=str(raw.get("arm") or ""),
            share=float(raw.get("share") or 0),
            live=bool(raw.get("live")),
        )


@dataclass(frozen=True)
class Version:
    model: str
    number: int
    state: VersionState
    state_reason: str
    framework: str
    sha256: str
    size: int
    filename: str
    signature: Signature | None
    description: str
    tags: Mapping[str, str]
    metrics: Mapping[str, Any]  # a number, or a data set with its numbers
    provenance: Mapping[str, Any]
    aliases: tuple[str, ...]
    serves_in: tuple[Place, ...]
    created_at: str
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> Version:
        artifact = raw.get("artifact") or {}
        signature = raw.get("signature")
        return cls(
            model=str(raw["model"]),
            number=int(raw["version"]),
            state=raw["state"],
            state_reason=str(raw.get("state_reason") or ""),
            framework=str(raw.get("framework") or ""),
            sha256=str(artifact.get("sha256") or ""),
            size=int(artifact.get("size") or 0),
            filename=str(artifact.get("filename") or ""),
            signature=Signature.from_json(signature) if signature else None,
            description=str(raw.get("description") or ""),
            tags=dict(raw.get("tags") or {}),
            metrics=dict(raw.get("metrics") or {}),
            provenance=dict(raw.get("provenance") or {}),
            aliases=tuple(raw.get("aliases") or ()),
            serves_in=tuple(Place.from_json(place) for place in raw.get("serves_in") or ()),
            created_at=str(raw.get("created_at") or ""),
            raw=raw,
        )


@dataclass(frozen=True)
class Alias:
    model: str
    name: str
    version: int
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> Alias:
        return cls(
            model=str(raw["model"]),
            name=str(raw["alias"]),
            version=int(raw["version"]),
            raw=raw,
        )


@dataclass(frozen=True)
class Arm:
    name: str
    model: str
    version: int
    weight: float
    primary: bool
    physical: str  # the name that Triton knows it by, and that answers carry as nereid_arm
    pipeline: bool = False  # model and version are then a pipeline's name and revision

    @property
    def target(self) -> str:
        return f"{self.model}:{self.version}"

    @classmethod
    def from_json(cls, raw: Document) -> Arm:
        return cls(
            name=str(raw.get("name") or ""),
            model=str(raw.get("pipeline") or raw.get("model") or ""),
            version=int(raw.get("revision") or raw.get("version") or 0),
            weight=float(raw.get("weight") or 0),
            primary=bool(raw.get("primary")),
            physical=str(raw.get("physical") or ""),
            pipeline=bool(raw.get("pipeline")),
        )


@dataclass(frozen=True)
class Endpoint:
    name: str
    description: str
    status: EndpointStatus
    reason: str
    generation: int
    observed_generation: int
    revision: int | None
    policy: Document | None
    arms: tuple[Arm, ...]
    four_eyes: bool
    pending_change: int | None  # what waits for a second person
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> Endpoint:
        return cls(
            name=str(raw["name"]),
            description=str(raw.get("description") or ""),
            status=raw["status"],
            reason=" ".join(str(raw.get("reason") or "").split()),
            generation=int(raw.get("generation") or 0),
            observed_generation=int(raw.get("observed_generation") or 0),
            revision=raw.get("revision"),
            policy=raw.get("policy"),
            arms=tuple(Arm.from_json(arm) for arm in raw.get("arms") or ()),
            four_eyes=bool(raw.get("four_eyes")),
            pending_change=raw.get("pending_change"),
            raw=raw,
        )

    def settled(self, generation: int) -> bool:
        """Whether what this shows is the outcome of `generation`, or of a later one."""
        if self.generation < generation:
            return False
        if self.status == "Healthy":
            return self.observed_generation >= generation
        return self.status == "Degraded"


@dataclass(frozen=True)
class Policy:
    """An endpoint's policy document with the tag that a later change must present."""

    document: Document
    etag: str

    @property
    def empty(self) -> bool:
        return not self.document.get("arms")


@dataclass(frozen=True)
class Accepted:
    """A change that the server took; the work goes on behind it.

    With a `change` nothing moves yet: that is the number of what waits for a second person.
    """

    endpoint: str
    generation: int
    status: str
    change: int | None
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> Accepted:
        return cls(
            endpoint=str(raw["endpoint"]),
            generation=int(raw["generation"]),
            status=str(raw.get("status") or ""),
            change=raw.get("change"),
            raw=raw,
        )


@dataclass(frozen=True)
class Revision:
    number: int
    generation: int
    digest: str
    error: str
    served_from: str  # empty: it never served
    served_until: str  # empty: it serves, or never did
    created_at: str
    created_by: str
    reason: str  # why, in the words of whoever made it
    approved_by: str  # the second person, where the four-eyes rule held
    policy: Document | None
    arms: tuple[Arm, ...]
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> Revision:
        return cls(
            number=int(raw["number"]),
            generation=int(raw.get("generation") or 0),
            digest=str(raw.get("digest") or ""),
            error=" ".join(str(raw.get("error") or "").split()),
            served_from=str(raw.get("served_from") or ""),
            served_until=str(raw.get("served_until") or ""),
            arms=tuple(Arm.from_json(arm) for arm in raw.get("arms") or ()),
            created_at=str(raw.get("created_at") or ""),
            created_by=str(raw.get("created_by") or ""),
            reason=str(raw.get("reason") or ""),
            approved_by=str(raw.get("approved_by") or ""),
            policy=raw.get("policy"),
            raw=raw,
        )


@dataclass(frozen=True)
class Change:
    action: str
    arm: str
    detail: str


@dataclass(frozen=True)
class Finding:
    severity: str
    code: str
    detail: str
    pointer: str
    fix: str = ""

    @classmethod
    def all_of(cls, raw: Document) -> tuple[Finding, ...]:
        """The findings that an answer has."""
        keys = ("severity", "code", "detail", "pointer", "fix")
        given = raw.get("findings") or ()
        return tuple(cls(*(str(one.get(key) or "") for key in keys)) for one in given)


@dataclass(frozen=True)
class Profile:
    """How versions are served; `revision` None: it comes with Nereid, and cannot be changed.

    `etag` is what a later change must present; empty in a list.
    """

    name: str
    built_in: bool
    revision: int | None
    document: Document
    findings: tuple[Finding, ...]
    changed_at: str
    changed_by: str
    etag: str
    raw: Document = field(repr=False, compare=False)

    @property
    def description(self) -> str:
        return str(self.document.get("description") or "")

    @classmethod
    def from_json(cls, raw: Document, etag: str = "") -> Profile:
        return cls(
            name=str(raw["name"]),
            built_in=bool(raw.get("built_in")),
            revision=raw.get("revision"),
            document=raw.get("document") or {},
            findings=Finding.all_of(raw),
            changed_at=str(raw.get("changed_at") or ""),
            changed_by=str(raw.get("changed_by") or ""),
            etag=etag,
            raw=raw,
        )


@dataclass(frozen=True)
class Plan:
    """The dry run of a policy."""

    changes: tuple[Change, ...]
    diff: str
    findings: tuple[Finding, ...]
    loads: tuple[str, ...]
    unloads: tuple[str, ...]
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> Plan:
        def texts(entry: Document, *keys: str) -> list[str]:
            return [str(entry.get(key) or "") for key in keys]

        return cls(
            changes=tuple(
                Change(*texts(change, "action", "arm", "detail"))
                for change in raw.get("changes") or ()
            ),
            diff=str(raw.get("diff") or ""),
            findings=Finding.all_of(raw),
            loads=tuple(raw.get("loads") or ()),
            unloads=tuple(raw.get("unloads") or ()),
            raw=raw,
        )
