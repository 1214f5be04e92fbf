"""What a person sees once everything is up: where things are, and what to try next."""

from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from stack.settings import DEFAULT_HOME, StackSettings

WITH_SAMPLE = (
    ("plan digits digits:1=90 digits:2=10", "what sending a tenth to version 2 would change"),
    ("deploy digits digits:1=90 digits:2=10", "do it; clients notice nothing"),
    ("infer digits --sample digits --count 100", "a hundred requests, and which arm answered"),
)
WITHOUT_SAMPLE = (
    ("servers", "this Triton, and what it holds"),
    ("push --help", "upload a model of your own"),
    ("deploy --help", "and send traffic to it"),
)


@dataclass(frozen=True)
class Admin:
    """The console's administrator; the password is known only when it was just made."""

    username: str
    password: str | None = field(repr=False)
    is_kept: bool  # whether the credentials file has it


def password_hint(admin: Admin, settings: StackSettings, *, to_a_person: bool) -> str:
    """The password itself only on a terminal: what is printed anywhere else is a log."""
    if admin.password and to_a_person:
        return f"{admin.password}  (kept in {settings.credentials_file})"
    if admin.is_kept:
        return f"in {settings.credentials_file}"
    return "not kept; set a new one: python -m stack manage changepassword " + admin.username


def addresses(settings: StackSettings, admin: Admin, *, to_a_person: bool) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    origin = settings.api_origin
    table.add_row("Console", f"{origin}/")
    table.add_row("API docs", f"{origin}/api/docs/")
    table.add_row("Triton HTTP", f"http://{settings.triton_http}")
    table.add_row("Triton gRPC", settings.triton_grpc)
    table.add_row("Triton metrics", settings.triton_metrics)
    for server in settings.servers[1:]:
        table.add_row(server.name, f"http://{server.http}  gRPC {server.grpc}")
    if settings.edge:
        table.add_row("Edge HTTP", settings.edge.http)
        table.add_row("Edge gRPC", settings.edge.grpc)
    gates = ", ".join(f"{server.gate}/ready" for server in settings.servers)
    table.add_row("Gate" if len(settings.servers) == 1 else "Gates", gates)
    table.add_row("Admin user", admin.username)
    table.add_row("Password", password_hint(admin, settings, to_a_person=to_a_person))
    table.add_row("For programs", f"{settings.stack_file}  (addresses and a token)")
    table.add_row("Logs", f"{settings.log_dir}/  (all of it here: make serve ARGS='--logs all')")
    return table


def next_steps(settings: StackSettings, *, with_sample: bool) -> RenderableType:
    elsewhere = settings.home != DEFAULT_HOME
    program = (f"NEREID_HOME={settings.home} " if elsewhere else "") + ".venv/bin/nereid"
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)  # what is there to be copied stays on one line
    table.add_column()
    for arguments, purpose in WITH_SAMPLE if with_sample else WITHOUT_SAMPLE:
        table.add_row(Text(f"{program} {arguments}", "bold cyan"), Text(purpose, "dim"))
    return Group(Text("Try next, in another terminal:"), table)


def banner(
    settings: StackSettings,
    admin: Admin,
    seconds: float,
    sample: RenderableType | None,
    *,
    to_a_person: bool,
) -> RenderableType:
    parts: list[RenderableType] = [
        Text(f"Nereid is ready ({seconds:.1f} s)", "bold green"),
        addresses(settings, admin, to_a_person=to_a_person),
    ]
    if sample is not None:
        parts += [Text(), sample]
    parts += [
        Text(),
        next_steps(settings, with_sample=sample is not None),
        Text("Ctrl-C stops everything.", "dim"),
    ]
    return Padding(Group(*parts), (1, 0))
