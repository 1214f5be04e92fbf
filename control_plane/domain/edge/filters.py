"""What each request passes through at the edge, in this order."""

from __future__ import annotations

from typing import Any

from control_plane.domain.edge.clusters import file_source
from control_plane.domain.edge.fleet import GRPC, SUBSET_KEY
from control_plane.domain.edge.options import EdgeOptions, Jwt, Tokens
from control_plane.domain.edge.routes import ACCESS, BUFFER, EXTRACTION, MODEL_HEADER

EXTENSIONS = "type.googleapis.com/envoy.extensions.filters.http"
API_KEYS = ("api_key_auth", "ApiKeyAuth")
ACCESS_FILE = "access.json"
SERVICE = "inference.GRPCInferenceService"
NAME_FIELDS = {
    "ModelInfer": "model_name",
    "ModelStreamInfer": "model_name",
    "ModelReady": "name",
    "ModelMetadata": "name",
    "ModelConfig": "name",
    "ModelStatistics": "name",
}
"""The field that names the model, by the call of `inference.GRPCInferenceService`."""

HTTP_NAME = f"""\
function envoy_on_request(handle)
  local model = handle:headers():get("{MODEL_HEADER}")
  if model == nil then
    model = string.match(handle:headers():get(":path"), "^/v2/models/([^/?]+)")
  end
  if model ~= nil then
    handle:streamInfo():dynamicMetadata():set("envoy.lb", "{SUBSET_KEY}", model)
  end
end
"""

GRPC_NAME = f"""\
function envoy_on_request(handle)
  local model = handle:headers():get("{MODEL_HEADER}")
  if model == nil then
    local metadata = handle:streamInfo():dynamicMetadata()
    local read = metadata:get("envoy.filters.http.grpc_field_extraction")
    if read ~= nil then
      local names = read["model_name"] or read["name"]
      if names ~= nil then model = names[1] end
    end
  end
  if model ~= nil then
    handle:streamInfo():dynamicMetadata():set("envoy.lb", "{SUBSET_KEY}", model)
  end
end
"""


def http_filters(options: EdgeOptions, protocol: str) -> list[dict[str, Any]]:
    """Who may call comes first: nothing is read of anybody else's message."""
    found = [*_access(options), *_rate(options), _whole_request(options)]
    if protocol == GRPC:
        found += [_extraction(options), _lua(GRPC_NAME)]
    else:
        found.append(_lua(HTTP_NAME))
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": _typed("router", "Router", suppress_envoy_headers=True),
    }
    return [*found, router]


def _typed(package: str, message: str, **content: Any) -> dict[str, Any]:
    return {"@type": f"{EXTENSIONS}.{package}.v3.{message}", **content}


def _access(options: EdgeOptions) -> list[dict[str, Any]]:
    match options.access:
        case Jwt() as jwt:
            return [{"name": ACCESS, "typed_config": _jwt(jwt)}]
        case Tokens():
            # In a file of its own: another list closes no connection.
            discovery = {
                "config_source": file_source(options, ACCESS_FILE),
                "type_urls": [_typed(*API_KEYS)["@type"]],
            }
            return [{"name": ACCESS, "config_discovery": discovery}]
        case None:
            return []


def listed_tokens(tokens: Tokens) -> dict[str, Any]:
    """Who is let in, as the filter that is named `ACCESS`; read again when it is replaced."""
    listed = [{"key": key, "client": who} for key, who in sorted(tokens.names_by_token.items())]
    content = _typed(
        *API_KEYS,
        credentials=listed,
        key_sources=[{"header": "authorization"}],
        forwarding={"hide_credentials": True},
    )
    return {
        "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        "name": ACCESS,
        "typed_config": content,
    }


def _jwt(jwt: Jwt) -> dict[str, Any]:
    provider: dict[str, Any] = {
        "issuer": jwt.issuer,
        # Nowhere else: one in the address would go on to the server, and into what it logs.
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        "local_jwks": {
            "filename": jwt.keys,
            "watched_directory": {"path": jwt.keys.rpartition("/")[0] or "/"},
        },
    }
    if jwt.audiences:
        provider["audiences"] = list(jwt.audiences)
    rule = {"match": {"prefix": "/"}, "requires": {"provider_name": "callers"}}
    return _typed("jwt_authn", "JwtAuthentication", providers={"callers": provider}, rules=[rule])


def _rate(options: EdgeOptions) -> list[dict[str, Any]]:
    most = options.limits.per_second
    if most is None:
        return []
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    content = _typed(
        "local_ratelimit",
        "LocalRateLimit",
        stat_prefix="edge",
        token_bucket={"max_tokens": most, "tokens_per_fill": most, "fill_interval": "1s"},
        filter_enabled=always,
        filter_enforced=always,
    )
    return [{"name": "rate", "typed_config": content}]


def _whole_request(options: EdgeOptions) -> dict[str, Any]:
    """Only a request that is there as a whole can be counted, and be sent a second time."""
    content = _typed("buffer", "Buffer", max_request_bytes=options.limits.body_bytes)
    return {"name": BUFFER, "typed_config": content}


def _extraction(options: EdgeOptions) -> dict[str, Any]:
    methods: dict[str, Any] = {
        f"{SERVICE}.{call}": {"request_field_extractions": {field: {}}}
        for call, field in NAME_FIELDS.items()
    }
    content = _typed(
        "grpc_field_extraction",
        "GrpcFieldExtractionConfig",
        descriptor_set={"filename": options.path("inference.pb")},
        extractions_by_method=methods,
    )
    return {"name": EXTRACTION, "typed_config": content}


def _lua(script: str) -> dict[str, Any]:
    content = _typed("lua", "Lua", default_source_code={"inline_string": script})
    return {"name": "placement", "typed_config": content}
