"""`nereid.webhooks.verify` against the specification's own library, both ways."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from control_plane.domain.webhooks import signing
from nereid import webhooks

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def delivered(body: bytes, secret: str = SECRET, at: float | None = None) -> dict[str, str]:
    """Headers as the specification's library signs them."""
    moment = datetime.fromtimestamp(at or time.time(), tz=UTC)
    return {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(int(moment.timestamp())),
        "Webhook-Signature": Webhook(secret).sign("evt_1", moment, body.decode()),
    }


@given(st.dictionaries(st.text(), st.text() | st.integers()), st.binary(min_size=24, max_size=64))
def test_what_the_librarys_signs_is_accepted_and_what_we_sign_the_library_accepts(
    event: dict[str, Any], key: bytes
) -> None:
    secret = signing.secret_text(key)
    body = json.dumps(event).encode()
    assert webhooks.verify(delivered(body, secret), body, secret) == event
    signed = signing.headers([b"another" * 5, key], "evt_1", int(time.time()), body)
    assert Webhook(secret).verify(body, signed) == event
    assert webhooks.verify(signed, body.decode(), secret) == event


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_one_changed_byte_is_noticed(place: int, change: int) -> None:
    body = bytearray(b'{"type":"version.ready","data":{"model":"digits"}}')
    headers = delivered(bytes(body))
    body[place % len(body)] ^= change
    with pytest.raises(webhooks.WebhookVerificationError, match="no signature"):
        webhooks.verify(headers, bytes(body), SECRET)


@pytest.mark.parametrize("off_s", [-301, 301, -86400])
def test_what_is_not_of_now_is_refused(off_s: int) -> None:
    headers = delivered(b"{}", at=time.time() + off_s)
    with pytest.raises(webhooks.WebhookVerificationError, match="this delivery is"):
        webhooks.verify(headers, b"{}", SECRET)
    assert webhooks.verify(headers, b"{}", SECRET, tolerance_s=100_000) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Webhook-Id", ""),
        ("Webhook-Id", "evt_2"),
        ("Webhook-Timestamp", ""),
        ("Webhook-Timestamp", "now"),
        ("Webhook-Timestamp", "9" * 400),
        ("Webhook-Timestamp", "\u0661"),
        ("Webhook-Signature", ""),
        ("Webhook-Signature", "v1,"),
        ("Webhook-Signature", "v1,\udcff"),
        ("Webhook-Signature", "v2,c2lnbmF0dXJl"),
    ],
)
def test_headers_that_do_not_fit_are_refused(name: str, value: str) -> None:
    with pytest.raises(webhooks.WebhookVerificationError):
        webhooks.verify({**delivered(b"{}"), name: value}, b"{}", SECRET)


def test_a_signature_of_another_version_is_passed_over() -> None:
    headers = delivered(b"{}")
    headers["Webhook-Signature"] = f"v2,xx {headers['Webhook-Signature']}"
    assert webhooks.verify(headers, b"{}", SECRET) == {}


@pytest.mark.parametrize("body", [b"[]", b"not json", b"\xff", b""])
def test_what_is_no_event_is_refused(body: bytes) -> None:
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = signing.headers([key], "evt_1", int(time.time()), body)
    with pytest.raises(webhooks.WebhookVerificationError, match="no JSON object"):
        webhooks.verify(signed, body, SECRET)


def test_a_secret_that_is_none_is_a_mistake_of_the_receiver() -> None:
    with pytest.raises(ValueError, match="whsec_"):
        webhooks.verify(delivered(b"{}"), b"{}", "password!")
