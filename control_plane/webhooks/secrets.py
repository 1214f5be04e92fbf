"""Secrets of webhooks: made, sealed for the table, and opened to sign."""

from __future__ import annotations

import base64
import secrets
from datetime import datetime
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken
from django.utils.crypto import salted_hmac

from control_plane.domain.webhooks.signing import KEY_BYTES
from control_plane.webhooks.models import Webhook


class SecretLostError(RuntimeError):
    """The sealed secret can no longer be opened: the server's own secret changed since."""


def new_key() -> bytes:
    return secrets.token_bytes(KEY_BYTES)


def seal(webhook_id: UUID, key: bytes) -> bytes:
    """Encrypted with the server's secret, for this webhook alone: whoever reads the table signs
    nothing."""
    return _fernet(webhook_id).encrypt(key)


def keys_of(webhook: Webhook, now: datetime) -> list[bytes]:
    """The keys to sign with, the newest first: two while a rotation is under way.

    Raises:
        SecretLostError: the newest cannot be opened.
    """
    fernet = _fernet(webhook.id)
    try:
        keys = [fernet.decrypt(bytes(webhook.secret))]
        if webhook.old_secret and webhook.old_secret_until and webhook.old_secret_until > now:
            keys.append(fernet.decrypt(bytes(webhook.old_secret)))
    except InvalidToken:
        raise SecretLostError(
            "its secret can no longer be read (the server's own secret changed since): rotate it"
        ) from None
    return keys


def _fernet(webhook_id: UUID) -> Fernet:
    secret = salted_hmac("nereid.webhooks", str(webhook_id), algorithm="sha256").digest()
    return Fernet(base64.urlsafe_b64encode(secret))
