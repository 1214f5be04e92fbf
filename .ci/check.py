"""`make check`: all static checks, side by side, the quickest answer first.

Each check's output is shown only when it fails. The two migration checks need a database: a
throw-away PostgreSQL serves them.
"""

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(sys.executable).parent
sys.path.insert(0, str(CHECKOUT))

from stack.postgres import EmbeddedPostgres  # noqa: E402 - found only with the line above


@dataclass(frozen=True)
class Check:
    name: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    check: Check
    passed: bool
    output: str
    seconds: float


def checks() -> list[Check]:
    """In the order of starting: the longest first, so that the others fill the gaps."""
    python = sys.executable
    ruff = str(PROGRAMS / "ruff")
    # Django's checks would ask tables that the empty database does not have.
    only_look = ("--check", "--dry-run", "--skip-checks")
    return [
        Check("types", (str(PROGRAMS / "mypy"), "control_plane", "workers", "stack", "nereid")),
        Check("lint", (ruff, "check", "--quiet", ".")),
        Check("format", (ruff, "format", "--check", "--quiet", ".")),
        Check("imports", (str(PROGRAMS / "lint-imports"), "--no-logo")),
        Check("migrations", (python, "manage.py", "makemigrations", *only_look)),
        Check("telemetry", (python, "-m", "control_plane.telemetry.migrate", "--check")),
    ]


def run(check: Check, environment: dict[str, str]) -> Outcome:
    began = time.monotonic()
    result = subprocess.run(
        check.command,
        cwd=CHECKOUT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - began
    return Outcome(check, result.returncode == 0, result.stdout.strip(), seconds)


def main() -> int:
    began = time.monotonic()
    failed: list[Outcome] = []
    with (
        tempfile.TemporaryDirectory(prefix="nereid-check-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres", durable=False) as postgres,
        ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2)) as pool,
    ):
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("NEREID_")},
            "NEREID_HOME": folder,
            "NEREID_SECRET_KEY": "only for the checks",
            "DATABASE_URL": postgres.url,
            "PYTHONPATH": str(CHECKOUT),
        }
        running = [pool.submit(run, check, environment) for check in checks()]
        for future in as_completed(running):
            outcome = future.result()
            word = "ok    " if outcome.passed else "FAILED"
            print(f"  {word} {outcome.check.name:<12}{outcome.seconds:5.1f} s", flush=True)
            if not outcome.passed:
                failed.append(outcome)
    for outcome in failed:
        print(f"\n--- {outcome.check.name}: {' '.join(outcome.check.command)}\n{outcome.output}")
    print(f"\n{len(failed)} failed" if failed else "all passed", end="")
    print(f" in {time.monotonic() - began:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
