"""Evaluation metrics of a version: figures by data set.

The document is what people write: a number stands for the default data set, an object for the
data set of that name: `{"accuracy": 0.98, "holdout-2026": {"accuracy": 0.97, "loss": 0.1}}`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from control_plane.domain.stored_json import pointer_part, storable_problem
from control_plane.domain.violations import InvalidInputError, Violation

DEFAULT_DATA_SET = "default"
"""What the data set without a name is called; no other may be called so."""

MAX_METRICS = 1000
MAX_NAME = 100

_MAX_VIOLATIONS = 20
_LOWER_IS_BETTER = (
    "loss",
    "error",
    "rmse",
    "mae",
    "mse",
    "mape",
    "wer",
    "cer",
    "perplexity",
    "latency",
    "brier",
    "fpr",
    "fnr",
    "divergence",
)


def check_metrics(document: Any, where: str = "/metrics", *, removing: bool = False) -> None:
    """Refuses what are no figures; with `removing` a null stands for one that goes.

    Raises:
        InvalidInputError: with a JSON pointer per place, the first 20 of them.
    """
    if not isinstance(document, Mapping):
        detail = 'metrics are an object of numbers: {"accuracy": 0.98}'
        raise InvalidInputError([Violation(where, "type", detail)])
    count = sum(len(value) if isinstance(value, Mapping) else 1 for value in document.values())
    if count > MAX_METRICS:
        detail = f"{count} metrics; at most {MAX_METRICS} are kept"
        raise InvalidInputError([Violation(where, "too_many", detail)])
    found = list(_wrong(document, where, removing))[:_MAX_VIOLATIONS]
    if found:
        raise InvalidInputError(found)


def by_data_set(metrics: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Data set -> name -> figure, the default one first and the others by name.

    >>> by_data_set({"accuracy": 0.98, "holdout": {"accuracy": 0.97}})
    {'default': {'accuracy': 0.98}, 'holdout': {'accuracy': 0.97}}
    """
    plain = {name: value for name, value in metrics.items() if not isinstance(value, Mapping)}
    sets = {name: dict(value) for name, value in sorted(metrics.items()) if name not in plain}
    return ({DEFAULT_DATA_SET: plain} if plain else {}) | sets


def labelled(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Every figure under one label: those of a named data set begin with its name.

    >>> labelled({"holdout": {"accuracy": 0.97}, "accuracy": 0.98})
    {'accuracy': 0.98, 'holdout accuracy': 0.97}
    """
    return {
        name if data_set == DEFAULT_DATA_SET else f"{data_set} {name}": figure
        for data_set, figures in by_data_set(metrics).items()
        for name, figure in sorted(figures.items())
    }


def merged(present: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The figures after a merge patch (RFC 7396): others stay, null removes.

    Raises:
        InvalidInputError: a name stands for a figure and for a data set, or there are too many.
    """
    result: dict[str, Any] = dict(present)
    clashes = []
    for name, value in patch.items():
        there = result.get(name)
        if value is None:
            result.pop(name, None)
        elif there is not None and isinstance(there, Mapping) != isinstance(value, Mapping):
            words = "a data set" if isinstance(there, Mapping) else "a metric"
            detail = f"{name!r} is {words} of this version already: choose another name"
            clashes.append(Violation(f"/metrics/{pointer_part(name)}", "conflict", detail))
        elif isinstance(value, Mapping):
            figures = {**(there or {}), **value}
            kept = {key: figure for key, figure in figures.items() if figure is not None}
            result[name] = kept
            if not kept:
                del result[name]
        else:
            result[name] = value
    if clashes:
        raise InvalidInputError(clashes)
    check_metrics(result)
    return result


def lower_is_better(name: str) -> bool:
    """Whether a smaller figure is the better one, told from the metric's name.

    >>> lower_is_better("val_loss"), lower_is_better("accuracy")
    (True, False)
    """
    return any(word in name.lower() for word in _LOWER_IS_BETTER)


def best(name: str, figures: Iterable[float]) -> float | None:
    """The best of several figures of one metric; None where there is nothing to choose."""
    listed = list(figures)
    if len(set(listed)) < 2:
        return None
    return min(listed) if lower_is_better(name) else max(listed)


def _wrong(document: Mapping[str, Any], where: str, removing: bool) -> Iterator[Violation]:
    for name, value in document.items():
        pointer = f"{where}/{pointer_part(name)}"
        if problem := _name_problem(name):
            yield Violation(pointer, "invalid_name", problem)
        elif name == DEFAULT_DATA_SET and isinstance(value, Mapping):
            detail = 'figures of the default data set stand at the top: {"accuracy": 0.98}'
            yield Violation(pointer, "reserved", detail)
        elif isinstance(value, Mapping):
            for metric, figure in value.items():
                inner = f"{pointer}/{pointer_part(metric)}"
                if problem := _name_problem(metric):
                    yield Violation(inner, "invalid_name", problem)
                elif not (removing and figure is None) and (problem := _problem(figure)):
                    yield Violation(inner, "invalid", problem)
        elif not (removing and value is None) and (problem := _problem(value)):
            yield Violation(pointer, "invalid", problem)


def _name_problem(name: object) -> str:
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME:
        return f"a name has 1 to {MAX_NAME} characters"
    problem = storable_problem(name)
    return f"the name {problem}" if problem else ""


def _problem(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "not a number; a data set is an object of numbers"
    return storable_problem(value)
