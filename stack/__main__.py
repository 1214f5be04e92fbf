"""The command line of the embedded stack: serve it, look at it, keep it, lead it on."""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table
from rich.text import Text

from control_plane.adapters.machines import hardware_names, server_names
from stack import lock, stackfile
from stack.first_prediction import SampleChoice
from stack.logs import Show
from stack.settings import CHECKOUT, SettingsError, StackSettings, load
from stack.terminal import Terminal

PAGE_WIDTH = 120  # of output that goes to a file or a pipe
DESCRIPTION = "Run Nereid on this machine: PostgreSQL, broker, Triton, control plane and workers."
ENVIRONMENT = """\
environment:
  NEREID_HOME                  where the state is kept (.nereid in the checkout)
  NEREID_BIND                  the address to listen on (127.0.0.1)
  NEREID_HTTP_PORT             console and API (8080)
  NEREID_TRITON_HTTP_PORT, NEREID_TRITON_GRPC_PORT, NEREID_TRITON_METRICS_PORT
                               Triton (8000, 8001, 8002)
  NEREID_NODE_PORT             where the node says whether Triton may be sent requests (8003)
  NEREID_SERVERS               how many Tritons, each with its node (1); the ports of the second lie
                               10 above those of the first, or NEREID_TRITON_HTTP_PORT_2 etc. say
                               where; NEREID_SERVER_LABELS, NEREID_SERVER_LABELS_2: key=value,…
  NEREID_EDGE_HTTP_PORT, NEREID_EDGE_GRPC_PORT
                               where Envoy listens with --edge (8500, 8501); docs/edge.md has more
  NEREID_MODEL_REPOSITORY      what Triton reads
  NEREID_SERVER_CONFIG, NEREID_HARDWARE
                               files of triton_configs/server and …/hardware
  DATABASE_URL, CELERY_BROKER_URL, NEREID_TRITON_URL
                               an outside PostgreSQL, broker or Triton; it is then not started here
"""


def main() -> int:
    arguments = _parser().parse_args()
    try:
        settings = load(_chosen(arguments))
    except SettingsError as error:
        return _refuse(error, 2)
    if arguments.command == "status":
        return status(settings, as_json=arguments.json)
    if arguments.command == "env":
        return env(settings)
    if arguments.command in ("backup", "restore"):
        return _kept(settings, arguments)
    if arguments.command == "upgrade":
        return _upgrade(settings)
    if arguments.command == "roll-tritons":
        return _roll(settings, arguments)
    if arguments.command == "manage":
        return manage(settings, arguments.arguments)
    return _serve(settings, arguments)


