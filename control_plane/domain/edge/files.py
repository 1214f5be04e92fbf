"""All files of the edge: what it starts with, and what it reads again when it is replaced."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from control_plane.domain.edge.clusters import clusters, file_source
from control_plane.domain.edge.filters import ACCESS_FILE, listed_tokens
from control_plane.domain.edge.fleet import GRPC, HTTP, EdgeFleet, assignments
from control_plane.domain.edge.listeners import listeners, secret
from control_plane.domain.edge.options import EdgeOptions, Tokens
from control_plane.domain.edge.routes import grpc_routes, http_routes

BOOTSTRAP = "bootstrap.json"
DESCRIPTORS = "inference.pb"
"""The protocol's messages, compiled: what reads names in them needs it; whoever writes has it."""

CONNECTIONS_MONITOR = "envoy.resource_monitors.global_downstream_max_connections"


def edge_files(options: EdgeOptions, fleet: EdgeFleet) -> dict[str, str]:
    """The content of each file by its name, in the order that they have to be written in.

    The same fleet gives the same text. A change of the fleet changes the endpoints, and the routes
    of gRPC when the first endpoint is placed on some servers only; listeners and clusters stay,
    so no connection is closed by it.
    """
    found: dict[str, dict[str, Any]] = {
        f"endpoints-{HTTP}.json": _resources(assignments(fleet, HTTP)),
        f"endpoints-{GRPC}.json": _resources(assignments(fleet, GRPC)),
        "clusters.json": _resources(*clusters(options)),
        f"routes-{HTTP}.json": _resources(http_routes(options)),
        f"routes-{GRPC}.json": _resources(
            grpc_routes(options, reads_names=bool(fleet.partly_placed()))
        ),
    }
    if options.tls:
        found["secrets.json"] = _resources(secret(options.tls))
    if isinstance(options.access, Tokens):
        found[ACCESS_FILE] = _resources(listed_tokens(options.access))
    found["listeners.json"] = _resources(*listeners(options))
    found[BOOTSTRAP] = _bootstrap(options)
    return {name: json.dumps(content, indent=1) + "\n" for name, content in found.items()}


def _resources(*resources: dict[str, Any]) -> dict[str, Any]:
    """The version is of the content: the proxy says which one it has in use (`sight`)."""
    text = json.dumps(resources, sort_keys=True)
    return {
        "version_info": hashlib.sha256(text.encode()).hexdigest()[:12],
        "resources": list(resources),
    }


def _bootstrap(options: EdgeOptions) -> dict[str, Any]:
    return {
        "node": {"id": "nereid-edge", "cluster": "nereid"},
        # A socket in a folder of its own: whoever may open it may do everything.
        "admin": {"address": {"pipe": {"path": options.admin, "mode": 0o600}}},
        "dynamic_resources": {
            "lds_config": file_source(options, "listeners.json"),
            "cds_config": file_source(options, "clusters.json"),
        },
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": CONNECTIONS_MONITOR,
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.resource_monitors."
                        "downstream_connections.v3.DownstreamConnectionsConfig",
                        "max_active_downstream_connections": options.limits.connections,
                    },
                }
            ]
        },
    }
