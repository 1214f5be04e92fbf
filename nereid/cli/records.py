"""`nereid alias`, `tag`, `archive` and `unarchive`: what is said of models and versions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.text import Text

from nereid.cli import render
from nereid.cli.app import command
from nereid.cli.session import REFUSED, Session
from nereid.resources import Model, Version

_NAMED = re.compile(r"(?P<model>[^:@]+)(?::v?(?P<number>[0-9]{1,9})|@(?P<alias>[A-Za-z0-9_-]+))?")

VersionArgument = Annotated[
    str,
    typer.Argument(metavar="MODEL:VERSION", help="Which version, or MODEL@ALIAS."),
]
ReasonOption = Annotated[str, typer.Option("--reason", help="For the version and the audit.")]
WaitOption = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Wait until the server has checked it.")
]


@dataclass(frozen=True)
class Named:
    """A model, or one version of it by number or alias (`@champion`)."""

    model: str
    version: int | str | None

    @classmethod
    def of(cls, text: str) -> Named:
        match = _NAMED.fullmatch(text)
        if match is None:
            raise typer.BadParameter(f"{text!r} is not MODEL, MODEL:VERSION or MODEL@ALIAS")
        if match["alias"]:
            return cls(match["model"], f"@{match['alias']}")
        return cls(match["model"], int(match["number"]) if match["number"] else None)

    @classmethod
    def version_of(cls, text: str) -> tuple[str, int | str]:
        named = cls.of(text)
        if named.version is None:
            raise typer.BadParameter(
                f"{text!r} names no version: write {text}:2 or {text}@champion"
            )
        return named.model, named.version


@command(
    "alias",
    "nereid alias digits",
    "nereid alias digits champion 3",
    "nereid alias digits champion --delete",
)
def alias(
    session: Session,
    model: Annotated[str, typer.Argument(help="The model's name.")],
    name: Annotated[str | None, typer.Argument(metavar="[ALIAS]", help="Such as champion.")] = None,
    version: Annotated[
        int | None, typer.Argument(metavar="[VERSION]", help="Where it shall point.", min=1)
    ] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Remove the alias.")] = False,
) -> None:
    """Show a model's aliases, point one to a version, or remove one.

    Moving an alias moves no traffic: a policy keeps the number that the alias meant when the
    policy was written.
    """
    if delete and (name is None or version is not None):
        raise typer.BadParameter("--delete takes the model and the alias alone")
    with session.client() as client:
        if name is None:
            found = client.aliases(model)
        elif delete:
            client.delete_alias(model, name)
            found = []
        elif version is None:
            found = [client.alias(model, name)]
        else:
            found = [client.set_alias(model, name, version)]
    if session.as_json:
        raws = [one.raw for one in found]
        session.emit({"results": raws} if name is None else {**raws[0]} if raws else {})
    elif delete:
        session.success(f"{model}@{name} is removed; policies keep the versions they have")
    elif version is not None:
        session.success(f"{model}@{name} → {model}:{version}")
    elif not found:
        session.note(f"No aliases yet: nereid alias {model} champion 1")
    else:
        table = render.table("ALIAS", "VERSION", "BY", "MOVED")
        for one in found:
            made = Text(render.ago(str(one.raw.get("updated_at") or "")), style="dim")
            by = str(one.raw.get("updated_by") or "-")
            table.add_row(Text(f"@{one.name}", style="bold"), f"{model}:{one.version}", by, made)
        session.out.print(table)


@command(
    "tag",
    "nereid tag digits team=vision stage=trial",
    "nereid tag digits:2 reviewed",
    "nereid tag digits --delete stage",
)
def tag(
    session: Session,
    what: Annotated[
        str, typer.Argument(metavar="MODEL[:VERSION]", help="A model, or one version of it.")
    ],
    tags: Annotated[
        list[str] | None, typer.Argument(metavar="KEY[=VALUE]...", help="Tags to set.")
    ] = None,
    delete: Annotated[
        list[str] | None, typer.Option("--delete", metavar="KEY", help="A tag to remove.")
    ] = None,
) -> None:
    """Show or change the tags of a model or a version; other tags stay."""
    named = Named.of(what)
    changes = _changes(tags or (), delete or ())
    shown: Model | Version
    with session.client() as client:
        if named.version is None:
            shown = (
                client.update_model(named.model, tags=changes)
                if changes
                else client.model(named.model)
            )
        else:
            shown = (
                client.update_version(named.model, named.version, tags=changes)
                if changes
                else client.version(named.model, named.version)
            )
    if session.as_json:
        session.emit(shown.raw)
    elif shown.tags:
        session.out.print(render.tags(shown.tags))
    else:
        session.note(f"{what} has no tags: nereid tag {what} team=vision")


@command("archive", "nereid archive digits:2", "nereid archive digits:2 --reason superseded")
def archive(session: Session, version: VersionArgument, reason: ReasonOption = "") -> None:
    """Take a version out of use; it stays with its file and figures.

    Exits 1 when it serves or an alias points to it, and says where. `nereid unarchive` brings it
    back.
    """
    model, number = Named.version_of(version)
    with session.client() as client:
        found = client.archive_version(model, number, reason)
    if session.as_json:
        session.emit(found.raw)
        return
    name = f"{found.model}:{found.number}"
    session.success(Text.assemble((name, "bold"), f" is archived: {found.state_reason}"))
    session.note(f"the way back: nereid unarchive {name}")


@command("unarchive", "nereid unarchive digits:2", "nereid unarchive digits:2 --no-wait")
def unarchive(
    session: Session,
    version: VersionArgument,
    reason: ReasonOption = "",
    wait: WaitOption = True,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait at most.")] = 120,
) -> None:
    """Bring an archived version back: it is checked anew, as after an upload.

    Exits 1 when the server rejects it this time, and says why.
    """
    model, number = Named.version_of(version)
    with session.client() as client:
        found = client.unarchive_version(model, number, reason)
        if wait:
            with session.err.status(Text(f"checking {found.model}:{found.number}")):
                found = client.wait_version_ready(found.model, found.number, timeout=timeout)
    name = f"{found.model}:{found.number}"
    if session.as_json:
        session.emit(found.raw)
    elif found.state == "rejected":
        session.failure(Text.assemble((name, "bold"), f" was rejected: {found.state_reason}"))
    else:
        session.success(Text.assemble((name, "bold"), f" is {found.state}"))
    if found.state == "rejected":
        raise typer.Exit(REFUSED)


def _changes(tags: Sequence[str], delete: Sequence[str]) -> dict[str, str | None]:
    """A merge patch of tags; a word that is set and removed at once is a mistake."""
    changes: dict[str, str | None] = {}
    for text in tags:
        key, _, value = text.partition("=")
        if not key:
            raise typer.BadParameter(f"{text!r} is not KEY or KEY=VALUE")
        changes[key] = value
    if both := sorted(changes.keys() & set(delete)):
        raise typer.BadParameter(f"{', '.join(both)}: set or removed, not both")
    return changes | dict.fromkeys(delete)
