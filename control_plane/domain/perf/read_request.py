"""A perf run's document -> the request that it means, or everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from control_plane.domain.names import is_public_name
from control_plane.domain.perf.request import (
    QUANTILES,
    Distribution,
    Input,
    Load,
    LoadKind,
    PerfRequest,
    Protocol,
    Sequences,
    SharedMemory,
    Span,
    Target,
    TargetKind,
)
from control_plane.domain.routing.fields import Fields, shown
from control_plane.domain.routing.policy import MILLISECOND, SECOND
from control_plane.domain.serving.overriding import check_overrides
from control_plane.domain.violations import InvalidInputError, Violation

MAX_LEVELS = 32
MAX_CONCURRENCY = 1024
"""perf_analyzer has a thread for each caller."""

MAX_RATE = 1_000_000.0
MAX_BATCH = 1 << 16
MAX_INTERVALS = 10_000
MAX_DIMENSION = 1 << 24
MINUTE = 60 * SECOND

_WHOLE = {LoadKind.CONCURRENCY: MAX_CONCURRENCY, LoadKind.BATCH_SIZES: MAX_BATCH}
"""Kinds whose levels are counted, and up to where."""

_KNOWN = {
    *("target", "server", "protocol", "input", "shapes", "string_length", "batch"),
    *("concurrency", "request_rate", "intervals", "distribution", "latency_limit", "percentile"),
    *("window", "streaming", "shared_memory", "sequences", "batch_sizes", "overrides"),
}


def read_request(document: object) -> PerfRequest:
    """The request that a document means.

    Raises:
        InvalidInputError: with a violation for each place that is not as it must be.
    """
    found: list[Violation] = []
    fields = Fields(document, "", found, "a perf run", _KNOWN)
    server = fields.text("server")
    if not server:
        fields.note("server", "required", "the name of the server that is to be measured")
    what, recording = _input(fields)
    request = PerfRequest(
        target=_target(fields),
        server=server or "",
        load=_load(fields),
        protocol=fields.choice("protocol", Protocol.GRPC),
        input=what,
        recording=recording,
        shapes=_shapes(fields),
        string_length=fields.whole("string_length", PerfRequest.string_length, 1, 1 << 16),
        batch=fields.whole("batch", 1, 1, MAX_BATCH),
        latency_limit=fields.duration("latency_limit", 1, 10 * MINUTE),
        percentile=fields.whole("percentile", 99, 1, 99),
        window=fields.duration("window", 100 * MILLISECOND, MINUTE) or PerfRequest.window,
        streaming=fields.flag("streaming", False),
        shared_memory=fields.choice("shared_memory", SharedMemory.NONE),
        sequences=_sequences(fields),
        overrides=_overrides(fields),
    )
    if not found:
        _check(fields, request)
    if found:
        raise InvalidInputError(found)
    return request


def _check(fields: Fields, request: PerfRequest) -> None:
    """What does not go together."""
    if request.percentile not in QUANTILES:
        known = ", ".join(map(str, QUANTILES))
        fields.note("percentile", "invalid", f"{request.percentile}: it is one of {known}")
    if request.load.searches and request.latency_limit is None:
        detail = "a search looks for the most load within a limit: say which"
        fields.note("latency_limit", "required", detail)
    if request.streaming and request.protocol is not Protocol.GRPC:
        fields.note("streaming", "exclusive", "streams are gRPC's alone: set protocol to grpc")
    if request.overrides and request.target.kind is not TargetKind.VERSION:
        detail = "only a version is loaded for its run, and so can be served otherwise for it"
        fields.note("overrides", "exclusive", detail)
    if request.input is Input.RECORDING and (request.sequences or request.shapes):
        detail = "a recording has the shapes that were sent, and no sequences"
        fields.note("input", "exclusive", detail)
    if request.load.kind is LoadKind.BATCH_SIZES and (request.batch > 1 or request.sequences):
        fields.note("batch_sizes", "exclusive", "they stand in place of batch, and of sequences")
    if request.sequences and request.target.kind is TargetKind.ENDPOINT:
        detail = (
            "perf_analyzer makes sequences where the model says that it has them, which no router "
            "does: measure the version"
        )
        fields.note("sequences", "exclusive", detail)


def _input(fields: Fields) -> tuple[Input | None, str]:
    """What is sent, and the name of the recording where it is one."""
    text = fields.text("input")
    if text is None:
        return None, ""
    word, colon, name = text.partition(":")
    if word == Input.RECORDING and is_public_name(name):
        return Input.RECORDING, name
    if colon or word == Input.RECORDING or word not in list(Input):
        known = "golden, random, zero and recording:NAME"
        fields.note("input", "invalid", f"{shown(text)}: there are {known}")
        return None, ""
    return Input(word), ""


def _overrides(fields: Fields) -> dict[str, Any]:
    given = fields.get("overrides")
    if given is None:
        return {}
    try:
        return check_overrides(given, "/overrides")
    except InvalidInputError as error:
        fields.found += error.violations
        return {}


def _target(fields: Fields) -> Target:
    where, raw = "/target", fields.get("target")
    if not isinstance(raw, Mapping):
        detail = (
            'what is to be measured: {"model": "digits", "version": 3}, '
            '{"pipeline": "digits-png", "revision": 1} or {"endpoint": "digits"}'
        )
        fields.note("target", "required", detail)
        return Target(TargetKind.ENDPOINT, "")
    known = {"model", "version", "pipeline", "revision", "endpoint"}
    target = Fields(raw, where, fields.found, "target", known)
    named = {key: target.text(key) for key in ("model", "pipeline", "endpoint") if target.has(key)}
    if len(named) != 1:
        target.note("", "exclusive", "name one of model, pipeline and endpoint")
        return Target(TargetKind.ENDPOINT, "")
    [(kind, name)] = named.items()
    if not name:
        target.note(kind, "required", f"the name of the {kind}")
    if kind == "endpoint":
        for other in ("version", "revision"):
            if target.has(other):
                target.note(other, "exclusive", "an endpoint is measured as it is routed now")
        return Target(TargetKind.ENDPOINT, name or "")
    key = "version" if kind == "model" else "revision"
    number = target.optional_whole(key, 1)
    if number is None and not target.get(key):
        target.note(key, "required", f"the number of the {key}")
    if target.has("revision" if key == "version" else "version"):
        target.note("", "exclusive", f"a {kind} has a {key}")
    return Target(
        TargetKind.VERSION if kind == "model" else TargetKind.PIPELINE, name or "", number
    )


def _load(fields: Fields) -> Load:
    given = [kind for kind in LoadKind if fields.get(kind) is not None]
    if len(given) > 1:
        fields.note("", "exclusive", f"{' and '.join(given)}: a run has one of them")
    kind = given[0] if given else LoadKind.CONCURRENCY
    rate = kind is LoadKind.REQUEST_RATE
    if fields.get("distribution") is not None and not rate:
        fields.note("distribution", "exclusive", "only requests at a rate have one")
    if kind is LoadKind.INTERVALS:
        return Load(kind, intervals=_intervals(fields))
    distribution = fields.choice("distribution", Distribution.CONSTANT)
    if not given:
        return Load(kind, values=(1.0, 2.0, 4.0, 8.0))
    if isinstance(fields.get(kind), Mapping) and kind is not LoadKind.BATCH_SIZES:
        return Load(kind, span=_span(fields, kind), distribution=distribution)
    values = _values(fields, kind)
    return Load(kind, values=values, distribution=distribution)


def _values(fields: Fields, kind: LoadKind) -> tuple[float, ...]:
    listed = fields.list(kind, MAX_LEVELS)
    if isinstance(fields.get(kind), list) and not listed:
        fields.note(kind, "required", "at least one level")
    found = []
    for pointer, value in listed:
        if not _is_level(value, kind):
            fields.found.append(
                Violation(pointer, "range", f"{shown(value)} is not {_levels(kind)}")
            )
        else:
            found.append(float(value))  # type: ignore[arg-type]
    if found != sorted(set(found)):
        fields.note(kind, "order", "levels rise, each above the one before")
    return tuple(found)


def _span(fields: Fields, kind: LoadKind) -> Span:
    span = Fields(
        fields.get(kind), f"/{kind}", fields.found, kind, {"from", "to", "step", "search"}
    )
    numbers = {}
    for key, default in (("from", 1.0), ("to", None), ("step", 1.0)):
        value = span.get(key)
        if value is None and default is not None:
            numbers[key] = default
        elif not _is_level(value, kind):
            span.note(key, "range", f"{shown(value)} is not {_levels(kind)}")
            numbers[key] = 1.0
        else:
            numbers[key] = float(value)
    made = Span(numbers["from"], numbers["to"], numbers["step"], span.flag("search", False))
    if made.high < made.low:
        span.note("to", "range", "it ends below its beginning")
    elif not made.search and (made.high - made.low) / made.step >= MAX_LEVELS:
        span.note("step", "too_many", f"more than {MAX_LEVELS} levels: take a larger step")
    return made


def _is_level(value: Any, kind: LoadKind) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if most := _WHOLE.get(kind):
        return value == int(value) and 1 <= value <= most if value == value else False
    return 0.001 <= value <= MAX_RATE


def _levels(kind: LoadKind) -> str:
    if kind is LoadKind.CONCURRENCY:
        return f"a number of callers, 1 to {MAX_CONCURRENCY}"
    if kind is LoadKind.BATCH_SIZES:
        return f"a number of rows, 1 to {MAX_BATCH}"
    return f"a rate in requests per second, up to {MAX_RATE:,.0f}"


def _intervals(fields: Fields) -> tuple[int, ...]:
    found = []
    for pointer, value in fields.list("intervals", MAX_INTERVALS):
        one = Fields({"it": value}, pointer, fields.found, "interval", {"it"})
        found.append(one.duration("it", 1, MINUTE) or 1)
    if not found:
        fields.note("intervals", "required", 'times between requests, such as ["1ms", "20ms"]')
    return tuple(found)


def _shapes(fields: Fields) -> dict[str, tuple[int, ...]]:
    raw = fields.get("shapes")
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        fields.note("shapes", "type", 'shapes is an object such as {"tokens": [128]}')
        return {}
    found = {}
    for name, shape in raw.items():
        sizes = isinstance(shape, list) and 0 < len(shape) <= 16
        if not sizes or not all(
            isinstance(d, int) and not isinstance(d, bool) and 1 <= d <= MAX_DIMENSION
            for d in shape
        ):
            detail = f"{shown(shape)} is not a list of sizes, without the batch's"
            fields.found.append(Violation("/shapes", "invalid", f"{shown(name)}: {detail}"))
        else:
            found[str(name)] = tuple(shape)
    return found


def _sequences(fields: Fields) -> Sequences | None:
    raw = fields.get("sequences")
    if raw is None:
        return None
    known = {"length", "variation", "concurrent"}
    given = Fields(raw, "/sequences", fields.found, "sequences", known)
    variation = given.number("variation", 0, 100)
    return Sequences(
        length=given.whole("length", Sequences.length, 1, 100_000),
        variation=Sequences.variation if variation is None else variation,
        concurrent=given.whole("concurrent", Sequences.concurrent, 1, MAX_CONCURRENCY),
    )
