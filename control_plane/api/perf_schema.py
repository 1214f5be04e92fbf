"""What a perf run asks for, in the OpenAPI document: one component, and examples that work.

The rules are `domain.perf.read_request`'s.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field
from rest_framework import serializers

COMPONENT = "PerfRequest"
START = "PerfRunStart"
START_BODY = {"application/json": {"$ref": f"#/components/schemas/{START}"}}

DURATION = {
    "type": "string",
    "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)$",
    "example": "20ms",
    "nullable": True,
}
_NAME = {"type": "string", "pattern": "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$"}


def object_of(properties: dict[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    """The schema of an object that has these fields and no others."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    return schema | ({"required": list(required)} if required else {})


def number(least: float, most: float, whole: bool = True, **more: Any) -> dict[str, Any]:
    """The schema of a number that may be left out."""
    kind = "integer" if whole else "number"
    return {"type": kind, "minimum": least, "maximum": most, "nullable": True, **more}


def _load(description: str, most: float, whole: bool) -> dict[str, Any]:
    level = {
        "type": "integer" if whole else "number",
        "minimum": 1 if whole else 0.001,
        "maximum": most,
    }
    optional = level | {"nullable": True}
    span = object_of(
        {
            "from": optional,
            "to": level,
            "step": optional | {"description": "of a search, how near it comes"},
            "search": {
                "type": "boolean",
                "nullable": True,
                "description": "halve what is between the most load within the latency limit and "
                "the least above it, in place of going from step to step",
            },
        },
        required=("to",),
    )
    listed = {"type": "array", "items": level, "minItems": 1, "maxItems": 32}
    return {"oneOf": [listed, span], "nullable": True, "description": description}


VERSION_TARGET = object_of(
    {"model": _NAME, "version": number(1, 1_000_000_000)}, ("model", "version")
)
_TARGET = {
    "oneOf": [
        object_of({"endpoint": _NAME}, ("endpoint",)),
        VERSION_TARGET,
        object_of(
            {"pipeline": _NAME, "revision": number(1, 1_000_000_000)}, ("pipeline", "revision")
        ),
    ],
    "description": "an endpoint as it is routed, or a version or pipeline by its physical name: "
    "loaded for the run where the server does not hold it",
}
_SEQUENCES = object_of(
    {
        "length": number(1, 100_000),
        "variation": number(0, 100, whole=False, description="percent, of made up data"),
        "concurrent": number(1, 1024, description="sequences at once, at a request rate"),
    }
)

PROPERTIES: dict[str, Any] = {
    "target": _TARGET,
    "server": {"type": "string", "minLength": 1, "maxLength": 500},
    "protocol": {"type": "string", "enum": ["grpc", "http", None], "nullable": True},
    "concurrency": _load("callers, each of whom waits for an answer", 1024, True),
    "request_rate": _load("requests a second, whatever the answers take", 1_000_000, False),
    "batch_sizes": {
        "type": "array",
        "items": {"type": "integer", "minimum": 1, "maximum": 1 << 16},
        "minItems": 1,
        "maxItems": 32,
        "nullable": True,
        "description": "rows of the requests of one caller: how an execution grows with its batch",
    },
    "distribution": {
        "type": "string",
        "enum": ["constant", "poisson", None],
        "nullable": True,
        "description": "of the times between requests at a rate",
    },
    "intervals": {
        "type": "array",
        "items": DURATION | {"nullable": False},
        "minItems": 1,
        "maxItems": 10_000,
        "nullable": True,
        "description": "times between requests, gone through again and again",
    },
    "latency_limit": DURATION
    | {"description": "at `percentile`: no level above it is gone beyond"},
    "percentile": {"type": "integer", "enum": [50, 90, 95, 99], "nullable": True},
    "window": DURATION
    | {"example": "2s", "description": "each level is measured for three of these, 100ms to 60s"},
    "input": {
        "type": "string",
        "pattern": "^(golden|random|zero|recording:[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?)$",
        "nullable": True,
        "example": "golden",
        "description": "golden examples where there are any, else random values; "
        "`recording:NAME` is what callers sent to an endpoint",
    },
    "shapes": {
        "type": "object",
        "additionalProperties": {
            "type": "array",
            "items": {"type": "integer", "minimum": 1, "maximum": 1 << 24},
            "minItems": 1,
            "maxItems": 16,
        },
        "nullable": True,
        "example": {"tokens": [128]},
        "description": "sizes of inputs that vary, without the batch's",
    },
    "string_length": number(1, 1 << 16, description="of random texts"),
    "batch": number(1, 1 << 16, description="rows of a request"),
    "streaming": {"type": "boolean", "nullable": True, "description": "over gRPC streams"},
    "shared_memory": {"type": "string", "enum": ["none", "system", "cuda", None], "nullable": True},
    "sequences": _SEQUENCES | {"nullable": True},
    "overrides": {
        "type": "object",
        "nullable": True,
        "additionalProperties": True,
        "example": {"max_batch_size": 16},
        "description": "in the words of a serving profile: how the version is served for this run "
        "alone, otherwise than it is",
    },
}

OPTIONS: dict[str, Any] = {
    "allow_production": {
        "type": "boolean",
        "default": False,
        "description": "the server may be one that is not marked `lab`",
    },
    "reason": {"type": "string", "maxLength": 10_000, "default": ""},
}

EXAMPLES: dict[str, Any] = {
    "callers": {
        "target": {"endpoint": "digits"},
        "server": "lab-1",
        "protocol": "grpc",
        "concurrency": [1, 2, 4, 8],
        "input": "golden",
        "latency_limit": "20ms",
    },
    "a rate": {
        "target": {"model": "digits", "version": 3},
        "server": "lab-1",
        "request_rate": {"from": 100, "to": 500, "step": 100},
        "distribution": "poisson",
        "window": "5s",
    },
    "the most within a limit": {
        "target": {"pipeline": "digits-png", "revision": 1},
        "server": "lab-1",
        "concurrency": {"from": 1, "to": 64, "search": True},
        "latency_limit": "20ms",
        "percentile": 95,
    },
}

START_EXAMPLES = [
    OpenApiExample(name, value=value, request_only=True) for name, value in EXAMPLES.items()
]


@extend_schema_field({"$ref": f"#/components/schemas/{COMPONENT}"})
class PerfRequestField(serializers.JSONField):
    """A request document, passed on as it came: the domain reads it."""


def add_components(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's hook: the components that the references name."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    needed = ("target", "server")
    schemas[COMPONENT] = object_of(PROPERTIES, needed) | {"example": EXAMPLES["callers"]}
    schemas[START] = object_of(PROPERTIES | OPTIONS, needed) | {"example": EXAMPLES["callers"]}
    return result
