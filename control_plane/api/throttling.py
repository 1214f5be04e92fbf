"""429: a caller who asks too often is told when to come back."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from control_plane.access.models import ApiToken
from control_plane.access.throttle import address_of, throttle


class CallerThrottle(BaseThrottle):
    """By token, by person in a browser, by address for those who did not say who they are."""

    _wait: int | None = None

    def allow_request(self, request: Request, view: Any) -> bool:
        if isinstance(request.auth, ApiToken):
            self._wait = throttle().count("callers", f"token-{request.auth.pk}")
        elif request.user and request.user.is_authenticated:
            self._wait = throttle().count("callers", f"user-{request.user.pk}")
        else:
            self._wait = throttle().count("anonymous", address_of(request._request))
        return self._wait is None

    def wait(self) -> float | None:
        return self._wait
