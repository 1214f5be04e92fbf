"""Which server may be sent what: the part of the configuration that changes with the fleet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HTTP, GRPC = "http", "grpc"
SUBSET_KEY = "model"
"""A request's model name, and what a server says of itself: the two are matched."""

ASSIGNMENT = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"


@dataclass(frozen=True, order=True)
class Address:
    """An IP address and a port: a proxy that is told addresses resolves no names."""

    ip: str
    port: int


@dataclass(frozen=True)
class KnownServer:
    """A server as it registered: its addresses are `host:port`."""

    name: str
    http: str
    grpc: str
    gate: str
    routes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class EdgeServer:
    """A server, where its two protocols and its node's gate are, and which endpoints it routes."""

    name: str
    http: Address
    grpc: Address
    gate: Address
    routes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class EdgeFleet:
    """All servers that the edge may send to."""

    servers: tuple[EdgeServer, ...] = ()

    def partly_placed(self) -> frozenset[str]:
        """Endpoints that some servers route and others do not: only these need looking at."""
        everything = [server.routes for server in self.servers]
        if not everything:
            return frozenset()
        return frozenset.union(*everything) - frozenset.intersection(*everything)


def assignments(fleet: EdgeFleet, protocol: str) -> dict[str, Any]:
    """The servers of one protocol, each with the partly placed endpoints that it routes.

    A name that no server has is sent to any of them, and Triton says that it does not know it.
    """
    partly = fleet.partly_placed()
    return {
        "@type": ASSIGNMENT,
        "cluster_name": protocol,
        "endpoints": [
            {
                "lb_endpoints": [
                    _endpoint(server, getattr(server, protocol), server.routes & partly)
                    for server in sorted(fleet.servers, key=lambda one: one.name)
                ]
            }
        ],
    }


def _endpoint(server: EdgeServer, address: Address, routes: frozenset[str]) -> dict[str, Any]:
    check: dict[str, Any] = {"port_value": server.gate.port}
    if server.gate.ip != address.ip:
        check["address"] = _socket(server.gate)
    found: dict[str, Any] = {
        "endpoint": {
            "address": _socket(address),
            "hostname": server.name,
            "health_check_config": check,
        }
    }
    if routes:
        found["metadata"] = _subset({SUBSET_KEY: sorted(routes)})
    return found


def _subset(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"filter_metadata": {"envoy.lb": dict(values)}}


def _socket(address: Address) -> dict[str, Any]:
    return {"socket_address": {"address": address.ip, "port_value": address.port}}
