"""The command's frame: options that work before and after the subcommand, and exit codes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from nereid.cli.session import DONE, REFUSED, Session
from nereid.errors import NereidError
from nereid.policy import PolicySyntaxError
from nereid.version import __version__

CONTEXT = {"help_option_names": ["-h", "--help"]}
EVERYWHERE = "Options of every command"
ORDER = (
    "models",
    "versions",
    "push",
    "alias",
    "tag",
    "archive",
    "unarchive",
    "endpoints",
    "plan",
    "deploy",
    "rollout",
    "analysis",
    "rollback",
    "kill",
    "feedback",
    "changes",
    "four-eyes",
    "infer",
    "pipelines",
    "profiles",
    "kpis",
    "perf",
    "tune",
    "lint",
    "import",
    "export",
    "servers",
    "audit",
    "tokens",
    "webhooks",
    "users",
    "grants",
    "doctor",
    "login",
    "logout",
)

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON.", rich_help_panel=EVERYWHERE)
]
ApiOption = Annotated[
    str | None,
    typer.Option(
        "--api",
        metavar="URL",
        help="The control plane. [dim]Else NEREID_API, the login, the stack that runs here.[/]",
        rich_help_panel=EVERYWHERE,
    ),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        help="The token. [dim]Better in NEREID_TOKEN: others can see a command line.[/]",
        rich_help_panel=EVERYWHERE,
    ),
]


class InReadingOrder(TyperGroup):
    """Lists the commands in the order in which a newcomer needs them, not as imported."""

    def list_commands(self, ctx: Any) -> list[str]:
        names = super().list_commands(ctx)
        return sorted(names, key=ORDER.index) if ctx.parent is None else names


app = typer.Typer(
    name="nereid",
    cls=InReadingOrder,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nereid {__version__}")
        raise typer.Exit(DONE)


@app.callback(
    epilog="Start here:\n"
    "[cyan]nereid endpoints[/]                      what is served, and how traffic is split\n"
    "[cyan]nereid infer digits --sample digits[/]   ask a model about a picture"
)
def root(
    ctx: typer.Context,
    as_json: JsonOption = False,
    api: ApiOption = None,
    token: TokenOption = None,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Ship model versions to Triton and move traffic between them safely."""
    session = ctx.obj if isinstance(ctx.obj, Session) else Session()
    _apply(session, as_json, api, token)
    ctx.obj = session


def _apply(session: Session, as_json: bool, api: str | None, token: str | None) -> None:
    session.as_json = session.as_json or as_json
    session.api = api or session.api
    session.token = token or session.token


_EVERYWHERE = [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
    for name, default, annotation in (
        ("as_json", False, JsonOption),
        ("api", None, ApiOption),
        ("token", None, TokenOption),
    )
]


def command(
    name: str,
    *examples: str,
    of: typer.Typer = app,
    kind: type[TyperCommand] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register ``function(session, ...)`` as a subcommand that also takes the options that work
    everywhere, with `examples` at the foot of its help; `of` is the group it belongs to."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        words = _unwrapped(function.__doc__ or "")
        of.command(name, cls=kind, help=words, epilog=_foot(examples))(_runnable(function))
        return function

    return register


def group(
    name: str, words: str, *examples: str, kind: type[TyperGroup] | None = None
) -> typer.Typer:
    """A command whose own subcommands are registered with ``command(..., of=it)``."""
    made = typer.Typer(cls=kind, no_args_is_help=True, rich_markup_mode="rich")
    app.add_typer(made, name=name, help=_unwrapped(words), epilog=_foot(examples))
    return made


def listing(
    name: str, *examples: str, kind: type[TyperGroup] | None = None
) -> Callable[[Callable[..., None]], typer.Typer]:
    """`command` for what is a `group` besides: without a subcommand it does this."""

    def register(function: Callable[..., None]) -> typer.Typer:
        made = typer.Typer(cls=kind, rich_markup_mode="rich", context_settings=CONTEXT)
        words = _unwrapped(function.__doc__ or "")
        calls = made.callback(invoke_without_command=True, help=words, epilog=_foot(examples))
        calls(_runnable(function))
        app.add_typer(made, name=name)
        return made

    return register


def _foot(examples: Sequence[str]) -> str:
    return "\n".join(["Examples:", *(f"[cyan]{example}[/]" for example in examples)])


def _runnable(function: Callable[..., None]) -> Callable[..., None]:
    """What Typer calls: the function with its options, and those that work everywhere."""
    signature = inspect.signature(function, eval_str=True)
    _session, *own = signature.parameters.values()

    @functools.wraps(function)
    def run(
        ctx: typer.Context, *, as_json: bool, api: str | None, token: str | None, **own: Any
    ) -> None:
        session: Session = ctx.obj
        _apply(session, as_json, api, token)
        if ctx.invoked_subcommand is not None:
            return
        try:
            function(session, **own)
        except PolicySyntaxError as error:
            raise typer.BadParameter(str(error)) from error

    # Typer reads the options from the signature: ours, in place of the wrapped function's.
    context = inspect.Parameter(
        "ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    keyword = [part.replace(kind=inspect.Parameter.KEYWORD_ONLY) for part in own]
    del run.__wrapped__
    run.__signature__ = inspect.Signature([context, *keyword, *_EVERYWHERE])  # type: ignore[attr-defined]
    run.__annotations__ = {part.name: part.annotation for part in (context, *keyword, *_EVERYWHERE)}
    return run


def _unwrapped(docstring: str) -> str:
    """Paragraphs as one line each: the terminal, not the source file, decides where they break."""
    paragraphs = inspect.cleandoc(docstring).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def run(arguments: Sequence[str], session: Session | None = None) -> int:
    """Run one command and return its exit code."""
    session = session or Session()
    try:
        app(args=list(arguments), obj=session, prog_name="nereid")
    except SystemExit as stop:
        return int(stop.code or DONE)
    except NereidError as error:
        session.report(error)
        return REFUSED
    return DONE
