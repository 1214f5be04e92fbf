"""Taking a key, keeping the answer, forgetting it after a day.

Everything happens in the transaction of the write itself: a crash at any point leaves either the
write with its answer or neither, and the key free.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography.fernet import Fernet, InvalidToken
from django.db import connection
from django.utils.crypto import salted_hmac

from control_plane.domain.violations import ConflictError
from control_plane.idempotency.models import KeptAnswer

KEPT_FOR = timedelta(hours=24)

FORGOTTEN_AT_ONCE = 5000
"""Rows of one DELETE: it holds no lock for long, however many there are."""


class KeyInUseError(ConflictError):
    """A request with this key is being carried out at this moment."""


class KeyReusedError(ValueError):
    """The key was used for another request."""


@dataclass(frozen=True)
class Ask:
    """One request with a key: who asks, and a digest of everything that is asked for."""

    caller: str
    key: str
    fingerprint: str

    @property
    def digest(self) -> str:
        """Hex sha256 of the key."""
        return hashlib.sha256(self.key.encode()).hexdigest()


@dataclass(frozen=True)
class Answer:
    """What was answered: a status, the headers that the resource set, a JSON text."""

    status: int
    body: str
    headers: dict[str, str] = field(default_factory=dict)


def take(ask: Ask, now: datetime) -> Answer | None:
    """The answer that was given already, or None and the key is taken until the transaction ends.

    Call it in the transaction of the write.

    Raises:
        KeyInUseError: another request with this key is at work; nothing is waited for.
        KeyReusedError: the key belongs to another request.
        ConflictError: it was carried out, and its answer cannot be read any more.
    """
    # The database lets go of the lock with the transaction, however that ends.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_lock_number(ask)])
        (taken,) = cursor.fetchone()
    if not taken:
        raise KeyInUseError("a request with this Idempotency-Key is at work: ask again in a moment")
    rows = KeptAnswer.objects.filter(caller=ask.caller, key_digest=ask.digest)
    rows.filter(created_at__lte=now - KEPT_FOR).delete()
    kept = rows.first()
    if kept is None:
        return None
    if kept.fingerprint != ask.fingerprint:
        raise KeyReusedError(
            "this Idempotency-Key was used for another request (method, path and body count): "
            "every new request takes a new key"
        )
    return _unseal(ask, bytes(kept.answer))


def keep(ask: Ask, answer: Answer, now: datetime) -> None:
    """Keeps the answer; call it in the transaction that took the key and wrote."""
    KeptAnswer.objects.create(
        caller=ask.caller,
        key_digest=ask.digest,
        fingerprint=ask.fingerprint,
        status=answer.status,
        answer=_seal(ask, answer),
        created_at=now,
    )


def forget_old_answers(now: datetime) -> int:
    """Removes what nobody can ask for any more; returns how many."""
    old = KeptAnswer.objects.filter(created_at__lte=now - KEPT_FOR).order_by("created_at")
    forgotten = 0
    while ids := list(old.values_list("id", flat=True)[:FORGOTTEN_AT_ONCE]):
        forgotten += KeptAnswer.objects.filter(id__in=ids).delete()[0]
    return forgotten


def _lock_number(ask: Ask) -> int:
    digest = hashlib.sha256(f"{ask.caller}\0{ask.key}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _fernet(ask: Ask) -> Fernet:
    """Opens with the server's secret and the caller's key together: neither is in the table."""
    secret = salted_hmac("nereid.idempotency", ask.key, algorithm="sha256").digest()
    return Fernet(base64.urlsafe_b64encode(secret))


def _seal(ask: Ask, answer: Answer) -> bytes:
    text = json.dumps([answer.status, answer.body, answer.headers])
    return _fernet(ask).encrypt(text.encode())


def _unseal(ask: Ask, sealed: bytes) -> Answer:
    try:
        status, body, headers = json.loads(_fernet(ask).decrypt(sealed))
    except InvalidToken:
        raise ConflictError(
            "this request was carried out, but its answer can no longer be read (the server's "
            "secret changed since): look at what it made"
        ) from None
    return Answer(status, body, headers)
