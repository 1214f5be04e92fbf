"""The chaos table: for a terminal, as Markdown, and as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from tests.chaos.faults import FAULTS
from tests.chaos.trial import Outcome

HEADINGS = (
    *("fault", "runs", "failed requests", "asked again", "changes", "lost", "left over"),
    *("median", "longest"),
)


def rows(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """One for each fault that was done, in the order of the list."""
    found = []
    for fault in FAULTS:
        runs = [one for one in outcomes if one.fault == fault.name]
        if not runs:
            continue
        failed = sum(len(one.failures) for one in runs)
        took = [one.seconds for one in runs if one.seconds is not None]
        missed = len(runs) - len(took)
        longest = f"{max(took):.1f} s" if took else "-"
        found.append(
            (
                fault.what,
                str(len(runs)),
                f"{failed:,} of {sum(one.requests for one in runs):,}",
                f"{sum(one.retried for one in runs):,}",
                str(sum(one.changes for one in runs)),
                # Each run looks at all that was ever accepted: the last one saw the most.
                str(len({said for one in runs for said in one.lost})),
                str(sum(len(one.left) for one in runs)),
                f"{statistics.median(took):.1f} s" if took else "-",
                f"{longest}, {missed} never" if missed else longest,
            )
        )
    return found


def table(outcomes: Sequence[Outcome]) -> Table:
    """For a terminal."""
    shown = Table(*HEADINGS, title="Chaos", title_justify="left")
    for row in rows(outcomes):
        shown.add_row(*row)
    return shown


def markdown(outcomes: Sequence[Outcome]) -> str:
    """For a page."""
    lines = [
        "| " + " | ".join(HEADINGS) + " |",
        "| --- |" + " ---: |" * (len(HEADINGS) - 1),
        *("| " + " | ".join(row) + " |" for row in rows(outcomes)),
    ]
    return "\n".join(lines) + "\n"


def write(folder: Path, outcomes: Sequence[Outcome], seed: int) -> None:
    """Both reports, whole at any time: what was measured before a stop is there."""
    folder.mkdir(parents=True, exist_ok=True)
    machine = {"cores": os.cpu_count(), "system": platform.platform(), "seed": seed}
    document = {"machine": machine, "runs": [asdict(one) for one in outcomes]}
    (folder / "report.json").write_text(json.dumps(document, indent=2) + "\n")
    (folder / "report.md").write_text(markdown(outcomes))
