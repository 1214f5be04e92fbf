"""The audit record of what was refused: who tried what, when, and from where.

Kept are attempts that rights refused (403), by whoever is known, and tokens that are none any more
or never were. It is bounded by person and by address: whoever is refused cannot fill the record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.encoding import escape_uri_path

from control_plane.access.logins import STRANGER
from control_plane.access.models import ApiToken, Bearer
from control_plane.access.throttle import address_of, caller_address, throttle
from control_plane.audit.services import record
from control_plane.domain.concealing import concealed

DENIED = "request.denied"
TOKEN_REFUSED = "token.refused"  # noqa: S105 - an action's name
UNKNOWN_TOKEN = "(no such token)"  # noqa: S105 - what is shown in its place
MAX_PATH = 200
MAX_WHY = 500


class DenialsMiddleware:
    """Records each 403 of somebody who is known; comes behind what finds out who asks."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        if response.status_code == 403 and request.user.is_authenticated:
            note_denial(request, response)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """Keeps the words of a page's refusal, which its answer may not have."""
        request.refused_for = str(exception)  # type: ignore[attr-defined] # ours


def note_denial(request: HttpRequest, response: HttpResponse) -> None:
    """Records that somebody was refused what they tried; above the limit nothing is."""
    who: Any = request.user
    if throttle().count("denials", f"user-{who.pk}") is not None:
        return
    path = _path(request)
    match = request.resolver_match
    name = match.kwargs.get("name") if match else None
    said = {"method": request.method, "path": path, "address": caller_address(request)}
    if isinstance(who, Bearer):
        said["token"] = who.token.name
    record(
        actor=who.get_username(),
        action=DENIED,
        object_type="request",
        object_id="",
        object_name=concealed(name or path)[:MAX_PATH],
        after=said,
        reason=concealed(_why(request, response))[:MAX_WHY],
    )


def note_refused_token(request: HttpRequest, token: ApiToken | None) -> None:
    """Records a token that lets nobody in.

    Args:
        token: the one that it was, where it has ended or its owner may come in no more; None:
            nobody ever had it, and nothing of it is kept.
    """
    if throttle().count("denials", address_of(request)) is not None:
        return
    record(
        actor=STRANGER,
        action=TOKEN_REFUSED,
        object_type="token",
        object_id=token.pk if token else "",
        object_name=token.name if token else UNKNOWN_TOKEN,
        after={
            "of": token.user.get_username() if token else "",
            "path": _path(request),
            "address": caller_address(request),
        },
        reason=_ended(token) if token else "this token is not known",
    )


def _path(request: HttpRequest) -> str:
    return concealed(escape_uri_path(request.path))[:MAX_PATH]


def _ended(token: ApiToken) -> str:
    state = token.state(timezone.now())
    return "its owner's account is switched off" if state == "live" else f"it is {state}"


def _why(request: HttpRequest, response: HttpResponse) -> str:
    data = getattr(response, "data", None)
    said = data.get("detail") if isinstance(data, dict) else getattr(request, "refused_for", "")
    return str(said or "")
