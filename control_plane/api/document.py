"""What every operation of the OpenAPI document has, whoever wrote it: errors and examples.

drf-spectacular's hook `complete` runs over the finished document. A body that has no example of
its own gets the one of its component in `api.examples`, and where there is none either, one that
is drawn from its schema.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from control_plane.api.errors import CONTENT_TYPE
from control_plane.api.examples import EXAMPLES

PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457), and where in the input.",
    "required": ["type", "title", "status", "detail", "instance", "request_id", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "for people"},
        "instance": {"type": "string", "description": "the path that was asked for"},
        "request_id": {"type": "string", "description": "finds the request in the server's log"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "JSON pointer into the input; empty: the whole",
                    },
                    "code": {"type": "string", "description": "for programs"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}

WORDS = {
    400: "The input breaks a rule; `errors` says which and where.",
    401: "No token, or one that is not valid (any more).",
    403: "The caller has no right to this.",
    404: "There is no such thing.",
    406: "There is no such form of it as `Accept` asks for.",
    409: "The present state forbids it, or the same `Idempotency-Key` is at work.",
    412: "Somebody changed it since: `If-Match` names another state.",
    413: "The body is too large.",
    415: "The body is of another kind.",
    422: "The `Idempotency-Key` was used for another request.",
    428: "It needs `If-Match`.",
    429: "Too many requests: `Retry-After` says when to come back.",
}

_DEPTH = 9


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's hook."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = PROBLEM
    for path, method, operation in operations(result):
        for status in _refusals(path, method, operation):
            operation["responses"].setdefault(str(status), _problem(path, status))
        for content in _bodies(operation):
            if "examples" not in content and "example" not in content:
                value = example(content.get("schema", {}), schemas)
                if value is not None:
                    content["example"] = value
    return result


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(path, method, operation) of everything the document has."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in {"get", "post", "put", "patch", "delete"}:
                yield path, method, operation


def example(schema: dict[str, Any], schemas: dict[str, Any], depth: int = 0) -> Any:
    """A value that the schema allows; None for a file, which no JSON can show."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        if name in EXAMPLES:
            return copy.deepcopy(EXAMPLES[name])
        return example(schemas.get(name, {}), schemas, depth + 1)
    for key in ("example", "default"):
        if key in schema:
            return schema[key]
    if choices := schema.get("enum"):
        return choices[0]
    for several in ("allOf", "oneOf", "anyOf"):
        if several in schema:
            return example(schema[several][0], schemas, depth)
    return _of_type(schema, schemas, depth)


def _of_type(schema: dict[str, Any], schemas: dict[str, Any], depth: int) -> Any:
    kind = schema.get("type")
    if kind == "object":
        properties = schema.get("properties", {})
        values = {k: example(v, schemas, depth + 1) for k, v in properties.items()}
        # What may be anything, and has to be there, is null; a file is left out.
        free = [k for k in schema.get("required", ()) if not properties.get(k, {}).get("type")]
        shown = {k: v for k, v in values.items() if v is not None or k in free}
        return shown if depth < _DEPTH else {}
    if kind == "array":
        item = example(schema.get("items", {}), schemas, depth + 1) if depth < _DEPTH else None
        return [] if item is None else [item]
    if kind == "string":
        formats = {
            "date-time": "2026-11-26T10:00:00Z",
            "uri": "https://nereid.example.com/api/v1/",
            "uuid": "0b8fc6a4-8a2f-4f7e-a6a8-4e2b6b8f2f10",
            "binary": None,
        }
        return formats.get(schema.get("format", ""), "text")
    least = schema.get("minimum", 0)
    return {"integer": max(1, least), "number": max(1.0, least), "boolean": True}.get(str(kind))


def _refusals(path: str, method: str, operation: dict[str, Any]) -> list[int]:
    """The statuses of errors that the operation can answer."""
    if not any(operation.get("security", [])):
        return []
    named = {parameter["name"]: parameter for parameter in operation.get("parameters", [])}
    found = [400, 401, 403, 406, 429]
    if "{" in path or "at" in named:
        found.append(404)
    if method != "get":
        found.append(409)
    if "requestBody" in operation:
        found += [413, 415]
    if method == "post":
        found.append(422)
    if "Tus-Resumable" in named:  # the protocol's own word for a version that is not spoken
        found += [412]
    if match := named.get("If-Match"):
        found += [412, 428] if match.get("required") or method == "put" else [412]
    return found


def _problem(path: str, status: int) -> dict[str, Any]:
    shown = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": WORDS[status].replace("`", ""),
        "instance": path.replace("{name}", "digits").replace("{number}", "2"),
        "request_id": "6b1f6f0e4c5e4d0f8f5a2f4d3c1b0a99",
        "errors": [],
    }
    if status == 400:
        where = {"pointer": "/name", "code": "invalid_name", "detail": "'NO': not a name"}
        shown |= {"detail": "/name: 'NO': not a name", "errors": [where]}
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": shown}
    return {"description": WORDS[status], "content": {CONTENT_TYPE: content}}


def _bodies(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from operation.get("requestBody", {}).get("content", {}).values()
    for response in operation["responses"].values():
        yield from response.get("content", {}).values()