def _chosen(arguments: argparse.Namespace) -> dict[str, str]:
    """The environment, with what the command line says instead."""
    said = {
        "NEREID_SERVER_CONFIG": getattr(arguments, "server", None),
        "NEREID_HARDWARE": getattr(arguments, "hardware", None),
        "NEREID_SERVERS": getattr(arguments, "servers", None),
        "NEREID_EDGE": "1" if getattr(arguments, "edge", False) else None,
    }
    return {**os.environ, **{name: value for name, value in said.items() if value}}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stack",
        description=DESCRIPTION,
        epilog=ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    serve = commands.add_parser(
        "serve",
        help="start everything and stay in the foreground; Ctrl-C stops it",
        description=DESCRIPTION,
        epilog=ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _serve_options(serve)
    state = commands.add_parser("status", help="what runs; exit status 1 when nothing does")
    state.add_argument("--json", action="store_true", help="for programs")
    commands.add_parser(
        "env", help='the running stack\'s environment, for a shell: eval "$(python -m stack env)"'
    )
    _backup_options(commands)
    commands.add_parser(
        "upgrade",
        help="lead the running stack to the code that is in the checkout now; Triton goes on",
        description="Migrate the running stack, and start its nodes, workers and API anew, one "
        "after the other. Triton goes on and answers meanwhile. docs/operations.md",
    )
    _roll_options(commands)
    manage = commands.add_parser(
        "manage", help="run manage.py on the running stack, e.g. `manage changepassword admin`"
    )
    manage.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser


def _backup_options(commands: Any) -> None:
    taking = commands.add_parser(
        "backup",
        help="all state into a new folder, while the stack runs or not",
        description="Make FOLDER, which must not be there yet, a backup of all state: database, "
        "artifacts, recordings and keys. The stack may go on meanwhile. docs/operations.md",
    )
    taking.add_argument("folder", metavar="FOLDER", type=Path)
    taking.add_argument(
        "--verify", action="store_true", help="read every file of the backup FOLDER instead"
    )
    taking.add_argument("--without-secrets", action="store_true", help="leave the keys out")
    back = commands.add_parser(
        "restore",
        help="a backup into this home, while nothing runs on it",
        description="Put the backup FOLDER into NEREID_HOME, and migrate it to this version. "
        "Start the stack afterwards. docs/operations.md",
    )
    back.add_argument("folder", metavar="FOLDER", type=Path)
    back.add_argument(
        "--replace", action="store_true", help="in the place of what is there, which is gone then"
    )


def _kept(settings: StackSettings, arguments: argparse.Namespace) -> int:
    # Here, so that the other commands do not pay for its imports.
    from stack import backups

    folder = arguments.folder.absolute()
    try:
        if arguments.command == "restore":
            return backups.restore(settings, folder, replace=arguments.replace)
        said = ("verify", "without_secrets")
        options = [f"--{name.replace('_', '-')}" for name in said if getattr(arguments, name)]
        return backups.backup(settings, [str(folder), *options])
    except (SettingsError, lock.AlreadyRunningError) as error:
        return _refuse(error, 1)


def _upgrade(settings: StackSettings) -> int:
    from stack import upgrading

    try:
        for line in upgrading.ask(settings):
            print(line, flush=True)
    except upgrading.UpgradeError as error:
        rest = "What was not reached runs the old code."
        return _refuse(
            RuntimeError(f"{error}\n{rest} Put the code right (or back), and ask again."), 1
        )
    return 0


def _roll_options(commands: Any) -> None:
    rolling = commands.add_parser(
        "roll-tritons",
        help="start each Triton anew, one after the other; no inference fails",
        description="Drain a server, start its Triton and its node anew (with the binary, router, "
        "backends and flags that are here now), let it in again, and wait for its gate; then the "
        "next. It stops at the first that does not come back. docs/operations.md",
    )
    rolling.add_argument("names", nargs="*", metavar="SERVER", help="only these (default: all)")
    rolling.add_argument(
        "--no-drain",
        action="store_true",
        help="do not empty it first: requests fail while it starts, where no other server is",
    )


def _roll(settings: StackSettings, arguments: argparse.Namespace) -> int:
    from stack import rolling

    try:
        for line in rolling.roll(settings, arguments.names, drains=not arguments.no_drain):
            print(line, flush=True)
    except rolling.RollError as error:
        return _refuse(error, 1)
    return 0


def _serve_options(serve: argparse.ArgumentParser) -> None:
    samples = serve.add_mutually_exclusive_group()
    samples.add_argument(
        "--no-sample",
        dest="samples",
        action="store_const",
        const=SampleChoice.NONE,
        default=SampleChoice.FIRST,
        help="do not deploy the sample model and make a first prediction",
    )
    samples.add_argument(
        "--samples",
        dest="samples",
        action="store_const",
        const=SampleChoice.ALL,
        help="deploy every sample and ask each: pictures and JSON through pipelines, a cascade, a "
        "state over a sequence, a stream, one network in three formats (a minute or two more)",
    )
    serve.add_argument(
        "--servers",
        metavar="COUNT",
        help="how many Tritons to start, each with its node worker (NEREID_SERVERS, or 1)",
    )
    serve.add_argument(
        "--edge",
        action="store_true",
        help="start Envoy in front of the servers (NEREID_EDGE=1): one address for all of them",
    )
    serve.add_argument(
        "--server",
        choices=server_names(),
        help="how Triton is started: triton_configs/server (NEREID_SERVER_CONFIG, or default)",
    )
    serve.add_argument(
        "--hardware",
        choices=hardware_names(),
        help="what models get whose profile is silent: triton_configs/hardware (NEREID_HARDWARE)",
    )
    serve.add_argument(
        "--logs",
        choices=[show.value for show in Show],
        default=Show.IMPORTANT.value,
        help="what of the processes' output to show here; the files under "
        "$NEREID_HOME/logs always have all of it (default: important)",
    )


def _refuse(error: Exception, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code


def _serve(settings: StackSettings, arguments: argparse.Namespace) -> int:
    # Here, so that the other commands do not pay for its imports.
    from stack.ports import PortError
    from stack.serve import serve

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PAGE_WIDTH
    terminal = Terminal(console)
    try:
        return serve(
            settings,
            terminal,
            samples=arguments.samples,
            show=Show(arguments.logs),
        )
    except (PortError, lock.AlreadyRunningError) as error:
        return _refuse(error, 1)
    except KeyboardInterrupt:
        return 130


def status(settings: StackSettings, *, as_json: bool) -> int:
    supervisor = lock.holder(settings.home)
    content = stackfile.read(settings.stack_file) if supervisor is not None else None
    pids: dict[str, int] = content["pids"] if content else {}
    if as_json:
        state = "ready" if content else "starting" if supervisor is not None else "stopped"
        print(json.dumps({"state": state, "supervisor": supervisor, "pids": pids}))
        return 0 if supervisor is not None else 1
    if supervisor is None:
        print(f"nothing runs in {settings.home}; start it with `make serve`")
        return 1
    if content is None:
        print(f"starting (or stopping): supervisor pid {supervisor}")
        return 0
    table = Table("process", "pid", "up for", "memory", title=f"Nereid at {content['api']}")
    for name, pid in pids.items():
        table.add_row(name, str(pid), *_vitals(pid))
    Console().print(table)
    return 0


def _vitals(pid: int) -> tuple[Text, str]:
    try:
        process = psutil.Process(pid)
        seconds = int(time.time() - process.create_time())
        memory = process.memory_info().rss / 2**20
    except psutil.Error:
        return Text("gone", "red"), ""
    hours, rest = divmod(seconds, 3600)
    return Text(f"{hours:d}:{rest // 60:02d}:{rest % 60:02d}"), f"{memory:,.0f} MiB"


def _variables(settings: StackSettings) -> dict[str, str] | None:
    if lock.holder(settings.home) is None:
        return None
    return stackfile.read(settings.environment_file)


def env(settings: StackSettings) -> int:
    variables = _variables(settings)
    if variables is None:
        return _refuse(RuntimeError(f"nothing runs in {settings.home}"), 1)
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def manage(settings: StackSettings, arguments: list[str]) -> int:
    variables = _variables(settings)
    if variables is None:
        return _refuse(RuntimeError(f"nothing runs in {settings.home}"), 1)
    command = [sys.executable, str(CHECKOUT / "manage.py"), *arguments]
    # Not the environment as it came: it may name files of secrets that the variables have.
    environment = {**settings.environment, **variables}
    return subprocess.run(command, cwd=CHECKOUT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
