"""Tables and texts that several commands print."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from nereid.drawing import BAD, GOOD, SERIES, bar
from nereid.resources import Arm, Endpoint, Finding, Plan, Version
from nereid.words import policy_in_words

STYLES = {
    "Healthy": GOOD,
    "Ready": GOOD,
    "READY": GOOD,
    "Serving": GOOD,
    "ready": GOOD,
    "enabled": GOOD,
    "delivered": GOOD,
    "approved": GOOD,
    "promoted": GOOD,
    "Successful": GOOD,
    "succeeded": GOOD,
    "queued": SERIES[1],
    "running": SERIES[1],
    "cancelling": SERIES[1],
    "Progressing": SERIES[1],
    "preparing": SERIES[1],
    "progressing": SERIES[1],
    "analysing": SERIES[1],
    "paused": SERIES[1],
    "awaitingApproval": SERIES[1],
    "promoting": SERIES[1],
    "inconclusive": SERIES[1],
    "Running": SERIES[1],
    "Inconclusive": SERIES[1],
    "rollingBack": BAD,
    "rolledBack": BAD,
    "aborted": BAD,
    "Error": BAD,
    "pending": SERIES[1],
    "validating": SERIES[1],
    "uploading": SERIES[1],
    "LOADING": SERIES[1],
    "Degraded": BAD,
    "NotReady": BAD,
    "Failed": BAD,
    "UNAVAILABLE": BAD,
    "rejected": BAD,
    "failing": SERIES[1],
    "failed": BAD,
    "disabled": BAD,
    "stale": BAD,
    "Cordoned": SERIES[1],
    "Draining": SERIES[1],
    "Leaving": SERIES[1],
    "placed": GOOD,
    "leaving": SERIES[1],
    "held": BAD,
}
SHARE_BAR = 20
STEPS = ("B", "KB", "MB", "GB", "TB")


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    result = Table(
        box=box.SIMPLE_HEAD, header_style="dim", border_style="dim", pad_edge=False, show_edge=False
    )
    for column in columns:
        result.add_column(column, justify="right" if column in right else "left")
    return result


def state(text: str) -> Text:
    return Text(f"● {text}", style=STYLES.get(text, "dim"))


def size(count: float) -> str:
    for step in STEPS:
        if count < 1000 or step == STEPS[-1]:
            return f"{count:.0f} {step}" if step == "B" or count >= 100 else f"{count:.1f} {step}"
        count /= 1000
    raise AssertionError("the last step always returns")


def percent(weight: float) -> str:
    return f"{weight:.2f}".rstrip("0").rstrip(".") + " %"


def ago(timestamp: str, now: datetime | None = None) -> str:
    """``3 min ago``; what is not a time comes back as it is."""
    try:
        then = datetime.fromisoformat(timestamp)
    except ValueError:
        return timestamp
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    seconds = max(0.0, ((now or datetime.now(UTC)) - then).total_seconds())
    if seconds < 5:
        return "just now"
    for limit, unit, divisor in (
        (120, "s", 1),
        (7200, "min", 60),
        (172_800, "h", 3600),
    ):
        if seconds < limit:
            return f"{seconds / divisor:.0f} {unit} ago"
    return f"{seconds / 86_400:.0f} days ago"


def metrics(version: Version) -> str:
    # A no-break space keeps a figure beside its name where the column is narrow.
    figures: dict[str, object] = {}
    for name, value in version.metrics.items():
        if isinstance(value, Mapping):
            figures |= {f"{name}/{metric}": figure for metric, figure in value.items()}
        else:
            figures[name] = value
    return "  ".join(f"{name}\N{NO-BREAK SPACE}{_figure(value)}" for name, value in figures.items())


def places(version: Version) -> Text:
    """Where a version serves, with its share."""
    text = Text()
    for place in version.serves_in:
        text.append(f"{', ' if text else ''}{place.endpoint} {percent(place.share)}")
        if not place.live:
            text.append(" on its way", style="dim")
    return text or Text("-", style="dim")


def tags(values: Mapping[str, str]) -> str:
    return " ".join(f"{key}={value}" if value else key for key, value in values.items())


def _figure(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def arms(endpoint_arms: Iterable[Arm]) -> Table:
    result = table("ARM", "VERSION", "SHARE", "", "", "PHYSICAL MODEL")
    result.columns[2].no_wrap = True
    result.columns[2].min_width = SHARE_BAR
    for index, arm in enumerate(endpoint_arms):
        colour = SERIES[index % len(SERIES)]
        result.add_row(
            Text(arm.name, style=f"bold {colour}"),
            arm.target,
            bar(arm.weight / 100, SHARE_BAR, colour),
            Text(percent(arm.weight), justify="right"),
            Text("primary" if arm.primary else "", style="dim"),
            Text(arm.physical, style="dim"),
        )
    return result


def policy_words(document: Mapping[str, Any]) -> Table | None:
    """What a policy says beside the split; None where there is nothing to say."""
    said = policy_in_words(document)
    if not said:
        return None
    result = Table.grid(padding=(0, 2))
    for part in said:
        style = "dim" if part.off else ""
        result.add_row(Text(part.label, style="dim"), Text(part.text, style=style))
    return result


def headline(endpoint: Endpoint) -> Text:
    text = Text.assemble((endpoint.name, "bold"), "  ")
    text.append_text(state(endpoint.status))
    if endpoint.reason:
        text.append(f"  {endpoint.reason}")
    marks = [f"generation {endpoint.generation}"]
    if endpoint.revision is not None:
        marks.append(f"revision {endpoint.revision}")
    if endpoint.four_eyes:
        marks.append("four eyes")
    text.append(f"  {' · '.join(marks)}", style="dim")
    return text


def diff(text: str) -> Text:
    """A unified diff in the colours people know from git."""
    result = Text()
    for line in text.splitlines():
        if line.startswith(("+++", "---")):
            style = "bold"
        elif line.startswith("@@"):
            style = SERIES[0]
        elif line.startswith("+"):
            style = GOOD
        elif line.startswith("-"):
            style = BAD
        else:
            style = "dim"
        result.append(line + "\n", style=style)
    result.rstrip()
    return result


def plan_parts(plan: Plan) -> list[RenderableType]:
    """What a plan says. The files' diff comes first: it is long, and what people decide by, the
    findings and the changes in words, should stand where the screen ends."""
    parts: list[RenderableType] = []
    if plan.diff.strip():
        parts.extend([diff(plan.diff), Text()])
    if plan.loads or plan.unloads:
        moves = Table.grid(padding=(0, 2))
        for verb, names, style in (("load", plan.loads, GOOD), ("unload", plan.unloads, BAD)):
            for name in names:
                moves.add_row(Text(verb, style=style), name)
        parts.extend([moves, Text()])
    parts.extend(_overridden(one) for one in plan.raw.get("serving") or () if _own(one))
    parts.extend(found(finding) for finding in plan.findings)
    if (where := plan.raw.get("placing")) and _worth_saying(where):
        parts.extend([placing(where), Text()])
    if not plan.changes:
        return [*parts, Text("Nothing would change.", style="dim")]
    changes = Table.grid(padding=(0, 2))
    for change in plan.changes:
        sign, style = {"add": ("+", GOOD), "remove": ("-", BAD)}.get(
            change.action, ("~", SERIES[1])
        )
        changes.add_row(
            Text(f"{sign} {change.action}", style=style),
            Text(change.arm, style="bold"),
            change.detail,
        )
    return [*parts, changes]


def placing(raw: Mapping[str, Any]) -> Table:
    """Every server's part in an endpoint, and why."""
    where = table("SERVER", "IS", "WHY")
    for one in raw.get("explanation") or ():
        why = Text(str(one.get("reason") or ""), style="dim")
        where.add_row(str(one.get("server")), state(str(one.get("standing"))), why)
    return where


