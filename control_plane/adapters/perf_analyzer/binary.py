"""The program itself, wherever it can be had.

The newest wheels carry one that needs glibc 2.38. Older systems get the one from the wheel
`tritonclient` 2.51.0, unpacked beside our own state, with the two libraries it wants linked
from the Triton wheel.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

from control_plane.adapters.wheel_programs import WheelMissingError, fetch_program
from control_plane.ports.load import LoadGeneratorMissingError

WHEEL = "tritonclient==2.51.0"
MEMBER = "tritonclient-2.51.0.data/data/bin/perf_analyzer"
LIBRARIES = {"libb64.so.0d": "libb64-*.so*", "libcudart.so.12": "libcudart-*.so*"}
CHECKOUT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class PerfAnalyzer:
    """A perf_analyzer that runs on this machine."""

    binary: Path
    libraries: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The caller's environment with the libraries it needs."""
        if self.libraries is None:
            return dict(os.environ)
        paths = [str(self.libraries), os.environ.get("LD_LIBRARY_PATH", "")]
        return {**os.environ, "LD_LIBRARY_PATH": ":".join(p for p in paths if p)}

    def run(self, *arguments: str, timeout_s: float = 600.0) -> subprocess.CompletedProcess[str]:
        """Runs it to its end; its output is text."""
        return subprocess.run(
            [str(self.binary), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def works(self) -> bool:
        """True when it starts on this machine at all."""
        try:
            return "sage" in "".join(self._help())
        except OSError:
            return False

    def _help(self) -> tuple[str, str]:
        done = self.run("--help", timeout_s=30)
        return done.stdout, done.stderr


def find(tools: Path | None = None) -> PerfAnalyzer:
    """One that works: the environment's own, that on PATH, or the older wheel's, fetched once.

    Args:
        tools: where a fetched one is kept; None: NEREID_TOOLS, else the checkout's build folder.

    Raises:
        LoadGeneratorMissingError: with what was tried.
    """
    tried = [str(Path(sysconfig.get_path("scripts")) / "perf_analyzer"), _on_path()]
    for place in tried:
        own = PerfAnalyzer(Path(place))
        if place and own.binary.exists() and own.works():
            return own
    home = Path(os.environ.get("NEREID_TOOLS") or CHECKOUT / "build" / "tools")
    folder = (tools or home) / "perf_analyzer"
    fetched = PerfAnalyzer(folder / "perf_analyzer", folder / "lib")
    if not fetched.binary.exists():
        _fetch(folder)
    if not fetched.works():
        raise LoadGeneratorMissingError(f"{fetched.binary} does not start on this machine")
    return fetched


def _on_path() -> str:
    return shutil.which("perf_analyzer") or ""


def _fetch(folder: Path) -> None:
    """Unpacks the older wheel's binary; the folder appears whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
        fresh = Path(draft) / "fresh"
        (fresh / "lib").mkdir(parents=True)
        try:
            fetch_program(WHEEL, MEMBER, fresh / "perf_analyzer")
        except WheelMissingError as error:
            raise LoadGeneratorMissingError(str(error)) from None
        shipped = Path(sysconfig.get_path("purelib")) / "nvidia_pytriton.libs"
        for name, pattern in LIBRARIES.items():
            found = next(shipped.glob(pattern), None)
            if found is not None:
                (fresh / "lib" / name).symlink_to(found)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
