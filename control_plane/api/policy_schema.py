"""The routing policy in the OpenAPI document: one component, and examples that work.

The rules are `domain.routing`'s; a test holds the fields and defaults here against them.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field
from rest_framework import serializers

COMPONENT = "RoutingPolicy"

POLICY_REF = {"$ref": f"#/components/schemas/{COMPONENT}"}

POLICY_BODY = {"application/json": POLICY_REF}

_NAME = {"type": "string", "pattern": "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$"}


def _duration(description: str, default: str | None = None) -> dict[str, Any]:
    schema = {
        "type": "string",
        "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)$",
        "description": description,
        "example": "500ms",
    }
    return schema | ({"default": default} if default else {})


def _percent(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "number", "minimum": 0, "maximum": 100, "description": description, **more}


def _count(description: str, minimum: int = 1, **more: Any) -> dict[str, Any]:
    return {"type": "integer", "minimum": minimum, "description": description, **more}


def _number(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "number", "minimum": 0, "description": description} | more


def _object(
    properties: dict[str, Any], required: tuple[str, ...] = (), **more: Any
) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    return schema | ({"required": list(required)} if required else {}) | more


ALLOWANCE = _object(
    {
        "attempts": _count("requests that may be tried on the arm"),
        "failures": _count("failed ones among them"),
        "until": {"type": "string", "format": "date-time"},
        "grant": {
            "type": "string",
            "minLength": 1,
            "description": "a line of text; another one grants the same numbers anew",
            "example": "2026-11-24, second try",
        },
        "servers": {
            "type": "array",
            "items": {"type": "string"},
            "description": "names of the servers that it is given to: others are allowed nothing, "
            "also one that joins later. Left out, each has it",
        },
    },
    minProperties=1,
    description=(
        "At most this much on each server; when any of it is spent, the router returns the arm's "
        "share to the primary by itself. As long as it reads the same, what was used stays used; "
        "a server that was started anew has used it up. Not on the primary."
    ),
)

ARM = _object(
    {
        "name": _NAME | {"description": "by default <model>-v<version>, or -v<revision>"},
        "model": _NAME,
        "version": {
            "oneOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": "^@[A-Za-z0-9_-]{1,255}$"},
            ],
            "description": "the version's number; in what is sent also an alias (@champion), "
            "whose number is stored",
        },
        "pipeline": _NAME | {"description": "in place of a model"},
        "revision": _count("of the pipeline"),
        "weight": _percent(
            "the share in percent, two decimals at most; together 100. With the mode adaptive "
            "all may be left out, and 0 takes an arm out of the choice"
        ),
        "primary": {
            "type": "boolean",
            "default": False,
            "description": "exactly one arm: what others cannot take, or failed, goes there",
        },
        "twin": {
            "type": "boolean",
            "default": False,
            "description": "a second instance of the version that another arm serves, with a queue "
            "of its own: what an arm with a small share is compared with",
        },
        "cost": _number("of one request, in any unit that the arms share", default=0),
        "accuracy": _number("for the mode adaptive", maximum=1),
        "capacity": _count(
            "requests at a time that are a full load; by default max_in_flight, else what the "
            "serving profile's instances and batches hold"
        ),
        "max_in_flight": _count("requests at a time; by default without limit"),
        "overflow": {
            "type": "string",
            "nullable": True,
            "description": "the arm for what is beyond max_in_flight; null refuses it "
            "(UNAVAILABLE); left out, the primary takes it",
        },
        "timeout": _duration("how long one attempt may take; by default as the caller says"),
        "allowance": ALLOWANCE,
        "overrides": {
            "type": "object",
            "description": "what this arm says otherwise than the version's serving profile, in "
            "the same words: tables are merged, lists replaced, null takes a value away",
            "example": {"max_batch_size": 16},
        },
    },
    oneOf=[{"required": ["model", "version"]}, {"required": ["pipeline", "revision"]}],
)

_TEST = _object(
    {
        "equals": {"type": "string"},
        "in": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "prefix": {"type": "string"},
    },
    minProperties=1,
)

RULE = _object(
    {
        "when": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": _TEST,
            "description": "header:<name> or parameter:<name> -> how to compare; all must hold. "
            "Headers are x-nereid-*, x-tenant-*, x-user-*, x-request-* and those that "
            "NEREID_FORWARD_HEADERS adds",
            "example": {"header:x-tenant-id": {"in": ["acme"]}},
        },
        "arm": _NAME,
    },
    required=("when", "arm"),
)

SHADOW = _object(
    {
        "arm": _NAME,
        "percent": _percent("of the requests, copied; their answers are thrown away"),
        "max_in_flight": _count("copies at a time; more are dropped and counted", default=8),
        "compare": {"type": "string", "description": "the output to hold against the answer's"},
    },
    required=("arm", "percent"),
)

BREAKER = _object(
    {
        "consecutive_failures": _count("in a row; 0 leaves this out", 0, default=5),
        "failure_rate": _number("within the window; 0 leaves this out", maximum=1, default=0.5),
        "min_requests": _count("within the window before the rate says anything", default=20),
        "window": _duration("what the rate looks at", "10s"),
        "open": _duration("how long the arm rests the first time", "30s"),
        "max_open": _duration("how long it rests at most", "300s"),
        "latency": _duration("a slower success counts as a failure; by default none does"),
    },
    nullable=True,
    description="Takes an arm out for a while that fails; on by default, null switches it off.",
)

OBJECTIVE = _object(
    {
        "alpha": _number("latency", default=0),
        "beta": _number("cost", default=0),
        "gamma": _number("load", default=0),
        "delta": _number("lost accuracy", default=0),
        "explore": _number(
            "share of requests that try the next arm", minimum=0.001, maximum=1, default=0.02
        ),
    },
    nullable=True,
    description="What the mode adaptive weighs; at least one of the four is above 0.",
)

POLICY = _object(
    {
        "arms": {"type": "array", "items": ARM, "minItems": 1, "maxItems": 64},
        "mode": {"type": "string", "enum": ["weighted", "adaptive"], "default": "weighted"},
        "objective": OBJECTIVE,
        "sticky": _object(
            {
                "key": {
                    "type": "string",
                    "description": "header:<name>, parameter:<name> or sequence",
                },
                "salt": {"type": "string", "description": "by default the endpoint's name"},
            },
            required=("key",),
            nullable=True,
            description="Keeps requests of the same key on one arm. Not with the mode adaptive.",
        ),
        "rules": {
            "type": "array",
            "items": RULE,
            "maxItems": 100,
            "description": "In order: the first that holds decides.",
        },
        "shadow": {"type": "array", "items": SHADOW},
        "confidence": _object(
            {
                "output": {
                    "type": "string",
                    "description": "an output of the arms in floating point; its last dimension "
                    "are the classes",
                },
                "scores": {
                    "type": "string",
                    "enum": ["probabilities", "logits"],
                    "default": "probabilities",
                },
            },
            required=("output",),
            nullable=True,
            description="Counts how sure the arms' answers are, for analyses of the kind "
            "`confidence`; off by default.",
        ),
        "breaker": BREAKER,
        "slow_start": _object(
            {
                "window": _duration("until the arm has its whole share", "30s"),
                "aggression": _number("above 1 it rises sooner", default=1.0),
            },
            nullable=True,
            description="Leads an arm that is new or back up to its share; off by default.",
        ),
        "rescue": _object(
            {
                "enabled": {"type": "boolean", "default": True},
                "budget_percent": _percent("of what is in flight", default=20),
                "floor": _count("rescues at a time that are always allowed", 0, default=3),
            },
            nullable=True,
            description="Asks the primary for what another arm failed, so that the caller does "
            "not see it; on by default, null switches it off.",
        ),
        "sequences": _object(
            {
                "on_change": {"type": "string", "enum": ["finish", "cut"], "default": "finish"},
                "idle": _duration("after which a silent sequence counts as over", "60s"),
            },
            description="What becomes of live sequences on an arm that a change takes away.",
        ),
    },
    required=("arms",),
    description="How the requests of an endpoint are shared out. What is read back has every "
    "value in force.",
)

EXAMPLES = {
    "a tenth to version 2": {
        "arms": [
            {"name": "stable", "model": "digits", "version": 1, "weight": 90, "primary": True},
            {"name": "candidate", "model": "digits", "version": 2, "weight": 10},
        ]
    },
    "everything": {
        "arms": [
            {"name": "stable", "model": "digits", "version": 1, "weight": 90, "primary": True},
            {
                "name": "candidate",
                "model": "digits",
                "version": 2,
                "weight": 10,
                "cost": 1.0,
                "accuracy": 0.98,
                "max_in_flight": 64,
                "timeout": "500ms",
                "allowance": {"attempts": 5000, "failures": 20},
            },
        ],
        "mode": "weighted",
        "sticky": {"key": "header:x-user-id"},
        "rules": [{"when": {"header:x-tenant-id": {"in": ["acme"]}}, "arm": "candidate"}],
        "shadow": [{"arm": "candidate", "percent": 20, "max_in_flight": 8, "compare": "logits"}],
        "confidence": {"output": "logits", "scores": "logits"},
        "breaker": {
            "consecutive_failures": 5,
            "failure_rate": 0.5,
            "window": "10s",
            "open": "30s",
            "max_open": "300s",
        },
        "slow_start": {"window": "30s", "aggression": 1.0},
        "rescue": {"enabled": True, "budget_percent": 20},
    },
    "a pipeline's new revision": {
        "arms": [
            {"pipeline": "digits-png", "revision": 1, "weight": 90, "primary": True},
            {"pipeline": "digits-png", "revision": 2, "weight": 10},
        ]
    },
    "adaptive": {
        "arms": [
            {"name": "small", "model": "digits", "version": 1, "primary": True, "cost": 1},
            {"name": "large", "model": "digits", "version": 2, "cost": 4, "accuracy": 0.99},
        ],
        "mode": "adaptive",
        "objective": {"alpha": 1, "beta": 0.2, "gamma": 1, "delta": 0, "explore": 0.02},
    },
}

POLICY_EXAMPLES = [
    OpenApiExample(name, value=value, request_only=True) for name, value in EXAMPLES.items()
]


@extend_schema_field(POLICY_REF)
class PolicyField(serializers.JSONField):
    """A policy document, passed on as it came: the domain reads it."""


def add_component(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's hook: the component that the references name."""
    result.setdefault("components", {}).setdefault("schemas", {})[COMPONENT] = POLICY
    return result
