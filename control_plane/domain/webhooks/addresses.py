"""Where webhooks may go: the URL's form, and which addresses may be connected to.

A webhook makes this server send requests wherever somebody says. What only this server can reach
(itself, the network around it, a cloud's metadata service) must not be reachable by it, unless
an operator allowed it by name or network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import urlsplit

from control_plane.domain.violations import InvalidInputError, Violation

MAX_URL = 2000

_Address = IPv4Address | IPv6Address
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# Relays to IPv4 addresses, which the embedded address would have to be judged by.
_6TO4 = IPv6Network("2002::/16")
_6TO4_RELAYS = IPv4Network("192.88.99.0/24")


@dataclass(frozen=True)
class Allowed:
    """What an operator allows beside the public internet: host names and networks."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, text: str) -> Allowed:
        """Reads `hooks.internal, 10.1.0.0/16, 192.168.7.9`.

        Raises:
            ValueError: an entry is neither a network nor a host name.
        """
        hosts, networks = set(), []
        for entry in (part.strip().lower() for part in text.split(",")):
            if not entry:
                continue
            try:
                networks.append(ip_network(entry))
            except ValueError:
                if "/" in entry or not _is_host(entry):
                    raise ValueError(
                        f"NEREID_WEBHOOK_ALLOW: {entry!r} is neither a host name nor a network "
                        "such as 10.1.0.0/16"
                    ) from None
                hosts.add(entry.rstrip("."))
        return cls(frozenset(hosts), tuple(networks))


def check_url(url: str, allowed: Allowed, where: str = "/url") -> None:
    """Refuses what can be no receiver's URL, whatever its name resolves to.

    Raises:
        InvalidInputError: it is not http(s), has no host, carries a password, a fragment or a
            character that no URL has, or its host is an address that is not allowed.
    """
    if detail := _problem(url, allowed):
        raise InvalidInputError([Violation(where, "url", detail)])


def refusal(host: str, address: str, allowed: Allowed) -> str:
    """Why `host`, which resolved to `address`, must not be connected to; empty: it may be."""
    if host.lower().rstrip(".") in allowed.hosts:
        return ""
    found = _plain(ip_address(address.partition("%")[0]))
    if any(found in network for network in allowed.networks if network.version == found.version):
        return ""
    if _is_public(found):
        return ""
    named = address if host == address else f"{host} is {address}, which"
    return (
        f"{named} is no public address; an operator can allow it with NEREID_WEBHOOK_ALLOW "
        "on the server"
    )


def first_refusal(host: str, addresses: Iterable[str], allowed: Allowed) -> str:
    """The same for all addresses of a host: one that is refused refuses the host."""
    return next(filter(None, (refusal(host, one, allowed) for one in addresses)), "")


def _plain(address: _Address) -> _Address:
    """The IPv4 address that an IPv6 one stands for, where the system would connect to it."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_public(address: _Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, IPv4Address):
        return address not in _6TO4_RELAYS
    # The rest of IPv6 is translation, documentation, or nobody's yet.
    return address in _GLOBAL_UNICAST and address not in _6TO4


def _problem(url: str, allowed: Allowed) -> str:
    if len(url) > MAX_URL:
        return f"{len(url)} characters; at most {MAX_URL} are kept"
    if not url.isascii() or any(
        c.isspace() or not c.isprintable() or c in '\\"<>^`{|}' for c in url
    ):
        return "a URL has ASCII characters and no spaces; write others percent-encoded"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        return f"not a URL: {error}"
    if not url.startswith(("http:", "https:")):  # the table holds no HTTPS:
        return "a webhook goes to https:// (or http://), in small letters"
    if not host or port == 0:
        return "not a URL of a receiver: https://host/path"
    if parts.username is not None or parts.password is not None:
        return "no user or password in the URL: deliveries are signed, check webhook-signature"
    if parts.fragment:
        return "a fragment (#…) is never sent: leave it out"
    return _host_problem(host, allowed)


def _host_problem(host: str, allowed: Allowed) -> str:
    try:
        ip_address(host)
    except ValueError:
        return "" if _is_host(host) else f"{host[:80]!r} is no host name"
    return refusal(host, host, allowed)


def _is_host(text: str) -> bool:
    labels = text.rstrip(".").split(".")
    return len(text) <= 253 and all(
        0 < len(label) <= 63 and label.replace("-", "").replace("_", "").isalnum()
        for label in labels
    )
