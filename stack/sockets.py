"""Where a Unix socket can live: the kernel allows 107 bytes for its whole path."""

import hashlib
import os
import stat
import tempfile
from pathlib import Path

LONGEST_PATH = 107


def socket_folder(wanted: Path, socket_name: str) -> Path:
    """`wanted`, or a short private folder of our own when the socket's path would be too long."""
    wanted = wanted.absolute()
    if len(os.fsencode(wanted / socket_name)) <= LONGEST_PATH:
        wanted.mkdir(parents=True, exist_ok=True)
        return wanted
    digest = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"nereid-{digest}"
    if len(os.fsencode(short / socket_name)) > LONGEST_PATH:
        short = Path("/tmp") / f"nereid-{digest}"  # noqa: S108 - its owner and mode are checked
    short.mkdir(mode=0o700, exist_ok=True)
    status = short.lstat()
    # The name can be guessed, so somebody else may have put a folder or a link there first.
    ours = {os.geteuid()} if os.geteuid() else None
    if not stat.S_ISDIR(status.st_mode) or (ours is not None and status.st_uid not in ours):
        raise PermissionError(f"{short} belongs to somebody else; remove it or set TMPDIR")
    short.chmod(0o700)
    return short
