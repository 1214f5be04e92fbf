"""What a tune asks for, in the OpenAPI document: one component, and examples that work.

The rules are `domain.tuning.read_request`'s.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field
from rest_framework import serializers

from control_plane.api.perf_schema import DURATION, OPTIONS, VERSION_TARGET, number, object_of
from control_plane.api.perf_schema import PROPERTIES as MEASURED

COMPONENT = "TuneRequest"
START = "TuneStart"
START_BODY = {"application/json": {"$ref": f"#/components/schemas/{START}"}}

_AS_MEASURED = (
    *("server", "protocol", "input", "shapes", "string_length", "batch", "window"),
    *("streaming", "shared_memory"),
)


def _values(items: dict[str, Any], description: str) -> dict[str, Any]:
    return {
        "type": "array",
        "items": items,
        "minItems": 1,
        "maxItems": 16,
        "nullable": True,
        "description": description,
    }


def _whole(least: int, most: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": most}


_SPACE = object_of(
    {
        "max_batch_size": _values(_whole(1, 1 << 20), "rows that a batch has at most"),
        "queue_delay_us": _values(_whole(0, 1_000_000), "microseconds that the first one waits"),
        "preferred": _values(
            {"type": "boolean"}, "true: batches may leave when they are half full"
        ),
        "instances": _values(_whole(1, 256), "copies of the model"),
        "threads": _values(_whole(0, 256), "of one execution; 0: the backend's own choice"),
        "accelerator": _values(
            {"type": "string", "enum": ["", "tensorrt", "openvino", "cuda"]},
            "execution accelerators; empty: none",
        ),
    }
)

PROPERTIES: dict[str, Any] = {
    "target": VERSION_TARGET,
    **{name: MEASURED[name] for name in _AS_MEASURED},
    "objective": {
        "type": "string",
        "enum": ["throughput", "latency", None],
        "nullable": True,
        "description": "the most throughput within `latency_limit`, or the least latency at `rate`",
    },
    "latency_limit": DURATION | {"description": "at `percentile`; of the objective throughput"},
    "percentile": MEASURED["percentile"],
    "rate": {
        "type": "number",
        "minimum": 0.001,
        "maximum": 1_000_000,
        "nullable": True,
        "description": "requests a second, as a Poisson process; of the objective latency",
    },
    "max_concurrency": number(1, 1024, description="callers at most; of the objective throughput"),
    "trials": number(3, 200, description="configurations that are tried at most"),
    "time": DURATION | {"example": "20m", "description": "after which no trial begins, 30s to 24h"},
    "space": _SPACE
    | {
        "nullable": True,
        "description": "the values that are tried; what is left out is what the machine bounds",
    },
}

EXAMPLES: dict[str, Any] = {
    "throughput within a limit": {
        "target": {"model": "digits", "version": 3},
        "server": "lab-1",
        "objective": "throughput",
        "latency_limit": "20ms",
        "percentile": 99,
    },
    "latency at a rate": {
        "target": {"model": "digits", "version": 3},
        "server": "lab-1",
        "objective": "latency",
        "rate": 400,
        "trials": 12,
        "time": "10m",
    },
    "a space of one's own": {
        "target": {"model": "digits", "version": 3},
        "server": "lab-1",
        "latency_limit": "20ms",
        "space": {"max_batch_size": [8, 16, 32], "queue_delay_us": [0, 500], "instances": [1, 2]},
    },
}

_CONFIGURATION = {
    "max_batch_size": 16,
    "dynamic": True,
    "queue_delay_us": 0,
    "preferred": [],
    "instances": 2,
    "threads": 1,
    "accelerator": "",
}
_POINT = {
    "configuration": _CONFIGURATION,
    "said": "batch 16, 2 instances, 1 thread",
    "load": 16.0,
    "throughput": 3910.2,
    "latency_us": 15020.0,
    "instances": 2,
    "within": True,
    "times": 2,
    "trials": [3, 9],
}
_BEFORE = {"max_batch_size": 64, "instances": 1, "threads": 0}
RESULT_EXAMPLE: dict[str, Any] = {
    "chosen": _POINT,
    "present": {
        **_POINT,
        "configuration": _CONFIGURATION | _BEFORE,
        "said": "batch 64, 1 instance",
        "throughput": 2700.4,
        "instances": 1,
        "trials": [1],
    },
    "gain": 44.8,
    "changes": [{"what": "max batch", "before": "64", "after": "16"}],
    "overrides": {"max_batch_size": 16, "instance_group": [{"count": 2}]},
    "profile": {"max_batch_size": 16, "instance_group": [{"count": 2}], "dynamic_batching": {}},
    "diff": '--- as it is served\n+++ tuned\n-  "max_batch_size": 64\n+  "max_batch_size": 16',
    "front": [_POINT],
    "remarks": ["callers who send more than 16 rows in one request are refused"],
    "measurements": 19,
    "model": {"fixed_us": 310.5, "row_us": 21.2, "error": 0.04, "overhead_us": 240.0},
}

START_EXAMPLES = [
    OpenApiExample(name, value=value, request_only=True) for name, value in EXAMPLES.items()
]


@extend_schema_field({"$ref": f"#/components/schemas/{COMPONENT}"})
class TuneRequestField(serializers.JSONField):
    """A request document, passed on as it came: the domain reads it."""


def add_components(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's hook: the components that the references name."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    needed = ("target", "server")
    [example, *_rest] = EXAMPLES.values()
    schemas[COMPONENT] = object_of(PROPERTIES, needed) | {"example": example}
    schemas["TuneResult"]["example"] = RESULT_EXAMPLE
    schemas[START] = object_of(PROPERTIES | OPTIONS, needed) | {"example": example}
    return result
