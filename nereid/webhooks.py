"""For receivers of webhooks: is this delivery from your Nereid, and is it fresh?

>>> from nereid import webhooks
>>> event = webhooks.verify(request.headers, request.body, "whsec_…")
>>> print(event["type"], event["data"])

Any library of the Standard Webhooks specification does the same; this one needs nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

from nereid.errors import NereidError

TOLERANCE_S = 300
"""How old, or how far ahead of this machine's clock, a delivery may be."""

_PREFIX = "whsec_"


class WebhookVerificationError(NereidError):
    """This is no fresh delivery signed with that secret: do not act on it; answer 400."""


def verify(
    headers: Mapping[str, str],
    body: bytes | str,
    secret: str,
    *,
    tolerance_s: float = TOLERANCE_S,
) -> dict[str, Any]:
    """The event, once it is certain that whoever has the secret sent it, unchanged and lately.

    Args:
        headers: of the request; names in any case.
        body: exactly as it came: what was parsed and written again has another signature.
        secret: `whsec_…`, as it was shown.

    Raises:
        WebhookVerificationError: a header is missing, the time is off, no signature fits, or the
            body is no JSON object.
        ValueError: the secret is none.
    """
    given = {name.lower(): value for name, value in headers.items()}
    identity, timestamp = _needed(given, "webhook-id"), _needed(given, "webhook-timestamp")
    signatures = _needed(given, "webhook-signature").split()
    _check_time(timestamp, tolerance_s)
    raw = body.encode() if isinstance(body, str) else bytes(body)
    signed = _bytes(f"{identity}.{timestamp}.") + raw
    right = "v1," + base64.b64encode(_hmac(_key(secret), signed)).decode()
    # In constant time: how long it takes says nothing of the right one.
    if not any(hmac.compare_digest(_bytes(one), right.encode()) for one in signatures):
        raise WebhookVerificationError("no signature of this delivery fits the secret")
    return _event(raw)


def _needed(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if not value:
        raise WebhookVerificationError(f"no {name} header: this is no delivery of a webhook")
    return value


def _bytes(text: str) -> bytes:
    return text.encode(errors="replace")


def _check_time(timestamp: str, tolerance_s: float) -> None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise WebhookVerificationError("webhook-timestamp is no time")
    off = time.time() - int(timestamp)
    if abs(off) > tolerance_s:
        way = "old" if off > 0 else "ahead of this machine's clock"
        raise WebhookVerificationError(f"this delivery is {abs(off):.0f} s {way}")


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not a webhook's secret: those look like whsec_…") from None


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()


def _event(raw: bytes) -> dict[str, Any]:
    try:
        document = json.loads(raw)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise WebhookVerificationError("the body is no JSON object")
    return document
