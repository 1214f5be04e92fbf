"""`nereid endpoints`, `deploy`, `plan` and `rollback`."""

from __future__ import annotations

import time
from typing import Annotated

import httpx
import typer
from rich.text import Text

from nereid.cli import render
from nereid.cli.app import command
from nereid.cli.session import REFUSED, Session
from nereid.client import Client
from nereid.drawing import BAD, split_bar
from nereid.errors import NereidError, ProblemError
from nereid.policy import policy_document
from nereid.resources import Accepted, Endpoint, Policy, Revision

ArmsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL:VERSION=PERCENT...",
        help="What serves, and its share. One may go without a share: it takes what is left.",
    ),
]
EndpointArgument = Annotated[str, typer.Argument(metavar="ENDPOINT", help="The public name.")]
PrimaryOption = Annotated[
    str | None,
    typer.Option(
        "--primary",
        metavar="MODEL:VERSION",
        help="The arm to fall back on. Else the present one, or the largest.",
    ),
]
WaitOption = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it serves.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", help="Seconds to wait at most.")]
SHOWN_REVISIONS = 5
LIST_BAR = 20


@command(
    "endpoints", "nereid endpoints", "nereid endpoints digits", "nereid endpoints digits --json"
)
def endpoints(
    session: Session,
    name: Annotated[
        str | None, typer.Argument(help="Show this endpoint in full.", metavar="[NAME]")
    ] = None,
) -> None:
    """List the endpoints with how their traffic is split, or show one."""
    with session.client() as client:
        if name:
            endpoint = client.endpoint(name)
            if session.as_json:
                session.emit(endpoint.raw)
            else:
                _show(session, endpoint, client.revisions(name))
            return
        found = client.endpoints()
    if session.as_json:
        session.emit({"results": [endpoint.raw for endpoint in found]})
        return
    if not found:
        session.note("No endpoints yet: nereid deploy NAME MODEL:VERSION=100 --create")
        return
    table = render.table("ENDPOINT", "STATUS", "TRAFFIC", "")
    table.columns[2].no_wrap = True
    table.columns[2].min_width = LIST_BAR
    for endpoint in found:
        names = ", ".join(f"{arm.target} {render.percent(arm.weight)}" for arm in endpoint.arms)
        table.add_row(
            Text(endpoint.name, style="bold"),
            render.state(endpoint.status),
            split_bar([arm.weight for arm in endpoint.arms], LIST_BAR),
            names or Text("no policy", style="dim"),
        )
    session.out.print(table)
    for endpoint in found:
        if endpoint.status != "Healthy":
            session.out.print()
            session.out.print(Text.assemble((endpoint.name, "bold"), f"  {endpoint.reason}"))


def _show(session: Session, endpoint: Endpoint, revisions: list[Revision]) -> None:
    session.out.print(render.headline(endpoint))
    if endpoint.description:
        session.out.print(Text(endpoint.description, style="dim"))
    if endpoint.arms:
        session.out.print()
        session.out.print(render.arms(endpoint.arms))
    servers = endpoint.raw.get("servers") or ()
    if servers:
        session.out.print()
        table = render.table("SERVER", "STATUS", "GENERATION", "REASON", right=("GENERATION",))
        for server in servers:
            table.add_row(
                str(server.get("server") or ""),
                render.state(str(server.get("status") or "")),
                str(server.get("generation") or "-"),
                Text(" ".join(str(server.get("reason") or "").split()), style="dim"),
            )
        session.out.print(table)
    if revisions:
        session.out.print()
        table = render.table("REVISION", "STATE", "BY", "MADE", "TRAFFIC", right=("REVISION",))
        latest = sorted(revisions, key=lambda revision: -revision.number)[:SHOWN_REVISIONS]
        for revision in latest:
            table.add_row(
                str(revision.number),
                _state(revision, endpoint),
                revision.created_by or "-",
                Text(render.ago(revision.created_at), style="dim"),
                _traffic(revision),
            )
        session.out.print(table)


def _state(revision: Revision, endpoint: Endpoint) -> Text:
    if revision.error:
        return Text(revision.error, style=BAD)
    if revision.number == endpoint.revision:
        return Text("serves" if revision.served_from else "comes next", style="bold")
    return Text("served" if revision.served_from else "never served", style="dim")


def _traffic(revision: Revision) -> str:
    arms = (revision.policy or {}).get("arms") or ()
    return ", ".join(
        f"{arm['model']}:{arm['version']} {render.percent(float(arm.get('weight') or 0))}"
        for arm in arms
    )


