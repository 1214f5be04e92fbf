"""429: a caller who asks too often is told when to come back."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from control_plane.access.models import ApiToken
from control_plane.access.throttle import address_of, throttle


class CallerThrottle(BaseThrottle):
    """By token, by person in a browser, by address for those who did not say who they are.

    Writes have a limit of their own beside it, less those of views that say `counted_as_write =
    False`: what comes in masses and changes no intent.
    """

    _wait: int | None = None

    def allow_request(self, request: Request, view: Any) -> bool:
        if not request.user or not request.user.is_authenticated:
            self._wait = throttle().count("anonymous", address_of(request._request))
            return self._wait is None
        token = request.auth if isinstance(request.auth, ApiToken) else None
        who = f"token-{token.pk}" if token else f"user-{request.user.pk}"
        self._wait = throttle().count("callers", who)
        writes = request.method not in SAFE_METHODS and getattr(view, "counted_as_write", True)
        if self._wait is None and writes:
            self._wait = throttle().count("writes", who)
        return self._wait is None

    def wait(self) -> float | None:
        return self._wait
