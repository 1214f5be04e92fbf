"""Asking again where that helps and does no harm."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from nereid.errors import UnreachableError
from nereid.steps import Pause, Send, Steps

REFUSED_FOR_NOW = frozenset({429, 503})
LOST_ON_THE_WAY = frozenset({502, 504})


@dataclass(frozen=True)
class Retry:
    """How often to ask, and how long to wait in between.

    The pause doubles from `first` up to `longest` seconds, less a random part of up to a half, so
    that many callers do not come back at the same moment. A server that says how long to wait
    (`Retry-After`) is obeyed; one that says more than `patience` seconds is not waited for.

    That an attempt is still at work under its key is no further attempt: its end is waited for, up
    to `patience` seconds in all.
    """

    attempts: int = 4
    first: float = 0.2
    longest: float = 5.0
    patience: float = 60.0

    def pause(self, attempt: int, drawn: float) -> float:
        """Seconds after that attempt (the first is 1); `drawn` is random in [0, 1).

        first * 2 ** (attempt - 1), at most longest, times 0.5 to 1: with the defaults
        pause(2, 0.5) = 0.2 * 2 * 0.75 = 0.3 s.
        """
        return float(min(self.longest, self.first * 2 ** (attempt - 1)) * (1 - drawn / 2))


NEVER = Retry(attempts=1)


def attempts(
    send: Send,
    retry: Retry,
    *,
    draw: Callable[[], float] = random.random,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Steps[httpx.Response]:
    """Sends a request until it has an answer that will stay.

    Raises:
        UnreachableError: no answer came, and asking again would not help or could do harm.
    """
    doubtful, attempt, waited = False, 0, 0.0
    while True:
        attempt += 1
        wait: float | None = None
        try:
            response: httpx.Response = yield send
        except UnreachableError as error:
            if attempt >= retry.attempts or (error.doubtful and not send.repeatable):
                raise
            doubtful = doubtful or error.doubtful
        else:
            if doubtful and send.method == "DELETE" and response.status_code == 404:
                return httpx.Response(204, request=response.request)  # the first time did it
            wait = _asked_to_wait(response, now)
            if wait is not None and wait > retry.patience:
                return response
            if wait is not None and retry.attempts > 1 and _at_work(response, send):
                waited, attempt = waited + max(wait, retry.first), attempt - 1
                if waited > retry.patience:
                    return response
            elif attempt >= retry.attempts or not _passing(response, send):
                return response
            doubtful = doubtful or response.status_code in LOST_ON_THE_WAY
        yield Pause(wait if wait is not None else retry.pause(attempt, draw()))


def _passing(response: httpx.Response, send: Send) -> bool:
    """Whether the answer may be another one in a moment."""
    if response.status_code in REFUSED_FOR_NOW:
        return True
    return response.status_code in LOST_ON_THE_WAY and send.repeatable


def _at_work(response: httpx.Response, send: Send) -> bool:
    """Whether the first attempt is still at work, under the same key."""
    busy = response.status_code == httpx.codes.CONFLICT and "Retry-After" in response.headers
    return busy and send.method == "POST"


def _asked_to_wait(response: httpx.Response, now: Callable[[], datetime]) -> float | None:
    """The seconds of `Retry-After`, which has a number or a date."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, (then - now()).total_seconds())
