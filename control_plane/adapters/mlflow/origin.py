"""What a run says of the model that it made: figures and provenance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from control_plane.domain.registry.metrics import MAX_METRICS, check_metrics
from control_plane.domain.registry.provenance import check_provenance
from control_plane.domain.violations import InvalidInputError

_TAGS = {"git_commit": "mlflow.source.git.commit", "author": "mlflow.user"}


def metrics_of(run: Mapping[str, Any]) -> dict[str, Any]:
    """The run's last figures; those that MLflow calls `set/name` are of the data set `set`.

    What the registry cannot keep (NaN, a name that is too long) is left out.

    >>> metrics_of({"data": {"metrics": [{"key": "accuracy", "value": 0.98},
    ...                                  {"key": "val/loss", "value": 0.2}]}})
    {'accuracy': 0.98, 'val': {'loss': 0.2}}
    """
    plain: dict[str, Any] = {}
    for entry in _entries(run, "metrics")[:MAX_METRICS]:
        value = entry.get("value")
        if isinstance(value, int | float) and math.isfinite(value):
            plain[str(entry.get("key"))] = value
    figures: dict[str, Any] = {}
    for name, value in plain.items():
        data_set, slash, metric = name.partition("/")
        # Where `val` is a figure, `val/loss` stays a name of its own.
        if slash and metric and data_set not in plain and _keeps({data_set: {metric: value}}):
            figures.setdefault(data_set, {})[metric] = value
        elif _keeps({name: value}):
            figures[name] = value
    return figures


def provenance_of(run: Mapping[str, Any]) -> dict[str, Any]:
    """Who made it, of which commit: what the run's tags say and the registry takes."""
    tags = {str(entry.get("key")): entry.get("value") for entry in _entries(run, "tags")}
    return kept({field: tags[tag] for field, tag in _TAGS.items() if tags.get(tag)})


def kept(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Of a provenance what the registry takes."""
    found = {}
    for field, value in provenance.items():
        try:
            check_provenance({field: value})
        except InvalidInputError:
            continue
        found[field] = value
    return found


def _entries(run: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    data = run.get("data")
    listed = data.get(kind) if isinstance(data, Mapping) else None
    entries = listed if isinstance(listed, list) else []
    return [entry for entry in entries if isinstance(entry, Mapping)]


def _keeps(figures: Mapping[str, Any]) -> bool:
    try:
        check_metrics(figures)
    except InvalidInputError:
        return False
    return True
