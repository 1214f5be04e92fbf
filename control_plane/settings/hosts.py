"""Which host names the control plane answers to."""

from __future__ import annotations

import socket
from collections.abc import Mapping

import psutil

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def allowed_hosts(environment: Mapping[str, str]) -> list[str]:
    """Django's ALLOWED_HOSTS: what `NEREID_ALLOWED_HOSTS` says, else this machine's own names.

    A control plane bound to other addresses than loopback (`NEREID_BIND`) is reached by the
    machine's name and addresses too; names in front of it, such as a proxy's, have to be said.
    """
    if said := environment.get("NEREID_ALLOWED_HOSTS"):
        return [host.strip() for host in said.split(",") if host.strip()]
    if environment.get("NEREID_BIND", "127.0.0.1") in ("127.0.0.1", "localhost", "::1"):
        return list(LOOPBACK)
    addresses = {
        address.address.partition("%")[0]
        for interface in psutil.net_if_addrs().values()
        for address in interface
        if address.family in (socket.AF_INET, socket.AF_INET6)
    }
    bracketed = {f"[{address}]" if ":" in address else address for address in addresses}
    return sorted({*LOOPBACK, socket.gethostname(), *bracketed})
