"""What a delivery says: the document, its JSON Schema, and an example of each type.

    {"id": "evt_…", "type": "version.ready", "timestamp": "…", "schema": 1, "data": {…}}

`schema` grows when a field changes its meaning or goes; fields that join do not make it grow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from control_plane.domain.webhooks.catalogue import EventType

SCHEMA_VERSION = 1

MAX_BYTES = 256 << 10
"""A payload above this comes without `before` and `after`, and says so."""

_TEXT = {"type": "string"}
_NUMBER = {"type": "integer"}
_MAYBE = {"type": ["integer", "null"]}

# subject -> its own fields of `data`: schema and example
_SUBJECTS: dict[str, dict[str, tuple[dict[str, Any], Any]]] = {
    "model": {"model": (_TEXT, "digits")},
    "version": {"model": (_TEXT, "digits"), "version": (_NUMBER, 2)},
    "alias": {
        "model": (_TEXT, "digits"),
        "alias": (_TEXT, "champion"),
        "version": (_MAYBE, 2),
    },
    "profile": {"profile": (_TEXT, "patient")},
    "pipeline": {"pipeline": (_TEXT, "digits-png")},
    "endpoint": {"endpoint": (_TEXT, "digits")},
    "revision": {
        "endpoint": (_TEXT, "digits"),
        "revision": (_MAYBE, 3),
        "generation": (_NUMBER, 4),
    },
    "rollout": {
        "endpoint": (_TEXT, "digits"),
        "rollout": (_NUMBER, 3),
        "state": (_TEXT, "promoted"),
    },
    "analysis_template": {"analysis_template": (_TEXT, "careful")},
    "perf_run": {
        "perf_run": (_NUMBER, 12),
        "state": (_TEXT, "succeeded"),
        "kind": (_TEXT, "version"),
        "name": (_TEXT, "digits"),
        "number": (_MAYBE, 2),
        "server": (_TEXT, "local"),
    },
    "server": {"server": (_TEXT, "local")},
    "token": {"token": (_TEXT, "nightly")},
    "grant": {"grant": (_TEXT, "operator of endpoint digits for ada")},
    "webhook": {"webhook": (_TEXT, "deploys")},
}


def document(event: EventType, identity: str, at: datetime, data: Mapping[str, Any]) -> str:
    """The body of a delivery, JSON: what is signed is these very bytes."""
    whole = {
        "id": identity,
        "type": event.name,
        "timestamp": at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "schema": SCHEMA_VERSION,
        "data": dict(data),
    }
    text = json.dumps(whole, separators=(",", ":"))
    if len(text) > MAX_BYTES:
        whole["data"] = {**data, "before": None, "after": None, "truncated": True}
        text = json.dumps(whole, separators=(",", ":"))
    return text


def data(
    subject: Mapping[str, Any],
    *,
    actor: str,
    reason: str = "",
    request_id: str = "",
    before: Any = None,
    after: Any = None,
) -> dict[str, Any]:
    """`data`: what it is about, who did it and why, and how it was before and after."""
    return {
        **subject,
        "actor": actor,
        "reason": reason,
        "request_id": request_id,
        "before": before,
        "after": after,
        "truncated": False,
    }


def subject_of(event: EventType, object_name: str, before: Any, after: Any) -> dict[str, Any]:
    """The subject's fields, from what the audit record says of a deed.

    >>> from control_plane.domain.webhooks.catalogue import BY_NAME
    >>> subject_of(BY_NAME["version.ready"], "digits:2", None, None)
    {'model': 'digits', 'version': 2}
    """
    if event.subject == "version":
        model, _, number = object_name.rpartition(":")
        return {"model": model, "version": int(number)}
    if event.subject == "rollout":
        endpoint, _, number = object_name.rpartition(":")
        return {"endpoint": endpoint, "rollout": int(number), "state": after["state"]}
    if event.subject == "alias":
        [(alias, number)] = (after or before).items()
        return {"model": object_name, "alias": alias, "version": number if after else None}
    return {event.subject: object_name}


def name_of(subject: Mapping[str, Any]) -> str:
    """The model, endpoint or pipeline under load that it is about; empty where it is about none."""
    return str(subject.get("model") or subject.get("endpoint") or subject.get("name") or "")


def schema(event: EventType) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a type's deliveries."""
    own = {field: said for field, (said, _) in _SUBJECTS[event.subject].items()}
    state = {"type": ["object", "null"], "description": "as the audit record has it"}
    fields = {
        **own,
        "actor": {**_TEXT, "description": "who did it; nereid: nobody's hand"},
        "reason": _TEXT,
        "request_id": {**_TEXT, "description": "finds it in the audit record; may be empty"},
        "before": state,
        "after": state,
        "truncated": {
            "type": "boolean",
            "description": f"true: before and after were over {MAX_BYTES >> 10} KiB and are null",
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": event.name,
        "description": event.words,
        "type": "object",
        "required": ["id", "type", "timestamp", "schema", "data"],
        "properties": {
            "id": {**_TEXT, "description": "the same as webhook-id, at every attempt"},
            "type": {"const": event.name},
            "timestamp": {"type": "string", "format": "date-time"},
            "schema": {"const": SCHEMA_VERSION},
            "data": {"type": "object", "required": list(fields), "properties": fields},
        },
    }


def example(event: EventType) -> dict[str, Any]:
    """A delivery as it could come."""
    own = {field: shown for field, (_, shown) in _SUBJECTS[event.subject].items()}
    if event.name == "alias.deleted":
        own["version"] = None
    by_hand = bool(event.action) and event.name not in ("version.ready", "version.rejected")
    said = data(
        own,
        actor="ada" if by_hand else "nereid",
        reason="" if by_hand else event.words,
        request_id="6b1f6f0e4c5e4d0f8f5a2f4d3c1b0a99" if by_hand else "",
    )
    at = datetime(2026, 11, 26, 10, tzinfo=UTC)
    found: dict[str, Any] = json.loads(
        document(event, "evt_0b8fc6a48a2f4f7ea6a84e2b6b8f2f10", at, said)
    )
    return found
