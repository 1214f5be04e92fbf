"""Reading analysis templates and runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet

from control_plane.analysis.models import AnalysisLook, AnalysisRun, AnalysisTemplateRevision
from control_plane.domain.analysis.template import (
    DEFAULT_DOCUMENT,
    SHADOW_DOCUMENT,
    Template,
    read_template,
    to_document,
)
from control_plane.domain.violations import InvalidInputError, NotFoundError, Violation

BUILT_IN: Mapping[str, Mapping[str, Any]] = {
    "default": DEFAULT_DOCUMENT,
    "shadow": SHADOW_DOCUMENT,
}
"""Those that come with Nereid. One that somebody added of the same name takes its place."""

_LISTED = 20


@dataclass(frozen=True)
class KnownTemplate:
    """A template at its newest revision, None where it comes with Nereid."""

    name: str
    document: Mapping[str, Any]
    revision: int | None = None
    changed_at: datetime | None = None
    changed_by: str = ""

    @property
    def built_in(self) -> bool:
        return self.revision is None

    @property
    def template(self) -> Template:
        """As a value; raises InvalidInputError where a later Nereid reads it no more."""
        return read_template(dict(self.document))


def all_templates() -> list[KnownTemplate]:
    """Every template at its newest revision, by name, in one query."""
    found = {name: _built_in(name) for name in BUILT_IN}
    found |= {row.template.name: _own(row) for row in _newest()}
    return [found[name] for name in sorted(found)]


def get_template(name: str) -> KnownTemplate:
    """The template of that name at its newest revision.

    Raises:
        NotFoundError: there is none.
    """
    row = _newest().filter(template__name=name).first()
    if row is not None:
        return _own(row)
    if name in BUILT_IN:
        return _built_in(name)
    raise NotFoundError(f"there is no analysis template named {name!r}")


def template_revisions(name: str) -> QuerySet[AnalysisTemplateRevision]:
    """The revisions of a template that somebody added, the newest first."""
    rows = AnalysisTemplateRevision.objects.select_related("template")
    return rows.filter(template__name=name).order_by("-number")


def check_templates(names: Iterable[str], where: str) -> None:
    """Whether there is a template of each of these names.

    Raises:
        InvalidInputError: there is none of one of them.
    """
    known = [one.name for one in all_templates()]
    more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    missing = [
        Violation(
            where,
            "not_found",
            f"{name!r}: the analysis templates are {', '.join(known[:_LISTED])}{more}",
        )
        for name in names
        if name not in known
    ]
    if missing:
        raise InvalidInputError(missing)


def runs() -> QuerySet[AnalysisRun]:
    """Every analysis run, the newest first, without what the tests remember."""
    return AnalysisRun.objects.defer("state", "cursors")


def get_run(run_id: UUID) -> AnalysisRun:
    """The run of that id.

    Raises:
        NotFoundError: there is none.
    """
    found = runs().filter(id=run_id).first()
    if found is None:
        raise NotFoundError(f"there is no analysis run {run_id}")
    return found


def looks_of(run: AnalysisRun, after: int = 0) -> QuerySet[AnalysisLook]:
    """The looks of a run beyond that number, in order."""
    return run.looks.filter(number__gt=after).order_by("number")


def last_looks(run_ids: Iterable[UUID]) -> dict[UUID, AnalysisLook]:
    """The newest look of each of these runs that has one, in one query."""
    rows = AnalysisLook.objects.filter(run__in=list(run_ids), number=F("run__looks_taken"))
    return {look.run_id: look for look in rows}


def endpoint_of_run(run_id: UUID | str) -> str | None:
    """The name of the endpoint that a run measures at; None: there is no such run."""
    return AnalysisRun.objects.filter(id=run_id).values_list("endpoint", flat=True).first()


def last_look(run: AnalysisRun) -> AnalysisLook | None:
    """The newest look."""
    return run.looks.order_by("-number").first()


def _newest() -> QuerySet[AnalysisTemplateRevision]:
    rows = AnalysisTemplateRevision.objects.select_related("template")
    return rows.filter(number=F("template__newest"))


def _own(row: AnalysisTemplateRevision) -> KnownTemplate:
    return KnownTemplate(
        row.template.name, row.document, row.number, row.created_at, row.created_by
    )


def _built_in(name: str) -> KnownTemplate:
    return KnownTemplate(name, to_document(read_template(dict(BUILT_IN[name]))))
