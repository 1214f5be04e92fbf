"""What this machine remembers of uploads that are not finished, so that they go on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

_UPLOAD = re.compile(r"[0-9a-f-]{36}")


def state_folder(env: Mapping[str, str] | None = None) -> Path:
    """`$XDG_STATE_HOME/nereid/uploads`, by default `~/.local/state/nereid/uploads`."""
    env = os.environ if env is None else env
    home = env.get("HOME") or str(Path.home())
    base = env.get("XDG_STATE_HOME") or str(Path(home) / ".local" / "state")
    return Path(base) / "nereid" / "uploads"


class Unfinished:
    """Where one file goes to one model: known by its content, so that a renamed file goes on."""

    def __init__(self, model: str, sha256: str, folder: Path | None = None) -> None:
        name = hashlib.sha256(f"{model}\n{sha256}".encode()).hexdigest()[:32]
        self._path = (folder or state_folder()) / f"{name}.json"

    def find(self) -> str | None:
        """The upload that was begun, or None."""
        try:
            upload = str(json.loads(self._path.read_text())["upload"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return upload if _UPLOAD.fullmatch(upload) else None

    def keep(self, upload: str) -> None:
        """Remembers it; a machine where that cannot be sends all the same."""
        draft = self._path.with_suffix(f".{os.getpid()}.draft")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft.write_text(json.dumps({"upload": upload}))
            draft.replace(self._path)

    def forget(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
