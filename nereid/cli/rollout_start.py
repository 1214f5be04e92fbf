"""`nereid rollout start`."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer
from rich.text import Text

from nereid.cli.app import command
from nereid.cli.completing import endpoint_names
from nereid.cli.document_file import option_document
from nereid.cli.rollout_group import ReasonOption, TimeoutOption, rollout
from nereid.cli.rollout_waiting import follow_rollout
from nereid.cli.session import WAITING, Session
from nereid.client import Client
from nereid.errors import NereidError
from nereid.policy import PolicySyntaxError, parse_arm
from nereid.rollout_steps import STEPPED, parse_steps, strategy_name
from nereid.rollouts import Rollout

_NUMBER = re.compile(r"v?(?P<number>[0-9]+)|(?P<alias>@[A-Za-z0-9_-]+)")

StartEndpoint = Annotated[
    str | None,
    typer.Argument(metavar="ENDPOINT", help="The public name.", autocompletion=endpoint_names),
]
ToArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="VERSION",
        help="2 or @champion of what is the primary there; or MODEL:2, PIPELINE:2.",
    ),
]
StrategyOption = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        help="canary, blueGreen, progressive, or shadowFirst.",
        show_default="canary",
    ),
]
StepOption = Annotated[
    list[str] | None,
    typer.Option(
        "--step",
        help="Of a canary, or after the copies of shadowFirst, in order: a percent, "
        "analysis[:TEMPLATE], pause[:60s], approval, shadow:PERCENT, or JSON. By default 5, 25 and "
        "50 %, each with an analysis.",
    ),
]
CopiesOption = Annotated[
    float | None,
    typer.Option(
        "--copies", help="Percent of the requests that shadowFirst copies.", show_default="20"
    ),
]
CompareOption = Annotated[
    str | None,
    typer.Option(
        "--compare",
        help="Output that shadowFirst holds against the answers'.",
        show_default="the first that is made of numbers",
    ),
]
HarmOption = Annotated[
    int | None,
    typer.Option("--harm-budget", help="Failed attempts it may cost at most.", show_default="20"),
]
WindowOption = Annotated[
    str | None,
    typer.Option("--watch", help="How long it may return once promoted.", show_default="10m"),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Measure, and decide nothing by it.")]
SupersedeOption = Annotated[
    bool, typer.Option("--supersede", help="Take the one under way there back first.")
]
FileOption = Annotated[
    str | None,
    typer.Option("--file", metavar="FILE", help="The whole rollout as JSON; - reads stdin."),
]
WaitOption = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Wait until it is promoted or taken back.")
]


@command(
    "start",
    "nereid rollout start digits 2",
    "nereid rollout start digits @challenger --harm-budget 5 --wait",
    "nereid rollout start digits 2 --step 5 --step analysis --step pause:10m --step 50",
    "nereid rollout start digits 2 --strategy blueGreen --watch 30m",
    "nereid rollout start digits 2 --strategy shadowFirst --copies 50",
    "nereid rollout start --file rollout.json",
    of=rollout,
)
def start(
    session: Session,
    endpoint: StartEndpoint = None,
    to: ToArgument = None,
    strategy: StrategyOption = None,
    step: StepOption = None,
    copies: CopiesOption = None,
    compare: CompareOption = None,
    harm_budget: HarmOption = None,
    watch: WindowOption = None,
    dry_run: DryRunOption = False,
    supersede: SupersedeOption = False,
    file: FileOption = None,
    reason: ReasonOption = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = 3600,
) -> None:
    """Bring a version in step by step: more and more of the requests, as long as what is measured
    stays good. Returns at once; --wait waits, and exits 1 when it was taken back.

    Where the endpoint has the four-eyes rule it exits 3: a second person approves it first.
    """
    own: dict[str, Any] = {"harm_budget": harm_budget, "watch": watch, "reason": reason}
    flags: dict[str, Any] = {"dry_run": dry_run, "supersede": supersede}
    shadow = _shadow(copies, compare)
    said = (endpoint, to, strategy, step, shadow, *own.values(), *flags.values())
    if file is not None and any(said):
        raise typer.BadParameter("--file is a whole rollout: say nothing beside it")
    kind = strategy_name(strategy or "canary")
    steps = parse_steps(step) if step else None
    if steps and kind not in STEPPED:
        raise PolicySyntaxError(f"--step is for canary and shadowFirst: {kind} has no steps")
    if shadow and kind != "shadowFirst":
        raise PolicySyntaxError(
            f"--copies and --compare are for shadowFirst, not {kind}; a canary has --step shadow:20"
        )
    with session.client() as client:
        if file is not None:
            begun = client.send_rollout(
                option_document(file, "rollout", "an object with an endpoint")
            )
        elif endpoint is None or to is None:
            raise typer.BadParameter("what goes where? nereid rollout start ENDPOINT VERSION")
        else:
            target = _target(client, endpoint, to)
            begun = client.start_rollout(
                endpoint, target, strategy=kind, steps=steps, shadow=shadow, **own, **flags
            )
        _say_started(session, begun, wait)
        if wait:
            follow_rollout(session, client, begun, timeout)
        elif begun.state == "awaitingApproval":
            raise typer.Exit(WAITING)


def _shadow(copies: float | None, compare: str | None) -> dict[str, Any]:
    """What was said of copies."""
    percent = None if copies is None else int(copies) if copies.is_integer() else copies
    given = {"percent": percent, "compare": compare}
    return {key: value for key, value in given.items() if value is not None}


def _say_started(session: Session, begun: Rollout, wait: bool) -> None:
    if session.as_json:
        if not wait:
            session.emit(begun.raw)
        return
    name = (f"rollout {begun.number} of {begun.endpoint}", "bold")
    count = len(begun.steps)
    facts = f"  to {begun.target} · {count} steps · at most {begun.harm_budget} failed requests"
    session.success(Text.assemble(name, f" is {begun.state}", (facts, "dim")))
    if begun.state == "awaitingApproval":
        session.note("somebody else than you lets it begin:")
        session.note(f"  nereid rollout approve {begun.endpoint}")
    elif not wait:
        session.note(f"see it go: nereid rollout status {begun.endpoint} --watch")


def _target(client: Client, endpoint: str, text: str) -> dict[str, Any]:
    """What the text names; a number or an alias alone is of what is the primary."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        arm = parse_arm(text)
        if arm.weight is not None or arm.name is not None:
            raise PolicySyntaxError(f"{text!r}: a rollout has one target, such as digits:2")
        return {"model": arm.model, "version": arm.version}
    found = client.endpoint(endpoint)
    primary = next((arm for arm in found.arms if arm.primary), None)
    if primary is None:
        raise NereidError(
            f"{endpoint} serves nothing yet, so there is nothing to roll out from\n"
            f"Deploy a first version: nereid deploy {endpoint} MODEL:{text}=100"
        )
    kind, number = ("pipeline", "revision") if primary.pipeline else ("model", "version")
    if match["alias"] and primary.pipeline:
        raise PolicySyntaxError(f"{text!r}: a pipeline has revisions, and no aliases")
    return {kind: primary.model, number: match["alias"] or int(match["number"])}
