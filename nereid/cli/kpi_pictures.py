"""How well an endpoint is served, as tables and bars."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from nereid.cli import render
from nereid.cli.perf_pictures import rate, time
from nereid.drawing import BAD, GOOD, SERIES
from nereid.kpi_resources import ArmKpis, EndpointKpis, Figures, FindingTry, StepKpis

BAR = 40
PARTS = {
    "network": "network",
    "router": "router",
    "queue": "queue",
    "copy_in": "copy in",
    "compute": "compute",
    "copy_out": "copy out",
    "rest": "",
}
"""A part of a request's time -> its word; the place is its colour."""

REST, BETWEEN = "the rest", "between its steps"
"""What nobody accounts for: of a pipeline, what it takes to go from step to step."""


def headline(kpis: EndpointKpis) -> Text:
    begin, end = (datetime.fromisoformat(at) for at in (kpis.since, kpis.until))
    minutes = (end - begin).total_seconds() / 60
    text = Text.assemble((kpis.endpoint, "bold"), f"  {_figure(kpis.figures, 'rps', rate)}")
    text.append(f" of {_figure(kpis.figures, 'requests', _count)} requests")
    failed = kpis.figures.get("failed_share")
    if failed:
        text.append(f", {render.percent(100 * failed)} failed", style=BAD)
    text.append(
        f"\n{begin:%Y-%m-%d %H:%M} to {end:%H:%M:%S} UTC, {minutes:.3g} min, "
        f"{kpis.measured_seconds:.0f} s of it measured",
        style="dim",
    )
    return text


def requests(kpis: EndpointKpis) -> Table:
    """What callers got, and what each arm did for them."""
    first = ("FIRST P50", "FIRST P99") if _streams(kpis) else ()
    numbers = ("SHARE", "RATE", "WELL", "FAILED", "P50", "P95", "P99", *first, "PEAK", "UNDER LOAD")
    table = render.table("", *numbers, right=numbers)
    rows: list[tuple[str, float | None, Figures]] = [("callers", None, kpis.figures)]
    rows += [(_named(arm), arm.share, arm.figures) for arm in kpis.arms]
    for index, (name, share, found) in enumerate(rows):
        failed = found.get("failed_share")
        table.add_row(
            Text(name, style="bold" if not index else SERIES[(index - 1) % len(SERIES)]),
            "" if share is None else render.percent(100 * share),
            _figure(found, "rps", rate),
            _figure(found, "success_rps", rate),
            Text(_share(failed), style=BAD if failed else ""),
            *(_figure(found, f"{q}_us", time) for q in ("p50", "p95", "p99")),
            *(_figure(found, f"first_{q}_us", time) for q in ("p50", "p99") if first),
            _figure(found, "peak_rps", rate),
            _figure(found, "degradation", lambda ratio: f"x {ratio:.2f}"),
        )
    return table


def models(kpis: EndpointKpis) -> Table:
    """What the models of arms and steps did, whoever asked them."""
    table = render.table(
        *("MODEL", "RATE", "QUEUE", "WORK", "WAITS", "ROWS", "REQUESTS", "BUSY", "CACHE", ""),
        right=("RATE", "QUEUE", "WORK", "WAITS", "ROWS", "REQUESTS", "BUSY", "CACHE"),
    )
    for name, one in _served(kpis.arms):
        found = one.model or {}
        shared = isinstance(one, ArmKpis) and one.shared
        table.add_row(
            Text(name),
            _figure(found, "rps", rate),
            _figure(found, "queue_us", time),
            _figure(found, "processing_us", time),
            _share(found.get("queue_share")),
            _figure(found, "batch_rows", lambda rows: f"{rows:.3g}"),
            _figure(found, "batch_requests", lambda count: f"{count:.3g}"),
            _busy(found),
            _share(found.get("cache_hit_share")),
            Text("others ask it, too" if shared else "", style="dim"),
        )
    return table


def where_time_goes(kpis: EndpointKpis) -> Iterable[RenderableType]:
    """A bar for each arm and step; all of one arm to the same scale."""
    for arm in kpis.arms:
        if not arm.time:
            continue
        whole = sum(arm.time.values()) or 1.0
        said = _words(arm.time, BETWEEN if arm.steps else REST)
        yield Text.assemble((_named(arm), "bold"), f"  where {time(whole)} go: ", *said)
        yield _bar(arm.time, whole)
        for step in arm.steps:
            if step.time:
                taken = sum(step.time.values())
                yield Text.assemble(f"  {step.step}  {time(taken)}: ", *_words(step.time))
                yield Text("  ").append_text(_bar(step.time, max(whole, taken)))


