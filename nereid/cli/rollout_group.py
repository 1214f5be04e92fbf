"""The command `nereid rollout`, and the options that several of its subcommands have."""

from __future__ import annotations

from typing import Annotated

import typer

from nereid.cli.app import group

rollout = group(
    "rollout",
    """From what an endpoint serves to something new, in steps, judged by what is measured on the
    way and taken back when that is bad.

    A rollout is named by its endpoint (the newest one there) or by its id. Each takes --json.""",
    "nereid rollout start digits 2",
    "nereid rollout status digits --watch",
    "nereid rollout abort digits --reason 'labels are off'",
)

ReasonOption = Annotated[str | None, typer.Option("--reason", help="For the audit.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", help="Seconds to wait at most.")]