def _worth_saying(raw: Mapping[str, Any]) -> bool:
    """Whether some server is not simply a place: that it is on all of them nobody asks."""
    parts = raw.get("explanation") or ()
    return bool(raw.get("problem")) or any(one.get("standing") != "placed" for one in parts)


def _own(serving: Mapping[str, Any]) -> dict[str, Any]:
    """Both kinds of overrides of an arm, those that are there."""
    said = {"version": serving.get("of_version"), "arm": serving.get("of_arm")}
    return {whose: overrides for whose, overrides in said.items() if overrides}


def _overridden(serving: Mapping[str, Any]) -> Text:
    """How an arm with overrides is served: the profile, what is laid over it, what comes out."""
    line = Text.assemble((str(serving["arm"]), "bold"), f"  profile {serving['profile']}")
    for whose, overrides in _own(serving).items():
        line.append(f"\n  overrides of the {whose}: {json.dumps(overrides, ensure_ascii=False)}")
    effective = json.dumps(serving["effective"], ensure_ascii=False)
    line.append(f"\n  effective: {effective}\n", style="dim")
    return line


def drift(out: Console, found: Iterable[Mapping[str, Any]], *, servers: bool = False) -> None:
    """What was changed by hand, what stands before what was put right.

    Args:
        servers: say on which server.
    """
    for one in sorted(found, key=lambda one: one.get("put_right_at") is not None):
        stands = one.get("put_right_at") is None
        where = f"on {one['server']}: " if servers else ""
        said = Text("! " if stands else "✓ ", style="yellow" if stands else "green")
        said.append(f"{one['subject']} ", style="bold").append(f"{where}{one['detail']}")
        end = "" if stands else ", put right"
        out.print(said.append(f"{end}  {ago(one['seen_at'])}", style="dim"))
        if one.get("problem"):
            out.print(Text(f"  {one['problem']}", style="red"))


def found(finding: Finding) -> Text:
    """What the linter, or a look at the change, found."""
    style = BAD if finding.severity == "error" else SERIES[1]
    line = Text.assemble((f"{finding.severity} ", style), (finding.code, "bold"), "  ")
    line.append(finding.detail)
    if finding.fix:
        line.append(f". {finding.fix[:1].upper()}{finding.fix[1:]}")
    if finding.pointer:
        line.append(f"  {finding.pointer}", style="dim")
    return line
