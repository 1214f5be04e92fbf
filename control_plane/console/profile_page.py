"""A serving profile's page: what it says, what the linter finds, who uses it, how it changed."""

from __future__ import annotations

import contextlib
import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from control_plane import wiring
from control_plane.console.rights import visible
from control_plane.domain.findings import Finding
from control_plane.domain.registry.states import Place
from control_plane.domain.serving.explained import explained
from control_plane.domain.serving.lint import Subject, lint
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.violations import InvalidInputError
from control_plane.endpoints.serving_findings import hardware
from control_plane.registry.models import ModelVersion, Profile
from control_plane.registry.profiles import KnownProfile

SHOWN = 20
"""Versions and revisions that are listed; of more the number is said."""


@dataclass(frozen=True)
class Shown:
    """One revision with what it changed against the one before."""

    number: int
    created_at: datetime
    created_by: str
    diff: str


@dataclass(frozen=True)
class User:
    """A version that names the profile, and where it serves."""

    version: ModelVersion
    places: Sequence[Place]


def profile_context(user: Any, known: KnownProfile) -> dict[str, Any]:
    """What the page shows of a profile, built in or added."""
    rows = visible(user, ModelVersion.objects.filter(profile=known.name).select_related("model"))
    count = rows.count()
    versions = list(rows.order_by("-created_at")[:SHOWN])
    places = wiring.serving().of([version.id for version in versions])
    return {
        "known": known,
        "document_text": profile_text(known.shown),
        "words": explained(known.profile) if known.profile else [],
        "findings": findings_of(known),
        "users": [User(version, places.get(version.id, ())) for version in versions],
        "users_count": count,
        "users_more": count - len(versions),
    }


def findings_of(known: KnownProfile) -> list[Finding]:
    """What the linter finds without a model; of one that cannot be read, that."""
    if known.profile is None:
        fix = "save it again without what is refused: until then nothing new is compiled with it"
        return [Finding("error", "unreadable", known.error, fix=fix)]
    return lint(Subject(known.profile), hardware())


def revisions_of(profile: Profile) -> list[Shown]:
    """The newest revisions, each with its difference to the one before."""
    rows = list(profile.revisions.order_by("-number")[: SHOWN + 1])
    older: list[Any] = [*rows[1:], None]
    return [
        Shown(row.number, row.created_at, row.created_by, _diff(before and before.document, row))
        for row, before in zip(rows[:SHOWN], older[:SHOWN], strict=False)
    ]


def profile_text(document: Mapping[str, Any]) -> str:
    """The document as people read and write it, in the order of the reference.

    The database keeps objects in an order of its own.
    """
    # One that is of long ago and refused by now is shown as it is.
    with contextlib.suppress(InvalidInputError):
        document = ServingProfile.from_values("shown", document).to_document()
    return json.dumps(document, indent=2, ensure_ascii=False)


def _diff(before: Mapping[str, Any] | None, row: Any) -> str:
    old = profile_text(before).splitlines() if before is not None else []
    new = profile_text(row.document).splitlines()
    name = f"{row.profile.name}.json"
    source = "/dev/null" if before is None else f"a/{name}"
    return "\n".join(difflib.unified_diff(old, new, source, f"b/{name}", lineterm=""))
