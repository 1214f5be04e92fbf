"""What the linter answers, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nereid.resources import Document, Finding


@dataclass(frozen=True)
class Becomes:
    """What a model of a Triton repository would be here; with `refused` it is not taken."""

    name: str
    framework: str
    main_file: str
    placed_as: str
    code: bool
    signature: Document | None
    profile: Document | None
    model_config: Document
    pipeline: Document | None
    changed: tuple[str, ...]
    refused: tuple[str, ...]

    @classmethod
    def from_json(cls, raw: Document) -> Becomes:
        return cls(
            name=str(raw["name"]),
            framework=str(raw.get("framework") or ""),
            main_file=str(raw.get("main_file") or ""),
            placed_as=str(raw.get("placed_as") or ""),
            code=bool(raw.get("code")),
            signature=raw.get("signature"),
            profile=raw.get("profile"),
            model_config=raw.get("model_config") or {},
            pipeline=raw.get("pipeline"),
            changed=_notes(raw.get("changed")),
            refused=_notes(raw.get("refused")),
        )


@dataclass(frozen=True)
class Linted:
    """What the linter found in one model, profile, version or endpoint."""

    name: str
    findings: tuple[Finding, ...]
    becomes: Becomes | None
    raw: Document = field(repr=False, compare=False)

    @property
    def errors(self) -> int:
        return sum(one.severity == "error" for one in self.findings)

    @classmethod
    def from_json(cls, raw: Document) -> Linted:
        becomes = raw.get("becomes")
        return cls(
            name=str(raw.get("name") or ""),
            findings=Finding.all_of(raw),
            becomes=Becomes.from_json(becomes) if becomes else None,
            raw=raw,
        )


def _notes(raw: Any) -> tuple[str, ...]:
    return tuple(
        f"{one.get('pointer') or ''}: {one.get('detail') or ''}".removeprefix(": ")
        for one in raw or ()
    )