def findings(kpis: EndpointKpis) -> Iterable[RenderableType]:
    """What would help, the most for the least effort first."""
    for number, one in enumerate(kpis.findings, start=1):
        where = f"{one.arm}, step {one.step}" if one.step else one.arm
        share = render.percent(round(100 * one.saves_us / one.of_us)) if one.of_us else "-"
        change = one.change[:1].upper() + one.change[1:]
        line = Text.assemble(f"{number}. ", (change, "bold"), f"  {where}  ")
        line.append(f"saves about {time(one.saves_us)}, {share}", style=GOOD)
        yield line.append(f" of {rate(one.rps)}")
        yield Text(f"   {one.detail}. {one.estimate}; {one.effort_words}", style="dim")
        if one.overrides:
            yield Text(f"   overrides: {json.dumps(one.overrides)}", style="dim")
        if one.tried:
            yield Text("   ").append_text(tried(one.tried))
        elif one.can_be_tried:
            yield Text(f"   measure it: nereid kpis {kpis.endpoint} --try {number}", style="dim")
        if one.measure:
            yield Text(f"   look around it: {one.measure}", style="dim")


def tried(one: FindingTry) -> Text:
    """What a try measured of a row's mean time, or how far it is."""
    runs = " and ".join(f"{run}" for run in (one.before, one.after) if run)
    if one.ratio is None or one.before_us is None or one.after_us is None:
        return Text(f"{one.state}: {one.reason} (perf runs {runs})", style="dim")
    change = render.percent(round(100 * abs(1 - one.ratio)))
    gain = one.ratio < 1
    text = Text(f"measured: {time(one.before_us)} as it is, {time(one.after_us)} changed, ")
    text.append(f"{change} {'less' if gain else 'more'}", style=GOOD if gain else BAD)
    return text.append(f" (perf runs {runs} on {one.server})", style="dim")


def network(kpis: EndpointKpis) -> Text:
    """Where the network's part comes from, or how to have one."""
    if kpis.network is None:
        said = f"the network is not measured: nereid perf run {kpis.endpoint}"
    else:
        said = f"network as perf run {kpis.network['perf_run']} measured it at "
        said += str(kpis.network["level"])
    return Text(said, style="dim")


def _streams(kpis: EndpointKpis) -> bool:
    """Whether first responses come well before the last ones; else they are the same but for the
    width of a bucket."""
    first, last = (kpis.figures.get(name) for name in ("first_p50_us", "p50_us"))
    return bool(first and last and first < 0.8 * last)


def _served(arms: Iterable[ArmKpis]) -> Iterable[tuple[str, ArmKpis | StepKpis]]:
    for arm in arms:
        yield _named(arm), arm
        for step in arm.steps:
            yield f"  {step.step} ({step.target})", step


def _named(arm: ArmKpis) -> str:
    return arm.name or f"{arm.physical} (gone)"


def _words(parts: Mapping[str, float], rest: str = REST) -> Iterable[Text]:
    for index, (name, word) in enumerate(PARTS.items()):
        if parts.get(name):
            yield Text("■ ", style=_colour(name, index))
            yield Text(f"{word or rest} {time(parts[name])}  ")


def _bar(parts: Mapping[str, float], whole: float) -> Text:
    line = Text()
    for index, name in enumerate(PARTS):
        cells = round(parts.get(name, 0.0) / whole * BAR)
        line.append("█" * cells, style=_colour(name, index))
    return line


def _colour(name: str, index: int) -> str:
    return "dim" if name == "rest" else SERIES[index % len(SERIES)]


def _figure(found: Figures, name: str, say: Callable[[float], str]) -> str:
    value = found.get(name)
    return "-" if value is None else say(value)


def _busy(found: Figures) -> str:
    share = found.get("utilisation")
    return "-" if share is None else f"{share:.0%} of {found.get('instances') or 0:g}"


def _share(value: float | None) -> str:
    return "-" if value is None else render.percent(100 * value)


def _count(value: float) -> str:
    return f"{value:,.0f}"
