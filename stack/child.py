"""Start one command so that it does not outlive whoever started it.

The supervisor runs this file, not the command itself: `python -I -S child.py <parent> <signal>
<uid> <gid> <command...>`. It drops privileges, asks the kernel for `signal` when the parent dies,
and becomes the command. This order matters: the kernel forgets the request when the user changes.

The kernel watches the *thread* that forked, so children are started from a thread that lives as
long as they shall (the main thread here). A `preexec_fn` would run Python between fork and exec of
a process with threads, which can deadlock; a fresh interpreter of 15 ms cannot.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
KEEP = "-"


def tied(
    command: Sequence[str | os.PathLike[str]],
    *,
    death_signal: signal.Signals = signal.SIGTERM,
    user: tuple[int, int] | None = None,
) -> list[str]:
    """The argument list that runs `command` tied to this process, as (uid, gid) if given."""
    uid, gid = (str(user[0]), str(user[1])) if user else (KEEP, KEEP)
    prefix = [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(death_signal))]
    return [*prefix, uid, gid, *(os.fspath(part) for part in command)]


def become(arguments: list[str]) -> None:
    parent, death_signal, uid, gid, *command = arguments
    if uid != KEEP:
        os.setgroups([int(gid)])
        os.setgid(int(gid))
        os.setuid(int(uid))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        sys.exit(f"prctl(PR_SET_PDEATHSIG): {os.strerror(ctypes.get_errno())}")
    if os.getppid() != int(parent):
        sys.exit("the process that started this one is gone")
    try:
        os.execvp(command[0], command)  # noqa: S606 - becoming the command is the purpose
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    become(sys.argv[1:])
