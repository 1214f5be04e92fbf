"""Ports: one that nobody listens on, and those that are taken, named with the way out."""

import errno
import random
import socket
from collections.abc import Mapping

import psutil

# Below the range that the kernel hands to outgoing connections, so that nobody's client takes
# the port while a server restarts.
PORTS = range(18000, 32000)


class PortError(RuntimeError):
    """A port that we need is not to be had."""


def free_port(host: str = "127.0.0.1") -> int:
    """A port of `host` that can be bound now. Raises PortError where there is none."""
    for port in random.sample(PORTS, 200):
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise PortError(f"no free port between {PORTS.start} and {PORTS.stop - 1}")


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


def can_be_bound(bind: str, port: int) -> bool:
    """Whether a server of ours could listen there now."""
    return 0 < port < 65536 and _problem(bind, port) is None


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
