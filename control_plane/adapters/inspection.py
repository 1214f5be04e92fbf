"""`ports.inspection.ModelInspector` that reads every file in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from control_plane.domain.signature import Signature
from control_plane.ports.inspection import InvalidModelError

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
            raise InvalidModelError(f"reading the file took over {TIMEOUT_S:.0f} s") from error
        if process.returncode != 0:
            last = process.stderr.strip().splitlines()[-1:] or ["no message"]
            raise InvalidModelError(f"the file broke its reader: {last[0]}")
        result: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
        if "refused" in result:
            raise InvalidModelError(result["refused"])
        return result
