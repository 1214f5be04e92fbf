"""Reading pipelines: their revisions, and what planning needs of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from uuid import UUID

from django.db.models import F, Q, QuerySet

from control_plane.domain.pipelines.document import Pipeline as Document
from control_plane.domain.pipelines.document import read_pipeline
from control_plane.domain.pipelines.members import Key, WiredStep, Wiring
from control_plane.domain.planning.pipelines import Parts, PipelineSpec, checked
from control_plane.domain.violations import InvalidInputError, NotFoundError
from control_plane.registry.models import ModelVersion, Pipeline, PipelineRevision, PipelineStep
from control_plane.registry.selectors import ready_versions, version_specs

NO_REVISIONS: Mapping[Key, int] = MappingProxyType({})


@dataclass(frozen=True)
class KnownPipeline:
    """A revision as it can be served now; `wiring` None where it cannot, and `error` says why.

    `steps` are those of the wiring with inner pipelines written out.
    """

    revision: PipelineRevision
    document: Document
    wiring: Wiring | None
    steps: tuple[WiredStep, ...] = ()
    error: str = ""


def revisions() -> QuerySet[PipelineRevision]:
    """Every revision, with its pipeline."""
    return PipelineRevision.objects.select_related("pipeline")


def newest_revisions() -> QuerySet[PipelineRevision]:
    """Each pipeline's newest revision, by name."""
    return revisions().filter(number=F("pipeline__newest")).order_by("pipeline__name")


def get_pipeline(name: str) -> Pipeline:
    """The pipeline of that name.

    Raises:
        NotFoundError: there is none.
    """
    found = Pipeline.objects.filter(name=name).first()
    if found is None:
        raise NotFoundError(f"there is no pipeline named {name!r}")
    return found


def get_pipeline_revision(name: str, number: int | None = None) -> PipelineRevision:
    """That revision of that pipeline; None: the newest.

    Raises:
        NotFoundError: there is no such pipeline, or no such revision of it.
    """
    pipeline = get_pipeline(name)
    wanted = pipeline.newest if number is None else number
    found = revisions().filter(pipeline=pipeline, number=wanted).first()
    if found is None:
        raise NotFoundError(f"pipeline {name!r} has no revision {number}")
    return found


def pipeline_revisions(wanted: Iterable[Key], *, lock: bool = False) -> dict[Key, PipelineRevision]:
    """Those of the wanted (name, number) that there are, in one query.

    With `lock`, in a transaction: none is deleted before its end.
    """
    pairs = set(wanted)
    if not pairs:
        return {}
    exact = Q(pk__in=[])
    for name, number in pairs:
        exact |= Q(pipeline__name=name, number=number)
    rows = revisions().filter(exact)
    if lock:
        rows = rows.select_for_update(of=("self",)).order_by("pk")
    return {(row.pipeline.name, row.number): row for row in rows}


def pipelines_among(names: Iterable[str]) -> frozenset[str]:
    """Those of the names that pipelines have."""
    rows = Pipeline.objects.filter(name__in=set(names))
    return frozenset(rows.values_list("name", flat=True))


def pipeline_specs(wanted: Iterable[Key]) -> dict[Key, PipelineSpec]:
    """What planning needs of those there are, and of the pipelines in them: a query a level."""
    found: dict[Key, PipelineSpec] = {}
    level = set(wanted)
    while rows := pipeline_revisions(level):
        specs = {key: spec_of(row) for key, row in rows.items()}
        found |= specs
        level = {key for spec in specs.values() for key in _inner(spec.pipeline)} - found.keys()
    return found


def parts_for(
    versions: Iterable[Key],
    pipelines: Iterable[Key],
    profiles: Mapping[Key, int] = NO_REVISIONS,
) -> Parts:
    """The versions and pipelines that are named, with everything in them that is ready to serve.

    Args:
        profiles: revisions of serving profiles, for versions that are to be as they were.
    """
    specs = pipeline_specs(pipelines)
    wanted = {*versions, *(key for spec in specs.values() for key in _versions(spec.pipeline))}
    return Parts(version_specs(ready_versions(wanted), profiles), specs)


def parts_in(document: Document) -> Parts:
    """What a pipeline that was written just now is made of."""
    return parts_for(_versions(document), _inner(document))


def known(revision: PipelineRevision, parts: Parts | None = None) -> KnownPipeline:
    """A revision with its tensors, as its members are served now."""
    document = spec_of(revision).pipeline
    try:
        wiring, steps = checked(document, parts or parts_in(document))
    except InvalidInputError as error:
        return KnownPipeline(revision, document, None, error=str(error))
    return KnownPipeline(revision, document, wiring, steps)


def all_known(rows: Iterable[PipelineRevision]) -> list[KnownPipeline]:
    """Revisions with their tensors; the number of queries does not grow with theirs."""
    found = list(rows)
    specs = [spec_of(row) for row in found]
    parts = parts_for(
        [key for spec in specs for key in _versions(spec.pipeline)],
        [key for spec in specs for key in _inner(spec.pipeline)],
    )
    return [known(row, parts) for row in found]


def steps_of(versions: Iterable[ModelVersion]) -> dict[UUID, list[PipelineStep]]:
    """Version -> where it is a step itself, newest revisions first; one query for all of them."""
    rows = PipelineStep.objects.filter(version__in=list(versions))
    found: dict[UUID, list[PipelineStep]] = {}
    ordered = rows.order_by("revision__pipeline__name", "-revision__number", "position")
    for step in ordered.select_related("revision__pipeline"):
        if step.version_id:
            found.setdefault(step.version_id, []).append(step)
    return found


def spec_of(revision: PipelineRevision) -> PipelineSpec:
    name = revision.pipeline.name
    return PipelineSpec(name, revision.number, read_pipeline(name, revision.document))


def _versions(document: Document) -> list[Key]:
    return [step.runs.key for step in document.steps if not step.runs.pipeline]


def _inner(document: Document) -> list[Key]:
    return [step.runs.key for step in document.steps if step.runs.pipeline]
