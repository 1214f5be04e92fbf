"""What can still be said of a version: its words, its figures, where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction

from control_plane.domain.registry.metrics import check_metrics, merged
from control_plane.domain.registry.provenance import filled
from control_plane.domain.stored_json import check_storable, merged_tags
from control_plane.registry.lifecycle import locked_version, str_of
from control_plane.registry.models import ModelVersion
from control_plane.registry.services import check_texts, record_version


def update_version(*, version_id: UUID, actor: str, changes: Mapping[str, Any]) -> ModelVersion:
    """Changes description, tags, metrics or provenance of a version; its artifact never changes.

    Tags and metrics are merged: others stay, null removes one. Of the provenance only what is
    still empty is filled in. Where nothing differs nothing is written.

    Raises:
        NotFoundError: the version is gone.
        InvalidInputError: a value cannot be kept.
        ConflictError: the provenance says something else already.
    """
    check_storable(dict(changes))
    if "metrics" in changes:
        check_metrics(changes["metrics"], removing=True)
    with transaction.atomic():
        version = locked_version(version_id)
        wanted = _wanted(version, changes)
        after = {name: value for name, value in wanted.items() if value != getattr(version, name)}
        if not after:
            return version
        before = {name: getattr(version, name) for name in after}
        for name, value in after.items():
            setattr(version, name, value)
        version.save(update_fields=list(after))
        record_version(version, "version.update", actor, before=before, after=after)
    return version


def _wanted(version: ModelVersion, changes: Mapping[str, Any]) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    if "description" in changes:
        wanted["description"] = changes["description"]
    if "tags" in changes:
        wanted["tags"] = merged_tags(version.tags, changes["tags"])
    if "metrics" in changes:
        wanted["metrics"] = merged(version.metrics, changes["metrics"])
    if "provenance" in changes:
        wanted["provenance"] = filled(str_of(version), version.provenance, changes["provenance"])
    check_texts(wanted)
    return wanted
