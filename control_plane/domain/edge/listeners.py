"""Where the edge listens, and what a connection has to look like."""

from __future__ import annotations

from typing import Any

from control_plane.domain.edge.clusters import file_source, window
from control_plane.domain.edge.filters import http_filters
from control_plane.domain.edge.fleet import GRPC, HTTP
from control_plane.domain.edge.options import EdgeOptions, Tls

LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
MANAGER = (
    "type.googleapis.com/"
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
)
TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
CERTIFICATE = "edge"
NOBODY = "0.0.0.0"  # noqa: S104 - compared with, not bound to


def listeners(options: EdgeOptions) -> list[dict[str, Any]]:
    """One for each protocol, as Triton has them."""
    return [
        _listener(options, HTTP, options.http_port),
        _listener(options, GRPC, options.grpc_port),
    ]


def secret(tls: Tls) -> dict[str, Any]:
    """The certificate, read anew when its files are replaced."""
    folder = tls.certificate.rpartition("/")[0] or "/"
    return {
        "@type": f"{TLS}.Secret",
        "name": CERTIFICATE,
        "tls_certificate": {
            "certificate_chain": {"filename": tls.certificate},
            "private_key": {"filename": tls.key},
            "watched_directory": {"path": folder},
        },
    }


def _listener(options: EdgeOptions, protocol: str, port: int) -> dict[str, Any]:
    chain: dict[str, Any] = {
        "filters": [
            {
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": _manager(options, protocol),
            }
        ]
    }
    if options.tls:
        chain["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": _tls(options),
        }
    address = {"address": options.host, "port_value": port}
    return {
        "@type": LISTENER,
        "name": protocol,
        "address": {"socket_address": address},
        "per_connection_buffer_limit_bytes": options.limits.body_bytes,
        "filter_chains": [chain],
    }


def _manager(options: EdgeOptions, protocol: str) -> dict[str, Any]:
    return {
        "@type": MANAGER,
        "stat_prefix": protocol,
        "codec_type": "HTTP2" if protocol == GRPC else "AUTO",
        "rds": {
            "route_config_name": protocol,
            "config_source": file_source(options, f"routes-{protocol}.json"),
        },
        "http_filters": http_filters(options, protocol),
        "http2_protocol_options": {**window(options), "max_concurrent_streams": 1024},
        "use_remote_address": True,
        # Nobody's x-envoy-… headers are obeyed, however near he is: what they say is said here. An
        # empty list would be Envoy's own, of all private networks: this one is nobody's address.
        "internal_address_config": {"cidr_ranges": [{"address_prefix": NOBODY, "prefix_len": 32}]},
        # What Triton gets is what the caller sent: rules and sticky keys may look at x-request-….
        "generate_request_id": False,
        "preserve_external_request_id": True,
        "server_name": "nereid",
        # A path is made plain before it is judged; one that hides slashes is refused.
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "request_headers_timeout": "10s",
        "stream_idle_timeout": f"{options.limits.timeout_s}s",
        "common_http_protocol_options": {
            "idle_timeout": "3600s",
            "headers_with_underscores_action": "ALLOW",
        },
    }


def _tls(options: EdgeOptions) -> dict[str, Any]:
    return {
        "@type": f"{TLS}.DownstreamTlsContext",
        "common_tls_context": {
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificate_sds_secret_configs": [
                {"name": CERTIFICATE, "sds_config": file_source(options, "secrets.json")}
            ],
        },
    }
