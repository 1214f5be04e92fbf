"""Adding, changing and deleting analysis templates: each is one write with its audit event."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction

from control_plane.analysis.models import AnalysisTemplate, AnalysisTemplateRevision
from control_plane.analysis.selectors import BUILT_IN
from control_plane.domain.analysis.template import read_template, to_document
from control_plane.domain.names import PUBLIC_NAME_RULE, is_public_name
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    Violation,
)
from control_plane.registry.revised import put_revision, record_change


def put_template(*, name: str, document: object, actor: str) -> bool:
    """Makes the document the template's newest revision; True where the template is new.

    The same document again makes none. Runs that are under way go on by what they began with.
    One of the name `default` takes the place of the one that comes with Nereid.

    Raises:
        InvalidInputError: the name or the document breaks a rule.
        ConflictError: somebody made it just now.
    """
    if not is_public_name(name):
        detail = f"{name[:80]!r}: a name has {PUBLIC_NAME_RULE}"
        raise InvalidInputError([Violation("/name", "invalid_name", detail)])
    wanted = to_document(read_template(document))
    try:
        with transaction.atomic():
            return put_revision(
                locked_template(name),
                wanted,
                make=lambda: AnalysisTemplate.objects.create(name=name, newest=1, created_by=actor),
                revise=lambda row: _revise(row, wanted, actor),
                actor=actor,
            )
    except IntegrityError:
        raise ConflictError(f"somebody made a template {name!r} just now: read it first") from None


def delete_template(*, name: str, actor: str) -> None:
    """Removes a template with its revisions; runs keep what they began with.

    A rollout that names it and has not come to it yet finds it missing: it pauses there. Of the
    name `default` the one that comes with Nereid is there again.

    Raises:
        NotFoundError: there is none.
        ConflictError: it comes with Nereid.
    """
    with transaction.atomic():
        row = locked_template(name)
        if row is None and name in BUILT_IN:
            raise ConflictError(f"the template {name!r} comes with Nereid and stays")
        if row is None:
            raise NotFoundError(f"there is no analysis template named {name!r}")
        before = row.revisions.get(number=row.newest).document
        record_change(row, "delete", actor, before=before)
        row.delete()


def locked_template(name: str) -> AnalysisTemplate | None:
    """The template that somebody added, locked until the transaction ends; None: not there."""
    return AnalysisTemplate.objects.select_for_update().filter(name=name).first()


def _revise(row: AnalysisTemplate, document: dict[str, Any], actor: str) -> None:
    AnalysisTemplateRevision.objects.create(
        template=row, number=row.newest, document=document, created_by=actor
    )
