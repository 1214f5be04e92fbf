"""What becomes of a Triton repository here: decided beforehand, model by model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from nereid.linted import Becomes, Linted
from nereid.packing import Packed, packed
from nereid.repository import LocalModel, RepositoryError, read_text
from nereid.resources import Version

ENSEMBLE = "ensemble"
CUSTOM = "custom"
VARIANTS = "configs/"
_ENVIRONMENT = "EXECUTION_ENV_PATH"

State = Literal["new", "there", "taken", "rejected"]
"""Of a version: not here yet; here with this content; its number has another; refused before."""


@dataclass(frozen=True)
class PlannedVersion:
    """One numeric folder, and how it stands with it here."""

    number: int
    packed: Packed
    sha256: str
    state: State = "new"
    reason: str = ""


@dataclass(frozen=True)
class PlannedModel:
    """One directory, and what becomes of it; with `refused` nothing does."""

    source: LocalModel
    linted: Linted
    profile: str
    versions: tuple[PlannedVersion, ...] = ()
    refused: tuple[str, ...] = ()
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Profiles that its other configurations become, by name."""

    pipeline_is_there: bool = False
    """Of an ensemble: there is a pipeline of its name with its content."""

    @property
    def becomes(self) -> Becomes:
        if self.linted.becomes is None:
            raise ValueError(f"nothing was said of what {self.source.name} becomes")
        return self.linted.becomes

    @property
    def name(self) -> str:
        return self.becomes.name

    @property
    def is_ensemble(self) -> bool:
        return self.becomes.framework == ENSEMBLE

    @property
    def served(self) -> int:
        """The version that a plain Triton answers unversioned requests with."""
        policy = self.becomes.model_config.get("version_policy") or {}
        numbers = [one.number for one in self.versions]
        named = set((policy.get("specific") or {}).get("versions") or numbers)
        return max(named & set(numbers), default=max(numbers, default=0))

    @property
    def document(self) -> dict[str, Any]:
        """The serving profile that its configuration amounts to."""
        said = f"Imported with the model {self.source.name}"
        return {"description": said, **(self.becomes.profile or {})}


def planned_model(source: LocalModel, linted: Linted) -> PlannedModel:
    """What is sent of a directory, before anybody asked what is here already."""
    plan = PlannedModel(source, linted, profile=linted.becomes.name if linted.becomes else "")
    refused = [*plan.becomes.refused, *source.strays]
    refused += [
        f"{one.pointer}: {one.detail}".removeprefix(": ")
        for one in linted.findings
        if one.code in ("unreadable-config", "no-versions", "name-differs")
    ]
    if refused:
        return replace(plan, refused=tuple(refused))
    if plan.is_ensemble:
        return _with_labels(plan)
    versions = []
    for number, files in source.versions.items():
        if _needs_file(plan.becomes) and plan.becomes.main_file not in files:
            refused.append(f"version {number} has no {plan.becomes.main_file}")
            continue
        sent = packed(
            files,
            source.files,
            main_file=plan.becomes.main_file,
            placed_as=plan.becomes.placed_as,
            environment=_environment(plan.becomes.model_config),
            named=plan.becomes.framework == CUSTOM,
        )
        versions.append(PlannedVersion(number, sent, sent.sha256()))
    return replace(plan, versions=tuple(versions), refused=tuple(refused))


def standing(plan: PlannedModel, present: Sequence[Version]) -> PlannedModel:
    """The plan with what is here of it already."""
    known = {one.number: one for one in present}
    versions = tuple(_stands(plan, one, known.get(one.number)) for one in plan.versions)
    return replace(plan, versions=versions)


def other_name(profile: str, document: Mapping[str, Any]) -> str:
    """The name of a profile whose own has another content."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return f"{profile[:56]}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _needs_file(becomes: Becomes) -> bool:
    """False of a backend that nobody knows: it may need no file at all."""
    return becomes.framework != CUSTOM or bool(becomes.model_config.get("default_model_filename"))


def _with_labels(plan: PlannedModel) -> PlannedModel:
    """An ensemble with the labels of its own, which a pipeline's document has in it."""
    document = plan.becomes.pipeline or {}
    config = document.get("config") or {}
    names = {one["label_filename"] for one in config.get("output") or ()}
    if not names:
        return plan
    try:
        texts = {name: read_text(plan.source.files[name]) for name in sorted(names)}
    except RepositoryError as error:
        return replace(plan, refused=(str(error),))
    files = {name: text.removesuffix("\n").split("\n") for name, text in texts.items()}
    filled = {**document, "config": {**config, "label_files": files}}
    becomes = replace(plan.becomes, pipeline=filled)
    return replace(plan, linted=replace(plan.linted, becomes=becomes))


def _stands(plan: PlannedModel, planned: PlannedVersion, present: Version | None) -> PlannedVersion:
    if present is None:
        return planned
    if present.sha256 != planned.sha256 or not _says_the_same(plan, present):
        reason = "there is a version of that number with another content or configuration"
        return replace(planned, state="taken", reason=reason)
    if present.state == "rejected":
        return replace(planned, state="rejected", reason=present.state_reason)
    return replace(planned, state="there")


def _says_the_same(plan: PlannedModel, present: Version) -> bool:
    wanted = {k: v for k, v in plan.becomes.model_config.items() if k != "parameters"}
    given = plan.becomes.model_config.get("parameters") or {}
    parameters = {name: entry["string_value"] for name, entry in given.items()}
    held = dict(present.raw.get("parameters") or {})
    # Where the environment lies is the server's affair.
    for one in (parameters, held):
        one.pop(_ENVIRONMENT, None)
    profiles = {plan.profile, other_name(plan.name, plan.document)}
    return (
        (present.raw.get("model_config") or {}) == wanted
        and held == parameters
        and present.raw.get("profile") in profiles
    )


def _environment(model_config: Mapping[str, Any]) -> str:
    """The name of the execution environment beside the versions; empty where there is none."""
    given = (model_config.get("parameters") or {}).get(_ENVIRONMENT) or {}
    return str(given.get("string_value") or "").rpartition("/")[2]
