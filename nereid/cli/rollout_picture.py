"""A rollout as a picture in the terminal: its steps, its harm, and its evidence closing in."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from nereid.cli import render
from nereid.drawing import BAD, GOOD, SERIES, bar
from nereid.rollouts import AnalysisRun, MetricLook, Rollout, RolloutRun

MARKS = {
    "done": ("✓", GOOD),
    "current": ("▸", SERIES[0]),
    "stopped": ("✗", BAD),
    "ahead": ("·", "dim"),
}
TRACK = 30
REACH = 4.0
"""The picture's edge is so many times as far from "the same" as the limit is."""


def parts(rollout: Rollout) -> Iterator[RenderableType]:
    """Everything there is to see, from the top."""
    yield headline(rollout)
    if rollout.reason:
        yield Text(rollout.reason)
    yield Text()
    yield _gauges(rollout)
    yield Text()
    yield _steps(rollout)
    for one in shown_runs(rollout):
        yield Text()
        yield _run_line(one, rollout)
        if one.run.look is not None:
            yield _metrics(one.run.look.metrics, one.run)


def headline(rollout: Rollout) -> Text:
    text = Text.assemble((f"{rollout.endpoint} rollout {rollout.number}", "bold"), "  ")
    text.append_text(render.state(rollout.state))
    marks = [f"to {rollout.target}", f"by {rollout.started_by} {render.ago(rollout.created_at)}"]
    if rollout.approved_by:
        marks.append(f"approved by {rollout.approved_by}")
    if rollout.attempt > 1:
        marks.append(f"attempt {rollout.attempt}")
    if rollout.document.get("dryRun"):
        marks.append("dry run")
    if rollout.promoted:
        marks.append("watched" if rollout.active else "watched no more")
    text.append(f"  {' · '.join(marks)}", style="dim")
    return text


def shown_runs(rollout: Rollout) -> list[RolloutRun]:
    """The runs that measure now; where none does, those that measured last."""
    own = [one for one in rollout.runs if one.attempt == rollout.attempt]
    running = [one for one in own if one.run.phase == "Running"]
    last = max((one.step for one in own), default=0)
    return running or [one for one in own if one.step == last]


def _gauges(rollout: Rollout) -> Table:
    grid = Table.grid(padding=(0, 2))
    if rollout.share is not None:
        share = Text(f"{render.percent(rollout.share)} of the requests")
        grid.add_row("share", bar(rollout.share / 100, render.SHARE_BAR, SERIES[0]), share)
    if rollout.harm_budget:
        spent = min(1.0, rollout.harm_spent / rollout.harm_budget)
        words = Text(f"{rollout.harm_spent} of {rollout.harm_budget} failed attempts")
        grid.add_row("harm", bar(spent, render.SHARE_BAR, BAD), words)
    return grid


def _steps(rollout: Rollout) -> Table:
    grid = Table.grid(padding=(0, 1))
    for step in rollout.steps:
        mark, style = MARKS.get(step.standing, MARKS["ahead"])
        quiet = "dim" if step.standing == "ahead" else ""
        grid.add_row(Text(mark, style=style), Text(step.text, style=quiet))
    end = {"promoted": MARKS["done"], "promoting": MARKS["current"]}.get(rollout.state)
    mark, style = end or MARKS["ahead"]
    grid.add_row(Text(mark, style=style), Text("promote", style="" if end else "dim"))
    return grid


def _run_line(one: RolloutRun, rollout: Rollout) -> Text:
    run = one.run
    where = "watch" if one.step >= len(rollout.steps) else f"step {one.step + 1}"
    text = Text.assemble((f"analysis {run.template}", "bold"), f"  {where}  ")
    text.append_text(render.state(run.phase))
    seconds = f" · {run.look.seconds:.0f} s" if run.look else ""
    dry = " · dry run" if run.dry_run else ""
    text.append(f"  {run.looks} looks{seconds}{dry}", style="dim")
    return text


def _metrics(metrics: tuple[MetricLook, ...], run: AnalysisRun) -> Table:
    table = render.table(
        *("METRIC", "CANDIDATE", "BASELINE", "BOUNDS", "", "LIMIT", ""),
        right=("CANDIDATE", "BASELINE", "LIMIT"),
    )
    table.columns[4].no_wrap = True
    for one in metrics:
        bounds = f"{figure(one.lower, one.scale)} … {figure(one.upper, one.scale)}"
        table.add_row(
            Text(one.name, style="bold" if one.required else "dim"),
            _tally(one, candidate=True),
            "" if one.compare == "none" else _tally(one, candidate=False),
            bounds,
            track(one),
            figure(one.limit, one.scale),
            _verdict(one, run),
        )
    return table


def _verdict(one: MetricLook, run: AnalysisRun) -> Text:
    """A metric of a run that has ended measures no more, whatever it had come to."""
    if one.phase == "Running" and run.phase != "Running":
        return Text("not decided", style="dim")
    return render.state(one.phase)


def _tally(one: MetricLook, *, candidate: bool) -> Text:
    arm = one.candidate if candidate else one.baseline
    value = figure(arm.estimate, _told_in(one))
    return Text.assemble(value, (f"  of {arm.of:,}", "dim"))


def _told_in(one: MetricLook) -> str:
    """What one arm's figure is told in: a ratio is of two times, or of two figures of any unit."""
    if one.scale not in ("ratio", "microseconds", "value"):
        return "share"
    return "value" if one.kind == "promql" else "microseconds"


def figure(value: float | None, scale: str) -> str:
    """A value of that scale for people; what is not known yet is a question mark."""
    if value is None:
        return "?"
    if scale == "microseconds":
        return f"{value / 1000:.3g} ms"
    if scale == "ratio":
        return f"x{value:.3g}"
    if scale == "value":
        return f"{value:.4g}"
    sign = "+" if scale == "difference" and value > 0 else ""
    return f"{sign}{100 * value:.3g} %"


def track(one: MetricLook, width: int = TRACK) -> Text:
    """The bounds as a line between the edges, the estimate on it, and the limit across it."""
    low, high = edges(one)

    def cell(value: float) -> int:
        place = (value - low) / (high - low) if high > low else 0.5
        return round(min(1.0, max(0.0, place)) * (width - 1))

    cells: list[tuple[str, str]] = [("·", "dim")] * width
    first = 0 if one.lower is None else cell(one.lower)
    last = width - 1 if one.upper is None else cell(one.upper)
    style = {"Successful": GOOD, "Failed": BAD}.get(one.phase, SERIES[0])
    for i in range(first, last + 1):
        cells[i] = ("─", style)
    cells[cell(one.limit)] = ("┃", SERIES[1])
    if one.estimate is not None:
        cells[cell(one.estimate)] = ("●", style)
    return Text.assemble(*cells)


def edges(one: MetricLook) -> tuple[float, float]:
    """The values at the picture's edges, which do not move while the bounds close in."""
    if one.scale in ("microseconds", "value"):
        low, high = sorted((0.0, 2 * one.limit or 1.0))
    elif one.scale == "share":
        low, high = 0.0, min(1.0, REACH * one.limit)
    else:
        same = 1.0 if one.scale == "ratio" else 0.0
        reach = REACH * abs(one.limit - same) or 0.05
        low, high = same - reach, same + reach
    if one.estimate is not None:
        low, high = min(low, one.estimate), max(high, one.estimate)
    return low, high
