"""What a proxy says of itself, read from the answers of its administration. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from control_plane.domain.edge.fleet import GRPC, HTTP

PROTOCOLS = (HTTP, GRPC)
TAKEN = {
    **{f"endpoints-{one}.json": f"cluster.{one}" for one in PROTOCOLS},
    "clusters.json": "cluster_manager.cds",
    **{f"routes-{one}.json": f"http.{one}.rds.{one}" for one in PROTOCOLS},
    "listeners.json": "listener_manager.lds",
}
"""Each file that is read again, and whose statistics say which version of it is in use."""

WHY_NOT = {
    "failed_active_health_check": "its gate is closed, or nobody answers there",
    "active_hc_timeout": "its gate does not answer",
    "failed_outlier_check": "connections to it broke a moment ago",
    "pending_active_hc": "its gate was not asked yet",
}
"""Envoy's marks of a host, the one that says more behind."""


@dataclass(frozen=True)
class EdgeSight:
    """How a proxy is.

    Attributes:
        live: it answers, and has read everything.
        listeners: where it takes requests, by protocol.
        behind: files whose newest version it has not taken up.
        servers: by name, and there by protocol, why nothing is sent to one; empty: it is sent to.
    """

    live: bool
    listeners: Mapping[str, str] = field(default_factory=dict)
    behind: tuple[str, ...] = ()
    servers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "live": self.live,
            "listeners": dict(self.listeners),
            "behind": list(self.behind),
            "servers": {name: dict(said) for name, said in self.servers.items()},
        }


AWAY = EdgeSight(live=False)


def versions_of(files: Mapping[str, str]) -> dict[str, str]:
    """The version of each file that a proxy says which one of it is in use."""
    return {name: json.loads(files[name])["version_info"] for name in TAKEN if name in files}


def sight(
    *,
    ready: bytes,
    listeners: Mapping[str, Any],
    clusters: Mapping[str, Any],
    stats: Mapping[str, Any],
    written: Mapping[str, str],
) -> EdgeSight:
    """How a proxy is, by what `/ready`, `/listeners`, `/clusters` and `/stats` answer.

    Args:
        written: the version of each file as it was written last.
    """
    in_use = {str(one["name"]): one.get("value") for one in stats.get("stats", []) if "name" in one}
    return EdgeSight(
        live=ready == b"LIVE\n",
        listeners=_listening(listeners),
        behind=tuple(
            name
            for name, version in written.items()
            if in_use.get(f"{TAKEN[name]}.version_text") != version
        ),
        servers=_servers(clusters),
    )


def sends_to(seen: EdgeSight) -> set[str]:
    """The servers that it sends requests to, over both protocols."""
    return {
        name for name, said in seen.servers.items() if all(said.get(one) == "" for one in PROTOCOLS)
    }


def _listening(said: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for one in said.get("listener_statuses", []):
        address = one["local_address"]["socket_address"]
        found[str(one["name"])] = f"{address['address']}:{address['port_value']}"
    return found


def _servers(said: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for cluster in said.get("cluster_statuses", []):
        for host in cluster.get("host_statuses", []):
            whys = found.setdefault(str(host["hostname"]), {})
            whys[str(cluster["name"])] = _why_not(host.get("health_status", {}))
    return found


def _why_not(marks: Mapping[str, Any]) -> str:
    if marks == {"eds_health_status": "HEALTHY"}:
        return ""
    for mark in reversed(WHY_NOT):
        if marks.get(mark):
            return WHY_NOT[mark]
    return "it is being left"
