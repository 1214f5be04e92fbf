"""What a model's page shows beside its form: aliases, versions side by side, where each serves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest

from control_plane import wiring
from control_plane.console.perf_curve import level_name
from control_plane.console.record_admin import change_url
from control_plane.console.rights import visible
from control_plane.domain.registry.comparison import signature_differences
from control_plane.domain.registry.metrics import best, by_data_set, labelled, lower_is_better
from control_plane.domain.registry.states import Place
from control_plane.endpoints.models import Endpoint
from control_plane.registry.models import Model, ModelVersion, VersionState
from control_plane.telemetry.perf import PerfLevel
from control_plane.tuning.models import PerfRun
from control_plane.tuning.results import peak_of, with_levels
from control_plane.tuning.selectors import latest_of_versions

SHOWN = 50
SIDE_BY_SIDE = 6
AT_FIRST = 4
"""Versions in the list; those compared at most, and without anybody's choice."""

_TAKES_ALIASES = (VersionState.UPLOADING, VersionState.VALIDATING, VersionState.READY)


@dataclass(frozen=True)
class PlaceLink:
    """A place with the page of its endpoint, where the person may see it."""

    place: Place
    url: str


@dataclass(frozen=True)
class Column:
    """One version among others."""

    version: ModelVersion
    url: str
    aliases: list[str]
    places: list[PlaceLink]
    differences: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Measured:
    """A version under load: its newest run, that run's peak, and at which level that was."""

    run: PerfRun | None
    peak: PerfLevel | None
    level: str


@dataclass(frozen=True)
class Figure:
    """One version's figure of one metric; `best` where it beats the others."""

    value: float | None
    best: bool


@dataclass(frozen=True)
class MetricRow:
    """One metric on one data set, version by version."""

    name: str
    lower: bool
    figures: list[Figure]


def page_context(request: HttpRequest, model: Model) -> dict[str, Any]:
    """Versions, aliases and the comparison, in as many queries for many versions as for one."""
    versions = list(model.versions.select_related("artifact").order_by("-number")[:SHOWN])
    chosen = _chosen(request.GET.getlist("v"))
    listed = {version.number for version in versions}
    if missing := [number for number in chosen if number not in listed]:
        found = model.versions.select_related("artifact").filter(number__in=missing)
        versions_asked = [*versions, *found]
    else:
        versions_asked = versions
    for version in versions_asked:
        version.model = model  # spares a query per row
    aliases = list(model.aliases.select_related("version"))
    columns = columns_of(request, versions_asked, _by_version(aliases))
    by_number = {column.version.number: column for column in columns}
    compared = _compared(columns, [by_number[n] for n in chosen if n in by_number])
    rows = [by_number[version.number] for version in versions]
    return {
        "rows": rows,
        "metric_names": _metric_names(rows),
        "version_total": model.versions.count() if len(versions) == SHOWN else len(versions),
        "aliases": aliases,
        "alias_choices": [c.version.number for c in rows if c.version.state in _TAKES_ALIASES],
        "may_edit": request.user.has_perm("registry.change_model", model),
        "may_alias": request.user.has_perm("registry.change_alias", model),
        "compared": compared,
        "compared_numbers": {column.version.number for column in compared},
        "base": compared[-1].version if compared else None,
        "metric_sets": metric_sets([column.version for column in compared]),
        "measured": measured_of(request, [column.version for column in compared]),
        "chosen": bool(chosen),
        "side_by_side": SIDE_BY_SIDE,
    }


def columns_of(
    request: HttpRequest, versions: Sequence[ModelVersion], aliases: Mapping[Any, list[str]]
) -> list[Column]:
    """The versions with where each serves: one question for all of them."""
    places = wiring.serving().of([version.id for version in versions])
    names = {place.endpoint for found in places.values() for place in found}
    # Of endpoints that the person may not see the name alone is told, as in the API.
    seen = visible(request.user, Endpoint.objects.filter(name__in=names)) if names else ()
    urls = {endpoint.name: change_url(endpoint) for endpoint in seen}
    return [
        Column(
            version=version,
            url=change_url(version),
            aliases=aliases.get(version.id, []),
            places=[PlaceLink(p, urls.get(p.endpoint, "")) for p in places.get(version.id, ())],
        )
        for version in versions
    ]


def measured_of(request: HttpRequest, versions: Sequence[ModelVersion]) -> list[Measured] | None:
    """The newest perf run of each version at its peak; None where none of them has one."""
    if not versions or not request.user.has_perm("tuning.view_perfrun"):
        return None
    runs = latest_of_versions([version.id for version in versions])
    if not runs:
        return None
    with_levels(runs.values(), wiring.telemetry())
    return [_measured(runs.get(version.id)) for version in versions]


def _measured(run: PerfRun | None) -> Measured:
    best = peak_of(run) if run else None
    if run is None or best is None:
        return Measured(None, None, "")
    return Measured(run, best, level_name(run.asked.load.kind, best.value))


def metric_sets(versions: Sequence[ModelVersion]) -> list[tuple[str, list[MetricRow]]]:
    """Data set -> its metrics over these versions, the best figure of each marked."""
    tables = [by_data_set(version.metrics) for version in versions]
    sets = list(dict.fromkeys(name for table in tables for name in table))
    return [(data_set, _metric_rows([t.get(data_set, {}) for t in tables])) for data_set in sets]


def _metric_rows(tables: Sequence[Mapping[str, float]]) -> list[MetricRow]:
    rows = []
    for name in sorted({name for table in tables for name in table}):
        values = [table.get(name) for table in tables]
        winner = best(name, (value for value in values if value is not None))
        figures = [Figure(v, winner is not None and v == winner) for v in values]
        rows.append(MetricRow(name, lower_is_better(name), figures))
    return rows


def _metric_names(rows: Iterable[Column]) -> list[str]:
    """The columns of the list; what is shown of a version is `labelled`."""
    names: dict[str, None] = {}
    for row in rows:
        row.version.figures = labelled(row.version.metrics)  # type: ignore[attr-defined]
        names |= dict.fromkeys(row.version.figures)  # type: ignore[attr-defined]
    return sorted(names)


def _compared(columns: Sequence[Column], chosen: Sequence[Column]) -> list[Column]:
    """The versions side by side, newest first: those asked for, else those that matter now."""
    wanted = list(chosen)
    if not wanted:
        matter = [column for column in columns if column.places or column.aliases]
        ready = [c for c in columns if c.version.state == VersionState.READY and c not in matter]
        wanted = [*matter, *ready][:AT_FIRST]
    if len(wanted) < 2:
        return []
    ordered = sorted(wanted[:SIDE_BY_SIDE], key=lambda column: -column.version.number)
    base = ordered[-1].version.signature
    for column in ordered[:-1]:
        column.differences.extend(signature_differences(base, column.version.signature))
    return ordered


def _chosen(texts: Iterable[str]) -> list[int]:
    numbers = [int(t) for t in texts if t.isascii() and t.isdigit() and len(t) <= 9]
    return list(dict.fromkeys(numbers))[:SIDE_BY_SIDE]


def _by_version(aliases: Iterable[Any]) -> dict[Any, list[str]]:
    found: dict[Any, list[str]] = {}
    for alias in aliases:
        found.setdefault(alias.version_id, []).append(alias.name)
    return found
