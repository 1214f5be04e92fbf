"""Which calls the edge lets through, and which of them it may send twice."""

from __future__ import annotations

from typing import Any

from control_plane.domain.edge.fleet import GRPC, HTTP
from control_plane.domain.edge.options import EdgeOptions

ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
FILTER_CONFIG = "type.googleapis.com/envoy.config.route.v3.FilterConfig"

MODEL_HEADER = "nereid-model"
"""A caller may name its model here; whoever does is spared the look into its message."""

RETRY_HEADER = "nereid-retry"
"""`never`: the request is not sent again once a server may have begun it."""

ACCESS, EXTRACTION, BUFFER = "access", "model-name", "whole-request"

KEY_HEADERS = (
    *("nereid-control", "nereid-shm"),
    *("triton-grpc-protocol-nereid-control", "triton-grpc-protocol-nereid-shm"),
)
"""Who sends one wants what the edge does not offer; the keys do not travel through it."""

NAME = "[^/]+"
HTTP_HEALTH = r"/v2/health/(live|ready)/?"
HTTP_OPEN = (
    rf"/v2/?|/v2/models/stats/?|/v2/models/{NAME}(/versions/[0-9]+)?"
    r"(/(ready|config|stats|infer|generate|generate_stream))?/?"
)
SERVICE = r"/inference\.GRPCInferenceService/"
GRPC_HEALTH = rf"{SERVICE}(ServerLive|ServerReady)|/grpc\.health\.v1\.Health/Check"
GRPC_SERVER = rf"{SERVICE}ServerMetadata"
GRPC_MODEL = rf"{SERVICE}(ModelInfer|ModelReady|ModelMetadata|ModelConfig|ModelStatistics)"
GRPC_STREAM = rf"{SERVICE}ModelStreamInfer"

UNSENT = "connect-failure,refused-stream"
UNKNOWN = "retriable-status-codes,retriable-headers"
ONCE = f"{UNSENT},{UNKNOWN}"
AGAIN = f"{ONCE},reset,unavailable"
STREAM_IDLE_S = 3600


def http_routes(options: EdgeOptions) -> dict[str, Any]:
    """The routes of HTTP. The model's name is in the path."""
    again, once = _retries(AGAIN, 503), _retries(ONCE)
    return _configuration(
        HTTP,
        [
            *_refused_keys(),
            _route(HTTP, HTTP_HEALTH, options, again, off=(ACCESS,)),
            _route(HTTP, HTTP_OPEN, options, once, headers=(_never_again(),)),
            _route(HTTP, HTTP_OPEN, options, again),
            _refusal("this is not offered here"),
        ],
    )


def grpc_routes(options: EdgeOptions, *, reads_names: bool) -> dict[str, Any]:
    """The routes of gRPC, whose messages name the model.

    Args:
        reads_names: whether any endpoint is placed on some servers only: otherwise no message is
            looked into.
    """
    again, once = _retries(AGAIN, 503), _retries(ONCE)
    blind = () if reads_names else (EXTRACTION,)
    named = _present(MODEL_HEADER)
    unary: list[dict[str, Any]] = []
    for headers, off in (((named,), (EXTRACTION,)), ((), blind)):
        never = (*headers, _never_again())
        unary += [
            _route(GRPC, GRPC_MODEL, options, once, headers=never, off=off),
            _route(GRPC, GRPC_MODEL, options, again, headers=headers, off=off),
            # A stream is never whole before it ends, and what was read of it may have been done.
            _route(
                GRPC, GRPC_STREAM, options, _retries(UNSENT), headers=headers, off=(*off, BUFFER)
            ),
        ]
    return _configuration(
        GRPC,
        [
            *_refused_keys(),
            _route(GRPC, GRPC_HEALTH, options, again, off=(ACCESS, EXTRACTION)),
            _route(GRPC, GRPC_SERVER, options, again, off=(EXTRACTION,)),
            *unary,
            _refusal("this is not offered here"),
        ],
    )


def _configuration(name: str, routes: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "@type": ROUTES,
        "name": name,
        "virtual_hosts": [{"name": name, "domains": ["*"], "routes": routes}],
        "request_headers_to_remove": [MODEL_HEADER, RETRY_HEADER],
    }


def _route(
    cluster: str,
    regex: str,
    options: EdgeOptions,
    retries: dict[str, Any],
    *,
    headers: tuple[dict[str, Any], ...] = (),
    off: tuple[str, ...] = (),
) -> dict[str, Any]:
    match: dict[str, Any] = {"safe_regex": {"regex": regex}}
    if headers:
        match["headers"] = list(headers)
    action: dict[str, Any] = {"cluster": cluster, "retry_policy": retries}
    if regex == GRPC_STREAM:
        action |= {"timeout": "0s", "idle_timeout": f"{STREAM_IDLE_S}s"}
    else:
        action["timeout"] = f"{options.limits.timeout_s}s"
    if cluster == GRPC:
        # A caller's own deadline, where it is the nearer one.
        action["max_stream_duration"] = {"grpc_timeout_header_max": "0s"}
    found: dict[str, Any] = {"match": match, "route": action}
    # What is not there for these options is not turned off: the proxy would not know it.
    known = (EXTRACTION, BUFFER) if options.access is None else (ACCESS, EXTRACTION, BUFFER)
    if turned_off := [name for name in off if name in known]:
        found["typed_per_filter_config"] = {
            name: {"@type": FILTER_CONFIG, "disabled": True} for name in turned_off
        }
    return found


def _retries(on: str, *codes: int) -> dict[str, Any]:
    """A server that was started a moment ago knows no model yet: nothing was done, others may."""
    not_found = {"name": "grpc-status", "string_match": {"exact": "5"}}
    return {
        "retry_on": on,
        "num_retries": 3,
        "retriable_status_codes": [404, *codes],
        "retriable_headers": [not_found],
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": "type.googleapis.com/"
                    "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
        "host_selection_retry_max_attempts": 5,
    }


def _refused_keys() -> list[dict[str, Any]]:
    return [_refusal("keys are not taken here", headers=(_present(name),)) for name in KEY_HEADERS]


def _refusal(said: str, headers: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    match: dict[str, Any] = {"prefix": "/"}
    if headers:
        match["headers"] = list(headers)
    return {"match": match, "direct_response": {"status": 403, "body": {"inline_string": said}}}


def _present(name: str) -> dict[str, Any]:
    return {"name": name, "present_match": True}


def _never_again() -> dict[str, Any]:
    return {"name": RETRY_HEADER, "string_match": {"exact": "never"}}
