"""The commit that the working directory stands at, as provenance."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

_TIMEOUT_S = 5.0


def commit_of(folder: Path | None = None) -> dict[str, str | bool]:
    """`git_commit`, and `git_dirty` where a tracked file was changed since; empty without git.

    Whatever keeps git from telling (none installed, no repository, one of somebody else's, a first
    commit that is missing) is no reason to fail a push.
    """
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if commit is None or not re.fullmatch(r"[0-9a-f]{40,64}", commit):
        return {}
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"git_commit": commit} | ({"git_dirty": True} if changed else {})


def _git(folder: Path | None, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments],  # noqa: S607 - git is the user's own, found as their shell does
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
