"""A rollout's document in the OpenAPI document: one component, and examples that work.

The rules are `domain.rollout`'s; a test holds the fields here against them.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field
from rest_framework import serializers

from control_plane.api.policy_schema import RULE

COMPONENT = "RolloutDocument"

ROLLOUT_REF = {"$ref": f"#/components/schemas/{COMPONENT}"}

ROLLOUT_BODY = {"application/json": ROLLOUT_REF}

_NAME = {"type": "string", "pattern": "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$"}
_TEMPLATES = {
    "template": _NAME | {"description": "an analysis template; `default` unless it says"},
    "templates": {"type": "array", "items": _NAME, "maxItems": 8, "description": "or several"},
}


def _object(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    return schema | more


def _duration(description: str, example: str) -> dict[str, Any]:
    return {
        "type": "string",
        "nullable": True,
        "pattern": r"^[0-9]{1,9}(\.[0-9]{1,6})?(ms|s|m|h)$",
        "description": description,
        "example": example,
    }


_PERCENT = {"type": "number", "minimum": 0, "maximum": 100}

_COPIES = {
    "max_in_flight": {"type": "integer", "minimum": 1, "nullable": True, "default": 8},
    "compare": {
        "type": "string",
        "nullable": True,
        "description": "the output to hold against the answer's; shadowFirst takes the first one "
        "that is made of numbers",
    },
}

STEP = {
    "type": "object",
    "additionalProperties": False,
    "minProperties": 1,
    "maxProperties": 1,
    "description": "Exactly one thing.",
    "properties": {
        "setWeight": _PERCENT
        | {"description": "the candidate's share in percent of what the primary had"},
        "pause": _object(
            {"duration": _duration("left out: until somebody resumes it", "60s")}, nullable=True
        ),
        "analysis": _object(
            _TEMPLATES,
            nullable=True,
            description="goes on when every template's run has come to its verdict",
        ),
        "approval": _object(
            {}, nullable=True, description="waits until somebody approves; under four eyes another"
        ),
        "setShadow": {
            "description": "so many percent of the requests are copied to the candidate",
            "oneOf": [
                _PERCENT,
                _object(
                    {
                        "percent": _PERCENT,
                        **_COPIES,
                    },
                    required=["percent"],
                ),
            ],
        },
        "setRule": _object(
            {"when": RULE["properties"]["when"] | {"minProperties": 0, "nullable": True}},
            nullable=True,
            description="requests for which all of this holds go to the candidate; empty ends it",
        ),
    },
}

_WATCH = _object(_TEMPLATES, nullable=True, description="what goes on measuring after promotion")

STRATEGY = {
    "type": "object",
    "nullable": True,
    "additionalProperties": False,
    "minProperties": 1,
    "maxProperties": 1,
    "description": "How it goes about it; left out, the canary with the steps that come with it.",
    "properties": {
        "canary": _object(
            {
                "steps": {"type": "array", "nullable": True, "items": STEP, "maxItems": 50},
                "analysis": _WATCH,
            },
            nullable=True,
        ),
        "blueGreen": _object(
            {"analysis": _WATCH},
            nullable=True,
            description="prepares everything, switches at once, keeps the old one for a while",
        ),
        "progressive": _object(
            {
                "from": _PERCENT | {"nullable": True, "default": 1},
                "to": _PERCENT | {"nullable": True, "default": 50},
                "analysis": _WATCH,
            },
            nullable=True,
            description="goes up, and down, as fast as the evidence allows, from the one share to "
            "the other",
        ),
        "shadowFirst": _object(
            {
                "percent": _PERCENT | {"nullable": True, "default": 20},
                **_COPIES,
                "shadowAnalysis": _object(
                    _TEMPLATES, nullable=True, description="what judges the copies: `shadow`"
                ),
                "steps": {"type": "array", "nullable": True, "items": STEP, "maxItems": 50},
                "analysis": _WATCH,
            },
            nullable=True,
            description="copies of requests first, which harm no caller; then the steps, or those "
            "of the canary",
        ),
    },
}

DOCUMENT = _object(
    {
        "endpoint": _NAME,
        "to": _object(
            {
                "model": _NAME,
                "version": {
                    "oneOf": [
                        {"type": "integer", "minimum": 1},
                        {"type": "string", "pattern": "^@[A-Za-z0-9_-]{1,255}$"},
                    ],
                    "description": "the version's number, or in what is sent an alias (@champion)",
                },
                "pipeline": _NAME | {"description": "in place of a model"},
                "revision": {"type": "integer", "minimum": 1, "description": "of the pipeline"},
            },
            oneOf=[{"required": ["model", "version"]}, {"required": ["pipeline", "revision"]}],
        ),
        "strategy": STRATEGY,
        "harmBudget": _object(
            {
                "failedRequests": {
                    "type": "integer",
                    "nullable": True,
                    "minimum": 1,
                    "maximum": 1_000_000,
                    "description": "failed attempts on the candidate that the whole rollout may "
                    "cost, held by the routers themselves; by default 20",
                },
                "confidence": {
                    "type": "number",
                    "nullable": True,
                    "minimum": 0.5,
                    "maximum": 0.9999,
                    "default": 0.95,
                },
            },
            nullable=True,
        ),
        "watch": _duration("how long it may still return after it was promoted", "10m"),
        "progressDeadline": _duration("how long anything may take to be loaded", "10m"),
        "dryRun": {
            "type": "boolean",
            "nullable": True,
            "default": False,
            "description": "measures, and decides nothing by it",
        },
        "supersede": {
            "type": "boolean",
            "nullable": True,
            "default": False,
            "description": "takes the rollout that is under way there back first",
        },
        "reason": {"type": "string", "nullable": True, "maxLength": 500},
    },
    required=["endpoint", "to"],
    description="What is rolled out where, and how. What is read back has every value in force, "
    "and may be sent again.",
)

EXAMPLES = {
    "version 2, as it comes": {"endpoint": "digits", "to": {"model": "digits", "version": 2}},
    "in steps": {
        "endpoint": "digits",
        "to": {"model": "digits", "version": 2},
        "strategy": {
            "canary": {
                "steps": [
                    {"setWeight": 5},
                    {"analysis": {"template": "default"}},
                    {"setWeight": 25},
                    {"pause": {"duration": "60s"}},
                    {"approval": {}},
                    {"setWeight": 100},
                ]
            }
        },
        "harmBudget": {"failedRequests": 20, "confidence": 0.95},
        "watch": "10m",
        "dryRun": False,
    },
    "as fast as the evidence allows": {
        "endpoint": "digits",
        "to": {"model": "digits", "version": 2},
        "strategy": {"progressive": {"from": 1, "to": 50}},
    },
    "on copies first": {
        "endpoint": "digits",
        "to": {"model": "digits", "version": 2},
        "strategy": {"shadowFirst": {"percent": 20}},
    },
    "all at once": {
        "endpoint": "digits",
        "to": {"model": "digits", "version": "@challenger"},
        "strategy": {"blueGreen": {}},
        "reason": "a hotfix",
    },
}

ROLLOUT_EXAMPLES = [
    OpenApiExample(name, value=value, request_only=True) for name, value in EXAMPLES.items()
]


@extend_schema_field(ROLLOUT_REF)
class RolloutDocumentField(serializers.JSONField):
    """A rollout as it may be sent again: the domain reads it."""


def add_component(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's hook: the component that the references name."""
    result.setdefault("components", {}).setdefault("schemas", {})[COMPONENT] = DOCUMENT
    return result
