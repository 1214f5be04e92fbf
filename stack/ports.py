"""A taken port is found before anything starts, and named together with the way out."""

import errno
import socket
from collections.abc import Mapping

import psutil


class PortError(RuntimeError):
    """A port that we need is not to be had."""


def require_free(bind: str, ports: Mapping[str, int]) -> None:
    """Raise PortError that lists every port of `ports` (by variable) that cannot be bound."""
    problems: list[str] = []
    seen: dict[int, str] = {}
    for variable, port in ports.items():
        if port in seen:
            problems.append(f"{variable} and {seen[port]} are both {port}; each needs its own")
            continue
        seen[port] = variable
        problem = _problem(bind, port)
        if problem:
            problems.append(f"port {port} {problem}; set {variable} to another one")
    if problems:
        raise PortError("\n".join(problems))


def _problem(bind: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family) as probe:
        # As servers do: a port whose last connections linger in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"is taken{_holder(port)}"
            if error.errno == errno.EADDRNOTAVAIL:
                return f"cannot be bound: NEREID_BIND={bind} is no address of this machine"
            return f"cannot be bound ({error.strerror})"
    return None


def _holder(port: int) -> str:
    try:
        for link in psutil.net_connections(kind="tcp"):
            if link.status == psutil.CONN_LISTEN and link.laddr.port == port and link.pid:
                return f" by {psutil.Process(link.pid).name()} (pid {link.pid})"
    except psutil.Error:
        pass  # another user's process: the system keeps it from us
    return ""
