"""What each peer needs, in an environment of its own: `.venv/peers/<name>`, pinned."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from rich.console import Console

REQUIREMENTS = Path(__file__).resolve().parent / "requirements"
HOME = Path(__file__).resolve().parents[2] / ".venv" / "peers"


def environment(name: str, console: Console) -> Path:
    """The folder of a peer's programs, installed where it is not there yet.

    Raises:
        subprocess.CalledProcessError: pip could not install it; it said why.
    """
    wanted = hashlib.sha256((REQUIREMENTS / f"{name}.txt").read_bytes()).hexdigest()
    home = HOME / name
    stamp = home / ".installed"
    if not stamp.is_file() or stamp.read_text() != wanted:
        console.print(f"[dim]installing {name} into {home.relative_to(HOME.parents[1])}, once[/]")
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        pip = [str(home / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install"]
        subprocess.run([*pip, "-q", "-r", str(REQUIREMENTS / f"{name}.txt")], check=True)
        stamp.write_text(wanted)
    return home / "bin"


def version(name: str, *, of: str = "") -> str:
    """The pinned version of a peer's own package, or of another one in its environment.

    Raises:
        LookupError: it is not in there.
    """
    file = REQUIREMENTS / f"{of or name}.txt"
    for line in file.read_text().splitlines():
        package, _, pinned = line.partition("==")
        if package == name:
            return pinned
    raise LookupError(f"{name} is not pinned in {file}")
