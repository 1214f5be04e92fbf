"""Perf runs as tables and bars."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from nereid.cli import render
from nereid.drawing import BAD, GOOD, SERIES, bar
from nereid.perf_resources import PerfLevel, PerfRun

UNSTEADY = 25.0
"""Percent between its windows from which a level is said to be unsteady."""

_BAR = 40
_WORDS = {
    "queue": "queue",
    "compute_input": "compute input",
    "compute_infer": "compute infer",
    "compute_output": "compute output",
    "network": "network and endpoint",
    "client": "client",
    "rest": "the rest",
}


def time(microseconds: float) -> str:
    """``940 µs``, ``1.53 ms``, ``2.4 s``."""
    if microseconds < 1000:
        return f"{microseconds:.0f} µs"
    if microseconds < 1_000_000:
        return f"{microseconds / 1000:.3g} ms"
    return f"{microseconds / 1_000_000:.3g} s"


def rate(throughput: float) -> str:
    return f"{throughput:,.0f}/s" if throughput >= 10 else f"{throughput:.2g}/s"


def level(kind: str, value: float) -> str:
    """``8 callers``, ``500 req/s``, ``16 rows``."""
    if kind == "concurrency":
        return f"{value:g} caller{'' if value == 1 else 's'}"
    if kind == "batch_sizes":
        return f"{value:g} row{'' if value == 1 else 's'}"
    return f"{value:g} req/s"


def said(run: PerfRun) -> str:
    """How far it is, in one line."""
    done = run.progress
    if run.over or not done:
        return f"perf run {run.id} is {run.state}: {run.reason}"
    at = level(run.kind, float(done.get("level") or 0))
    return f"perf run {run.id}: level {done.get('done', 0) + 1} of {done.get('of')}, {at}"


def headline(run: PerfRun) -> Text:
    text = Text.assemble((f"perf run {run.id}", "bold"), f"  {run.target} on {run.server}  ")
    text.append_text(render.state(run.state))
    if not run.over and run.progress:
        text.append(f"  {said(run).partition(': ')[2]}")
    elif run.reason:
        text.append(f"  {run.reason}")
    asked = run.request
    facts = [str(asked.get("protocol") or ""), f"{asked.get('input')} input"]
    if asked.get("latency_limit"):
        facts.append(f"p{asked.get('percentile')} within {asked['latency_limit']}")
    facts += [run.asked_by, render.ago(run.created_at)]
    text.append(f"\n{' · '.join(fact for fact in facts if fact)}", style="dim")
    return text


def levels(run: PerfRun) -> Table:
    """Every level, the peak marked."""
    table = render.table(
        *("LEVEL", "THROUGHPUT", "", "P50", "P90", "P95", "P99", "BATCH", "CPU", ""),
        right=("LEVEL", "THROUGHPUT", "P50", "P90", "P95", "P99", "BATCH", "CPU"),
    )
    most = max((one.throughput for one in run.levels), default=0) or 1
    for one in run.levels:
        best = run.peak is not None and one.value == run.peak.value
        table.add_row(
            level(run.kind, one.value),
            Text(rate(one.throughput), style="bold" if best else ""),
            bar(one.throughput / most, 16, SERIES[0]),
            *(time(us) for us in (one.p50_us, one.p90_us, one.p95_us, one.p99_us)),
            "-" if one.batch is None else f"{one.batch:.3g}",
            "-" if one.cpu is None else f"{one.cpu:.0%}",
            _remarks(one, best),
        )
    return table


def where_time_goes(run: PerfRun) -> Text:
    """One bar of the peak's mean time, and what its parts are."""
    one = run.peak or run.levels[-1]
    total = sum(one.parts_us.values()) or 1
    line, legend = Text(), Text()
    for index, (name, us) in enumerate(one.parts_us.items()):
        cells = round(us / total * _BAR)
        colour = SERIES[index % len(SERIES)] if name != "rest" else "dim"
        line.append("█" * cells, style=colour)
        if us:
            legend.append("■ ", style=colour)
            legend.append(f"{_WORDS[name]} {time(us)}   ")
    at = level(run.kind, one.value)
    return Text.assemble(f"where {time(one.mean_us)} go at {at}\n", line, "\n", legend)


def compared(runs: Sequence[PerfRun]) -> Table:
    """The levels that all of them have; changes are against the first."""
    titles = [f"#{run.id} {run.target}" for run in runs]
    table = render.table(
        "LEVEL", *[f"{title} {what}" for title in titles for what in ("RATE", "P99")]
    )
    first = {one.value: one for one in runs[0].levels}
    others = [{one.value: one for one in run.levels} for run in runs]
    for value in sorted(set(first).intersection(*others)):
        cells: list[Text] = []
        for mine in others:
            one, base = mine[value], first[value]
            cells.append(_against(rate(one.throughput), one.throughput, base.throughput, True))
            cells.append(_against(time(one.p99_us), one.p99_us, base.p99_us, False))
        table.add_row(level(runs[0].kind, value), *cells)
    return table


def _against(text: str, value: float, base: float, more_is_better: bool) -> Text:
    if value == base or not base:
        return Text(text)
    change = (value - base) / base * 100
    good = (change > 0) is more_is_better
    return Text.assemble(text, (f"  {change:+.0f} %", GOOD if good else BAD))


def _remarks(one: PerfLevel, best: bool) -> Text:
    text = Text("peak " if best else "", style=GOOD)
    if one.spread > UNSTEADY:
        text.append(f"unsteady, ±{one.spread / 2:.0f} % ", style=SERIES[1])
    if one.delayed >= 1:
        text.append(f"{one.delayed:.0f} % left late", style=SERIES[1])
    return text
