"""`nereid deploy`, `plan`, `rollback` and `kill`: what changes an endpoint's traffic."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from nereid.cli import render
from nereid.cli.app import command
from nereid.cli.completing import endpoint_names
from nereid.cli.following import follow, follow_change
from nereid.cli.session import REFUSED, Session
from nereid.client import Client
from nereid.errors import NereidError, ProblemError
from nereid.overrides import of_arm, with_overrides
from nereid.policy import PolicySyntaxError, alias_in, numbered, policy_document
from nereid.resources import Policy

ArmsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="MODEL:VERSION=PERCENT...",
        help="What serves, and its share. One may go without a share: it takes what is left.",
    ),
]
EndpointArgument = Annotated[
    str,
    typer.Argument(metavar="ENDPOINT", help="The public name.", autocompletion=endpoint_names),
]
PrimaryOption = Annotated[
    str | None,
    typer.Option(
        "--primary",
        metavar="MODEL:VERSION",
        help="The arm to fall back on. Else the present one, or the largest.",
    ),
]
PolicyOption = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="FILE",
        help="A whole policy as JSON, in place of arms; - reads standard input.",
    ),
]
OverrideOption = Annotated[
    list[str] | None,
    typer.Option(
        "--override",
        metavar="ARM:WORD=VALUE",
        help="What an arm says otherwise than its serving profile, such as "
        "digits:2:max_batch_size=16; repeatable. null takes a value away.",
    ),
]
NoOverridesOption = Annotated[
    list[str] | None,
    typer.Option("--no-overrides", metavar="ARM", help="An arm that is to have none."),
]
WaitOption = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it serves.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", help="Seconds to wait at most.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="For the audit.")]

LEFT_OUT = (
    "The policy's rules, shadows or overflows lead to an arm that you left out: keep it with a "
    "share of 0 (MODEL:VERSION=0), or change them too with --policy FILE."
)


@dataclass(frozen=True)
class Wanted:
    """The policy that somebody asked for: a whole document, or a change of the arms."""

    arms: Sequence[str]
    primary: str | None
    whole: Mapping[str, Any] | None
    overrides: Sequence[tuple[str, Mapping[str, Any]]] = ()
    no_overrides: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        arms: Sequence[str],
        primary: str | None,
        file: str | None,
        overrides: Sequence[str] = (),
        no_overrides: Sequence[str] = (),
    ) -> Wanted:
        """Checks what can be checked without asking anybody.

        Raises:
            PolicySyntaxError: it cannot be read, or says two things at once.
        """
        said = [of_arm(text) for text in overrides]
        if file is None:
            policy_document(arms, primary=primary)
            return cls(arms, primary, None, said, no_overrides)
        if arms or primary:
            raise PolicySyntaxError(
                "--policy is a whole policy: name no arms and no --primary beside it"
            )
        return cls((), None, _read_policy(file), said, no_overrides)

    def on(self, standing: Policy, client: Client) -> Mapping[str, Any]:
        """The document to send; aliases are numbers from here on, as in what the server keeps."""
        given = [(_with_number(arm, client), said) for arm, said in self.overrides]
        dropped = [_with_number(arm, client) for arm in self.no_overrides]
        return with_overrides(self._document(standing, client), given, dropped)

    def _document(self, standing: Policy, client: Client) -> Mapping[str, Any]:
        if self.whole is not None:
            return self.whole
        arms = [_with_number(arm, client) for arm in self.arms]
        primary = self.primary and _with_number(self.primary, client)
        return policy_document(arms, primary=primary, current=standing.document)

    def advise(self, error: ProblemError) -> None:
        """Says what to do where the kept parts of the policy need an arm that is left out."""
        if self.whole is None and any(entry.code == "unknown_arm" for entry in error.errors):
            error.advice = LEFT_OUT


def _with_number(text: str, client: Client) -> str:
    named = alias_in(text)
    return numbered(text, client.alias(*named).version) if named else text


def _read_policy(file: str) -> Mapping[str, Any]:
    where = "standard input" if file == "-" else file
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        document = json.loads(text)
    except OSError as error:
        raise PolicySyntaxError(f"cannot read {where}: {error.strerror or error}") from error
    except ValueError as error:
        raise PolicySyntaxError(f"{where} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise PolicySyntaxError(
            f'{where} is no policy: it is a JSON object such as {{"arms": [...]}}'
        )
    return document


@command(
    "deploy",
    "nereid deploy digits digits:1=100 --create",
    "nereid deploy digits digits:1=90 digits:2=10",
    "nereid deploy digits digits@champion=90 digits@challenger=10",
    "nereid deploy digits digits:1 digits:2=0.5 --primary digits:1",
    "nereid deploy digits --policy policy.json",
    "nereid deploy digits digits:1 digits:2=1 --override digits:2:max_batch_size=16",
)
def deploy(
    session: Session,
    endpoint: EndpointArgument,
    arms: ArmsArgument = None,
    primary: PrimaryOption = None,
    policy: PolicyOption = None,
    override: OverrideOption = None,
    no_overrides: NoOverridesOption = None,
    create: Annotated[
        bool, typer.Option("--create", help="Create the endpoint when it does not exist.")
    ] = False,
    reason: ReasonOption = None,
    wait: Annotated[
        bool | None,
        typer.Option(
            "--wait/--no-wait",
            help="Wait until it serves; with the four-eyes rule only where it is asked for.",
            show_default="wait",
        ),
    ] = None,
    timeout: TimeoutOption = 120,
) -> None:
    """Say which versions an endpoint serves, and how traffic is split.

    The rest of the policy (rules, sticky key and so on) stays as it is, unless --policy gives a
    whole one. Waits until the split serves; exits 1 when it cannot, with the old one still
    serving. Where the endpoint has the four-eyes rule it exits 3: a second person is waited for.
    """
    wanted = Wanted.of(
        arms or (), primary, policy, override or (), no_overrides or ()
    )  # wrong usage is told before anything is asked
    with session.client() as client:
        standing, made = _standing_policy(session, client, endpoint, create)
        try:
            accepted = client.put_policy(
                endpoint, wanted.on(standing, client), etag=standing.etag, reason=reason
            )
        except ProblemError as error:
            wanted.advise(error)
            if made:  # nothing half-made stays behind a command that failed
                client.delete_endpoint(endpoint)
                session.note(f"the endpoint {endpoint} was not kept")
            if error.status == httpx.codes.PRECONDITION_FAILED:
                raise NereidError(
                    f"someone changed {endpoint} at the same moment; nothing was done\n"
                    f"Look at it with `nereid endpoints {endpoint}`, then repeat."
                ) from error
            raise
        if accepted.change is None:
            follow(session, client, accepted, wait is not False, timeout)
        else:
            follow_change(session, client, accepted, accepted.change, wait is True, timeout)


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


@command(
    "plan",
    "nereid plan digits digits:1=90 digits:2=10",
    "nereid plan digits digits:2=100 --json",
    "nereid plan digits --policy - < policy.json",
)
def plan(
    session: Session,
    endpoint: EndpointArgument,
    arms: ArmsArgument = None,
    primary: PrimaryOption = None,
    policy: PolicyOption = None,
    override: OverrideOption = None,
    no_overrides: NoOverridesOption = None,
) -> None:
    """Show what `deploy` with the same arguments would do, and do nothing.

    Exits 1 when the plan has a finding of severity error: `deploy` would be taken, and callers
    who are served now would be refused.
    """
    wanted = Wanted.of(arms or (), primary, policy, override or (), no_overrides or ())
    with session.client() as client:
        standing = client.policy(endpoint)
        try:
            found = client.plan(endpoint, wanted.on(standing, client))
        except ProblemError as error:
            wanted.advise(error)
            raise
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
        follow(session, client, accepted, wait, timeout)


@command("kill", "nereid kill digits", "nereid kill digits --reason 'v2 times out' --yes")
def kill(
    session: Session,
    endpoint: EndpointArgument,
    reason: ReasonOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask on a terminal.")] = False,
    wait: WaitOption = True,
    timeout: TimeoutOption = 120,
) -> None:
    """Send every request of an endpoint to its primary, at once.

    Rules, shadows and the adaptive mode end, and live sequences on other arms are cut; the other
    arms stay loaded without a share, and a change that is still on its way is called off.
    `nereid rollback` leads back.
    """
    if not yes and session.asks and not _agreed(session, endpoint):
        session.note("nothing was done")
        raise typer.Exit(REFUSED)
    with session.client() as client:
        accepted = client.kill(endpoint, reason)
        follow(session, client, accepted, wait, timeout)
    session.note(f"the way back: nereid rollback {endpoint}")


def _agreed(session: Session, name: str) -> bool:
    with session.client() as client:
        endpoint = client.endpoint(name)
    others = [arm for arm in endpoint.arms if not arm.primary]
    for arm in endpoint.arms:
        if arm.primary:
            session.note(f"{arm.name} ({arm.target}) gets every request of {name}")
    if others:
        session.note(f"{', '.join(arm.name for arm in others)}: no request, no copy")
    return typer.confirm(f"Everything of {name} to its primary?", err=True)
