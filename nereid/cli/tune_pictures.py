"""Tunes as tables: trials as they come, the Pareto front, and the diff."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nereid.cli import perf_pictures, render
from nereid.drawing import BAD, GOOD, SERIES, bar
from nereid.perf_resources import PerfLevel
from nereid.tune_resources import Tune, TunePoint, TuneResult, TuneTrial

_PURPOSES = {
    "baseline": "as it is",
    "calibration": "calibration",
    "seed": "model's best",
    "search": "search",
    "confirmation": "once more",
}


def goal(tune: Tune) -> str:
    """``most throughput, p99 within 20ms``, ``least p99 at 400 requests a second``."""
    asked = tune.request
    percentile = f"p{asked.get('percentile')}"
    if tune.objective == "latency":
        return f"least {percentile} at {float(asked.get('rate') or 0):g} requests a second"
    limit = asked.get("latency_limit")
    return "most throughput" + (f", {percentile} within {limit}" if limit else "")


def said(tune: Tune) -> str:
    """What it is at, in one line."""
    if tune.over or not tune.trials:
        return f"tune {tune.id} is {tune.state}: {tune.reason}"
    at = tune.trials[-1]
    return f"tune {tune.id}, trial {at.number}: {at.said}; {at.why}"


def headline(tune: Tune) -> Text:
    text = Text.assemble((f"tune {tune.id}", "bold"), f"  {tune.target} on {tune.server}  ")
    text.append_text(render.state(tune.state))
    if tune.over:
        text.append(f"  {tune.reason}")
    facts = [goal(tune), tune.asked_by, render.ago(tune.created_at)]
    text.append(f"\n{' · '.join(fact for fact in facts if fact)}", style="dim")
    return text


def trials(tune: Tune) -> Table:
    """Every trial with the best of what it measured, and why it was worth its time."""
    table = render.table(
        *("TRIAL", "FOR", "CONFIGURATION", "AT", "THROUGHPUT", "", _latency(tune), "WHY"),
        right=("TRIAL", "THROUGHPUT", _latency(tune)),
    )
    shown = [level for trial in tune.trials for level in _levels(trial)]
    most = max((level.throughput for level in shown), default=0) or 1
    for trial in tune.trials:
        for index, level in enumerate(_levels(trial) or [None]):
            first = index == 0
            table.add_row(
                str(trial.number) if first else "",
                _PURPOSES.get(trial.kind, trial.kind) if first else "",
                trial.said if first else "",
                *_figures(tune, trial, level, most),
                _why(trial) if first else "",
            )
    return table


def result(tune: Tune, found: TuneResult) -> list[RenderableType]:
    """The Pareto front, the diff, what to know of it, and the command that applies it."""
    parts: list[RenderableType] = [Text("\nPareto front", style="bold"), _front(tune, found)]
    if found.changes:
        parts += [Text("\nWhat changes", style="bold"), _changes(found), render.diff(found.diff)]
    parts.append(_gain(tune, found))
    parts += [Text(f"! {remark}", style=SERIES[1]) for remark in found.remarks]
    if found.changes and tune.state == "succeeded":
        words = f"\nnereid tune apply {tune.id} --endpoint {tune.name}"
        parts.append(Text.assemble(words, ("   serves it so, after it asked", "dim")))
    return parts


def picture(tune: Tune) -> RenderableType:
    parts: list[RenderableType] = [headline(tune)]
    if tune.trials:
        parts.append(trials(tune))
    if not tune.over and tune.trials:
        parts.append(Text(said(tune), style="dim"))
    if tune.result:
        parts += result(tune, tune.result)
    return Group(*parts)


def _levels(trial: TuneTrial) -> list[PerfLevel]:
    """A calibration is about its batches, and says nothing to compare."""
    return [] if trial.kind == "calibration" else list(trial.levels)


def _figures(
    tune: Tune, trial: TuneTrial, level: PerfLevel | None, most: float
) -> tuple[str, str | Text, str | Text, str | Text]:
    if level is None:
        rows = ", ".join(f"{load:g}" for load in trial.loads)
        unit = "rows" if trial.kind == "calibration" else ""
        return f"{rows} {unit}".strip(), "-", "", "-"
    latency = float(level.raw.get(f"p{tune.request.get('percentile')}_us") or 0)
    return (
        perf_pictures.level(tune.load_kind, level.value),
        perf_pictures.rate(level.throughput),
        bar(level.throughput / most, 12, SERIES[0]),
        Text(perf_pictures.time(latency), style="" if _within(tune, level, latency) else BAD),
    )


def _within(tune: Tune, level: PerfLevel, latency_us: float) -> bool:
    if tune.result:
        points = [*tune.result.front, tune.result.chosen, tune.result.present]
        for one in points:
            if one and one.load == level.value and one.throughput == level.throughput:
                return one.within
    limit = _microseconds(tune.request)
    return limit is None or latency_us <= limit


def _microseconds(asked: Mapping[str, object]) -> float | None:
    text = str(asked.get("latency_limit") or "")
    for unit, factor in (("ms", 1e3), ("s", 1e6), ("m", 6e7)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    return None


def _why(trial: TuneTrial) -> Text:
    if trial.state == "failed":
        return Text(f"failed: {trial.reason}", style=BAD)
    return Text(trial.why, style="dim")


def _front(tune: Tune, found: TuneResult) -> Table:
    table = render.table(
        *("CONFIGURATION", "AT", "THROUGHPUT", _latency(tune), "COPIES", "TRIALS", ""),
        right=("THROUGHPUT", _latency(tune), "COPIES"),
    )
    for one in found.front:
        chosen = found.chosen is not None and one.raw == found.chosen.raw
        within = Text("" if one.within else "above the limit", style=BAD)
        table.add_row(
            Text(one.said, style="bold" if chosen else ""),
            perf_pictures.level(tune.load_kind, one.load),
            perf_pictures.rate(one.throughput),
            perf_pictures.time(one.latency_us),
            str(one.instances),
            ", ".join(map(str, one.trials)),
            Text("chosen", style=GOOD) if chosen else within,
        )
    if found.chosen and not any(one.raw == found.chosen.raw for one in found.front):
        _add_chosen(table, tune, found.chosen)
    return table


def _add_chosen(table: Table, tune: Tune, one: TunePoint) -> None:
    """As good as one of the front, and cheaper or nearer to what is there."""
    table.add_row(
        Text(one.said, style="bold"),
        perf_pictures.level(tune.load_kind, one.load),
        perf_pictures.rate(one.throughput),
        perf_pictures.time(one.latency_us),
        str(one.instances),
        ", ".join(map(str, one.trials)),
        Text("chosen: as good, and nearer", style=GOOD),
    )


def _changes(found: TuneResult) -> Table:
    table = render.table("", "NOW", "TUNED")
    for what, before, after in found.changes:
        table.add_row(what, before, Text(after, style=GOOD))
    return table


def _gain(tune: Tune, found: TuneResult) -> Text:
    if found.gain is None or not found.changes:
        return Text("")
    what = "less latency" if tune.objective == "latency" else "more throughput"
    colour = GOOD if found.gain > 0 else BAD
    return Text.assemble(
        (f"{found.gain:+.0f} %", colour), f" {what} than how it is served now, "
    ).append(f"from {found.measurements} measurements")


def _latency(tune: Tune) -> str:
    return f"P{tune.request.get('percentile')}"
