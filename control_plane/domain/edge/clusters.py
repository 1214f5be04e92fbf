"""How the edge chooses among servers, and when it stops sending to one."""

from __future__ import annotations

from typing import Any

from control_plane.domain.edge.fleet import GRPC, HTTP, SUBSET_KEY
from control_plane.domain.edge.options import EdgeOptions

CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
HTTP_OPTIONS = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

LOOK_S = 1
"""Between two looks at a gate: well below the 15 s that an endpoint waits before it leaves."""

SLOW_START_S = 10
RETRIES_AT_ONCE = 1000
"""With Envoy's own 3, a server that is killed under load fails its callers."""


def clusters(options: EdgeOptions) -> list[dict[str, Any]]:
    """One cluster for each protocol."""
    return [_cluster(options, HTTP), _cluster(options, GRPC)]


def _cluster(options: EdgeOptions, protocol: str) -> dict[str, Any]:
    return {
        "@type": CLUSTER,
        "name": protocol,
        "type": "EDS",
        "eds_cluster_config": {
            "service_name": protocol,
            "eds_config": file_source(options, f"endpoints-{protocol}.json"),
        },
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "least_request_lb_config": {
            "choice_count": 2,
            # One that comes back is cold: its share grows.
            "slow_start_config": {"slow_start_window": f"{SLOW_START_S}s"},
        },
        "lb_subset_config": {
            "fallback_policy": "ANY_ENDPOINT",
            "subset_selectors": [{"keys": [SUBSET_KEY]}],
            "list_as_any": True,
        },
        # With every gate shut all are asked: they may serve, and otherwise say that they do not.
        "common_lb_config": {"healthy_panic_threshold": {"value": 1}},
        # Who was removed from the fleet is left at once, whatever its gate says.
        "ignore_health_on_host_removal": True,
        "health_checks": [_gate_check()],
        "outlier_detection": _outliers(),
        "circuit_breakers": _thresholds(options),
        "per_connection_buffer_limit_bytes": options.limits.body_bytes,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": HTTP_OPTIONS,
                "explicit_http_config": _spoken(options, protocol),
            }
        },
    }


def file_source(options: EdgeOptions, name: str) -> dict[str, Any]:
    """A file that is read again whenever another one is renamed over it."""
    path = {"path": options.path(name), "watched_directory": {"path": options.folder}}
    return {"path_config_source": path, "resource_api_version": "V3"}


def window(options: EdgeOptions) -> dict[str, Any]:
    """HTTP/2 with windows that the largest message fits in."""
    size = max(options.limits.body_bytes, 65_535)
    return {"initial_stream_window_size": size, "initial_connection_window_size": size}


def _spoken(options: EdgeOptions, protocol: str) -> dict[str, Any]:
    if protocol == GRPC:
        return {"http2_protocol_options": window(options)}
    return {"http_protocol_options": {}}


def _gate_check() -> dict[str, Any]:
    return {
        "timeout": "2s",
        "interval": f"{LOOK_S}s",
        # Also where nobody calls; Envoy's own is a minute.
        "no_traffic_interval": f"{LOOK_S}s",
        # An answer that says no counts at once; two that did not come say that it is away.
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "reuse_connection": False,  # the gate gives one answer to a connection
        "http_health_check": {"path": "/ready"},
    }


def _outliers() -> dict[str, Any]:
    """By connections alone: what a model answers is the router's business, inside Triton.

    A version that fails is the same on every server, and must not take them all away.
    """
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 3,
        "enforcing_consecutive_local_origin_failure": 100,
        "enforcing_local_origin_success_rate": 0,
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
        "interval": "1s",
        "base_ejection_time": "2s",
        "max_ejection_time": "30s",
        "max_ejection_percent": 50,
    }


def _thresholds(options: EdgeOptions) -> dict[str, Any]:
    most = options.limits.at_once
    threshold = {
        "max_connections": most,
        "max_pending_requests": most,
        "max_requests": most,
        "max_retries": RETRIES_AT_ONCE,
    }
    return {"thresholds": [threshold]}