@command(
    "deploy",
    "nereid deploy digits digits:1=100 --create",
    "nereid deploy digits digits:1=90 digits:2=10",
    "nereid deploy digits digits:1 digits:2=0.5 --primary digits:1",
)
def deploy(
    session: Session,
    endpoint: EndpointArgument,
    arms: ArmsArgument,
    primary: PrimaryOption = None,
    create: Annotated[
        bool, typer.Option("--create", help="Create the endpoint when it does not exist.")
    ] = False,
    wait: WaitOption = True,
    timeout: TimeoutOption = 120,
) -> None:
    """Say which versions an endpoint serves, and how traffic is split.

    The rest of the policy (rules, sticky key and so on) stays as it is. Waits until the split
    serves; exits 1 when it cannot, with the old one still serving.
    """
    policy_document(arms, primary=primary)  # wrong usage is told before anything is asked
    with session.client() as client:
        standing, made = _standing_policy(session, client, endpoint, create)
        policy = policy_document(arms, primary=primary, current=standing.document)
        try:
            accepted = client.put_policy(endpoint, policy, etag=standing.etag)
        except ProblemError as error:
            if made:  # nothing half-made stays behind a command that failed
                client.delete_endpoint(endpoint)
                session.note(f"the endpoint {endpoint} was not kept")
            if error.status == httpx.codes.PRECONDITION_FAILED:
                raise NereidError(
                    f"someone changed {endpoint} at the same moment; nothing was done\n"
                    f"Look at it with `nereid endpoints {endpoint}`, then repeat."
                ) from error
            raise
        _follow(session, client, accepted, wait, timeout)


def _standing_policy(
    session: Session, client: Client, endpoint: str, create: bool
) -> tuple[Policy, bool]:
    """The policy there is, and whether this call made the endpoint."""
    try:
        return client.policy(endpoint), False
    except ProblemError as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
        if not create:
            raise NereidError(
                f"there is no endpoint {endpoint!r}\nAdd --create to make it with this policy."
            ) from error
    made = client.ensure_endpoint(endpoint)
    if made:
        session.note(f"made the endpoint {endpoint}")
    return client.policy(endpoint), made


def _follow(
    session: Session, client: Client, accepted: Accepted, wait: bool, timeout: float
) -> None:
    """Watch a change until it serves or cannot; a person sees every status and reason once."""
    name = accepted.endpoint
    if not wait:
        if session.as_json:
            session.emit(accepted.raw)
        else:
            session.success(
                f"{name}: generation {accepted.generation} accepted; it goes on without you"
            )
        return
    started = time.monotonic()
    said: list[str] = []
    with session.err.status(Text(f"{name}: {accepted.status}")) as status:

        def show(endpoint: Endpoint) -> None:
            line = ": ".join(part for part in (endpoint.status, endpoint.reason) if part)
            status.update(Text(f"{name}: {line}"))
            if not said or said[-1] != line:
                said.append(line)
                # A terminal shows the spinner; a log gets each change as a line.
                if not session.err.is_terminal:
                    session.note(f"{name}: {line}")

        endpoint = client.wait_endpoint(
            name, generation=accepted.generation, timeout=timeout, on_progress=show
        )
    _settled(session, endpoint, time.monotonic() - started)


def _settled(session: Session, endpoint: Endpoint, seconds: float) -> None:
    healthy = endpoint.status == "Healthy"
    if session.as_json:
        session.emit(endpoint.raw)
    elif healthy:
        facts = f"  {seconds:.1f} s · generation {endpoint.generation}"
        session.success(Text.assemble((endpoint.name, "bold"), " is Healthy", (facts, "dim")))
        session.out.print(render.arms(endpoint.arms))
    else:
        reason = endpoint.reason or "the server gives no reason"
        session.failure(Text.assemble((endpoint.name, "bold"), f" is {endpoint.status}: {reason}"))
    if not healthy:
        raise typer.Exit(REFUSED)


@command(
    "plan",
    "nereid plan digits digits:1=90 digits:2=10",
    "nereid plan digits digits:2=100 --json",
)
def plan(
    session: Session, endpoint: EndpointArgument, arms: ArmsArgument, primary: PrimaryOption = None
) -> None:
    """Show what `deploy` with the same arguments would do, and do nothing.

    Exits 1 when the plan has a finding of severity error: `deploy` would be refused.
    """
    policy_document(arms, primary=primary)
    with session.client() as client:
        standing = client.policy(endpoint)
        policy = policy_document(arms, primary=primary, current=standing.document)
        found = client.plan(endpoint, policy)
    if session.as_json:
        session.emit(found.raw)
    else:
        for part in render.plan_parts(found):
            session.out.print(part)
    if any(finding.severity == "error" for finding in found.findings):
        raise typer.Exit(REFUSED)


@command(
    "rollback",
    "nereid rollback digits",
    "nereid rollback digits --revision 3 --reason 'p99 doubled'",
)
def rollback(
    session: Session,
    endpoint: EndpointArgument,
    revision: Annotated[
        int | None, typer.Option("--revision", "-r", help="Which. Else the one before.")
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="For the audit.")] = None,
    wait: WaitOption = True,
    timeout: TimeoutOption = 120,
) -> None:
    """Bring back what an endpoint served before.

    The revision before is still loaded, so this takes a moment, not a model load.
    """
    with session.client() as client:
        accepted = client.rollback(endpoint, revision, reason)
        _follow(session, client, accepted, wait, timeout)
