"""`ports.inspection.ModelInspector` that reads every file in a fresh process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from control_plane.domain.signature import Signature
from control_plane.ports.inspection import InspectionFailedError, InvalidModelError

TIMEOUT_S = 180.0

CHECKOUT = Path(__file__).resolve().parents[2]

# Only these reach the process: it has no business with our secrets.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV", "HOME", "TMPDIR")


class SubprocessInspector:
    """Runs `control_plane.adapters.onnx_file` on one file at a time."""

    def signature(self, path: Path, framework: str) -> Signature:
        return Signature.from_document(self._run("signature", path, framework))

    def check_loads(self, path: Path, framework: str) -> None:
        self._run("load", path, framework)

    def _run(self, what: str, path: Path, framework: str) -> dict[str, Any]:
        if framework != "onnx":
            raise InvalidModelError(f"the framework {framework!r} cannot be served yet")
        command = [sys.executable, "-m", "control_plane.adapters.onnx_file", what, str(path)]
        environment = {k: v for k, v in os.environ.items() if k in _ENVIRONMENT}
        try:
            process = subprocess.run(
                command,
                cwd=CHECKOUT,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise InspectionFailedError(f"reading the file took over {TIMEOUT_S:.0f} s") from error
        if process.returncode != 0:
            raise InspectionFailedError(f"the file broke its reader: {_last_words(process)}")
        try:
            result: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
        except (ValueError, IndexError, RecursionError) as error:
            raise InspectionFailedError(f"its reader said nothing: {error}") from error
        if "refused" in result:
            raise InvalidModelError(result["refused"])
        return result


def _last_words(process: subprocess.CompletedProcess[str]) -> str:
    if process.returncode < 0:
        return f"ended by {signal.Signals(-process.returncode).name}"
    return (process.stderr.strip().splitlines()[-1:] or ["no message"])[0][:500]
