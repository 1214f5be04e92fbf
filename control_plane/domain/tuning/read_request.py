"""A tune's document -> the request that it means, or everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from control_plane.domain.perf.read_request import MAX_CONCURRENCY, MAX_RATE
from control_plane.domain.perf.read_request import read_request as read_measured
from control_plane.domain.perf.request import QUANTILES, PerfRequest, TargetKind
from control_plane.domain.routing.fields import Fields, shown
from control_plane.domain.routing.policy import SECOND
from control_plane.domain.serving.bounds import MAX_INSTANCES, MAX_ROWS
from control_plane.domain.tuning.request import Objective, TuneRequest
from control_plane.domain.violations import InvalidInputError, Violation

MINUTE = 60 * SECOND
MAX_TRIALS = 200
MAX_VALUES = 16
MAX_DELAY_US = 1_000_000

_MEASURED = {
    *("target", "server", "protocol", "input", "shapes", "string_length", "batch", "window"),
    *("streaming", "shared_memory"),
}
_OWN = {
    *("objective", "latency_limit", "percentile", "rate", "max_concurrency", "trials", "time"),
    "space",
}
_WHOLE = {
    "max_batch_size": (1, MAX_ROWS),
    "queue_delay_us": (0, MAX_DELAY_US),
    "instances": (1, MAX_INSTANCES),
    "threads": (0, 256),
}
_WORDS = {"accelerator": ("", "tensorrt", "openvino", "cuda"), "preferred": (True, False)}


def read_tune(document: object) -> TuneRequest:
    """The request that a document means.

    Raises:
        InvalidInputError: with a violation for each place that is not as it must be.
    """
    found: list[Violation] = []
    fields = Fields(document, "", found, "a tune", _MEASURED | _OWN)
    measured = _measured(document if isinstance(document, Mapping) else {}, found)
    request = TuneRequest(
        measured=measured,
        objective=fields.choice("objective", Objective.THROUGHPUT),
        latency_limit=fields.duration("latency_limit", 1, 10 * MINUTE),
        percentile=fields.whole("percentile", 99, 1, 99),
        rate=fields.number("rate", 0.001, MAX_RATE) or 0.0,
        max_concurrency=fields.whole("max_concurrency", 64, 1, MAX_CONCURRENCY),
        trials=fields.whole("trials", TuneRequest.trials, 3, MAX_TRIALS),
        time=fields.duration("time", 30 * SECOND, 24 * 60 * MINUTE) or TuneRequest.time,
        space=_space(fields),
    )
    if not found:
        _check(fields, request)
    if found:
        raise InvalidInputError(found)
    return request


def _measured(document: Mapping[str, Any], found: list[Violation]) -> PerfRequest:
    """How the requests are sent, in the words of a perf run."""
    said = {key: value for key, value in document.items() if key in _MEASURED}
    try:
        return read_measured(said)
    except InvalidInputError as error:
        found += error.violations
        # Read on with something, so that all that is wrong is told at once.
        return read_measured({"target": {"model": "x", "version": 1}, "server": "x"})


def _check(fields: Fields, request: TuneRequest) -> None:
    """What does not go together."""
    if request.target.kind is not TargetKind.VERSION:
        detail = "a version is tuned: of a pipeline tune the versions that it runs"
        fields.note("target", "invalid", detail)
    if request.percentile not in QUANTILES:
        known = ", ".join(map(str, QUANTILES))
        fields.note("percentile", "invalid", f"{request.percentile}: it is one of {known}")
    if request.objective is Objective.LATENCY:
        if not request.rate:
            fields.note("rate", "required", "the requests a second at which latency is minimised")
        for name in ("latency_limit", "max_concurrency"):
            if fields.get(name) is not None:
                detail = "the objective latency has a rate, and minimises what it has no limit for"
                fields.note(name, "exclusive", detail)
    elif request.rate:
        fields.note("rate", "exclusive", "only the objective latency has a required rate")


def _space(fields: Fields) -> dict[str, tuple[Any, ...]]:
    raw = fields.get("space")
    if raw is None:
        return {}
    space = Fields(raw, "/space", fields.found, "space", {*_WHOLE, *_WORDS})
    found: dict[str, tuple[Any, ...]] = {}
    for name in (*_WHOLE, *_WORDS):
        values: list[Any] = []
        for pointer, value in space.list(name, MAX_VALUES):
            if problem := _problem(name, value):
                fields.found.append(Violation(pointer, "range", f"{shown(value)} is not {problem}"))
            else:
                values.append(value)
        if isinstance(space.get(name), list) and not space.get(name):
            space.note(name, "required", "at least one value; leave it out for those of ours")
        if values:
            ordered = sorted(set(values)) if name in _WHOLE else values
            found[name] = tuple(dict.fromkeys(ordered))
    return found


def _problem(name: str, value: object) -> str:
    if name in _WHOLE:
        low, high = _WHOLE[name]
        whole = isinstance(value, int) and not isinstance(value, bool)
        return "" if whole and low <= value <= high else f"a whole number from {low} to {high}"  # type: ignore[operator]
    known = _WORDS[name]
    fits = value in known and type(value) in {type(one) for one in known}
    return "" if fits else f"one of {', '.join(repr(one) for one in known)}"
