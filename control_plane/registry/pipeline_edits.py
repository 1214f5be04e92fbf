"""Adding, changing and deleting pipelines: each is one write with its audit event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from control_plane.domain.pipelines.document import Pipeline as Document
from control_plane.domain.pipelines.document import named_aliases, read_pipeline
from control_plane.domain.pipelines.members import WiredStep, Wiring
from control_plane.domain.planning.pipelines import checked
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    Violation,
)
from control_plane.registry.lifecycle import uses_in_words
from control_plane.registry.models import (
    Model,
    ModelVersion,
    Pipeline,
    PipelineRevision,
    PipelineStep,
    VersionState,
)
from control_plane.registry.pipelines import parts_in
from control_plane.registry.revised import put_revision, record_change
from control_plane.registry.selectors import alias_numbers


def check_pipeline(name: str, document: object) -> tuple[Document, Wiring, tuple[WiredStep, ...]]:
    """The document with numbers in place of aliases, and its tensors; nothing is written.

    Raises:
        InvalidInputError: a rule is broken, or tensors do not fit together; each place named.
    """
    pipeline = read_pipeline(name, document, alias_numbers(named_aliases(document)))
    return pipeline, *checked(pipeline, parts_in(pipeline))


def put_pipeline(*, name: str, document: object, actor: str) -> bool:
    """Makes the document the pipeline's newest revision; True where the pipeline is new.

    The same document again makes none. What serves is pinned to its revision and stays.

    Raises:
        InvalidInputError: as `check_pipeline`.
        ConflictError: a model has that name, or somebody made the pipeline just now.
    """
    pipeline, *_ = check_pipeline(name, document)
    wanted = pipeline.to_document()
    try:
        with transaction.atomic():
            return put_revision(
                locked_pipeline(name),
                wanted,
                make=lambda: Pipeline.objects.create(name=name, newest=1, created_by=actor),
                revise=lambda row: _revise(row, pipeline, actor),
                actor=actor,
            )
    except IntegrityError:
        if Model.objects.filter(name=name).exists():
            raise ConflictError(
                f"there is a model named {name!r}: models and pipelines share their names"
            ) from None
        raise ConflictError(f"somebody made a pipeline {name!r} just now: read it first") from None


def delete_pipeline(*, name: str, actor: str) -> None:
    """Removes a pipeline with its revisions, once nothing uses one.

    Raises:
        NotFoundError: there is none.
        ConflictError: an endpoint's revision or another pipeline uses it; the message says which.
    """
    try:
        with transaction.atomic():
            row = locked_pipeline(name)
            if row is None:
                raise NotFoundError(f"there is no pipeline named {name!r}")
            # Whoever begins to use one holds it: what follows looks for uses after they are there.
            held = row.revisions.select_for_update().order_by("pk")
            before = next(one for one in held if one.number == row.newest).document
            record_change(row, "delete", actor, before=before)
            row.delete()
    except ProtectedError as error:
        uses = uses_in_words(error.protected_objects)
        raise ConflictError(f"pipeline {name!r} is used by {uses}") from None


def locked_pipeline(name: str) -> Pipeline | None:
    """The pipeline, locked until the transaction ends; None: not there."""
    return Pipeline.objects.select_for_update().filter(name=name).first()


def _revise(row: Pipeline, pipeline: Document, actor: str) -> None:
    revision = PipelineRevision.objects.create(
        pipeline=row, number=row.newest, document=pipeline.to_document(), created_by=actor
    )
    versions = _held_versions(pipeline)
    inner = _held_revisions(pipeline)
    PipelineStep.objects.bulk_create(
        PipelineStep(
            revision=revision,
            position=i,
            name=step.name,
            version_id=None if step.runs.pipeline else versions[step.runs.key],
            inner_id=inner[step.runs.key] if step.runs.pipeline else None,
        )
        for i, step in enumerate(pipeline.steps)
    )


def _held_versions(pipeline: Document) -> Mapping[tuple[str, int], Any]:
    """The versions' ids, locked: none is deleted or archived between the check and the end."""
    wanted = {s.runs.key for s in pipeline.steps if not s.runs.pipeline}
    rows = (
        ModelVersion.objects.select_for_update(of=("self",))
        .order_by("pk")
        .filter(
            model__name__in={name for name, _ in wanted},
            number__in={number for _, number in wanted},
            state=VersionState.READY,
        )
    )
    found = {(name, number): pk for pk, name, number in _keys(rows, "model__name")}
    _check_held(pipeline, found, pipelines=False)
    return found


def _held_revisions(pipeline: Document) -> Mapping[tuple[str, int], Any]:
    wanted = {s.runs.key for s in pipeline.steps if s.runs.pipeline}
    rows = (
        PipelineRevision.objects.select_for_update(of=("self",))
        .order_by("pk")
        .filter(
            pipeline__name__in={name for name, _ in wanted},
            number__in={number for _, number in wanted},
        )
    )
    found = {(name, number): pk for pk, name, number in _keys(rows, "pipeline__name")}
    _check_held(pipeline, found, pipelines=True)
    return found


def _keys(rows: Any, name: str) -> list[tuple[Any, str, int]]:
    return list(rows.values_list("pk", name, "number"))


def _check_held(
    pipeline: Document, found: Mapping[tuple[str, int], Any], *, pipelines: bool
) -> None:
    gone = [
        Violation(f"/steps/{i}/{step.runs.field}", "not_found", f"{step.runs} went just now")
        for i, step in enumerate(pipeline.steps)
        if step.runs.pipeline is pipelines and step.runs.key not in found
    ]
    if gone:
        raise InvalidInputError(gone)
