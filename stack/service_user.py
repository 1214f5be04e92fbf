"""The unprivileged user that PostgreSQL runs as when we are root (it refuses to run as root)."""

import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

NAME = "pgserver"
FALLBACK = "nobody"


@dataclass(frozen=True)
class ServiceUser:
    uid: int
    gid: int

    @property
    def ids(self) -> tuple[int, int]:
        return self.uid, self.gid


def service_user() -> ServiceUser | None:
    """None when we are not root: then the server runs as ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(NAME)
    except KeyError:
        entry = _create()
    return ServiceUser(entry.pw_uid, entry.pw_gid)


def _create() -> pwd.struct_passwd:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        return pwd.getpwnam(FALLBACK)
    command = [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", NAME]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        # Another start may have made it in the meantime, so the entry decides, not the exit code.
        return pwd.getpwnam(NAME)
    except KeyError:
        raise PermissionError(
            f"PostgreSQL does not run as root and useradd {NAME} failed: {result.stderr.strip()}"
        ) from None


def let_reach(path: Path, user: ServiceUser | None) -> list[Path]:
    """Give `user` the right to pass through the folders above `path`; returns those changed.

    Only the search bit, and only where it is missing: the folders stay unlistable.
    """
    changed: list[Path] = []
    if user is None:
        return changed
    for folder in path.resolve().parents:
        status = folder.stat()
        if status.st_uid == user.uid:
            passes = status.st_mode & stat.S_IXUSR
        elif status.st_gid == user.gid:
            passes = status.st_mode & stat.S_IXGRP
        else:
            passes = status.st_mode & stat.S_IXOTH
        if not passes:
            folder.chmod(stat.S_IMODE(status.st_mode) | stat.S_IXOTH)
            changed.append(folder)
    return changed
