"""Addresses of the console with characters that nothing here can have in its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse

SIGNING_IN = "/console/login/"
"""Reads no record; what an identity provider sends along is shown as far as it is legible."""

_CONTROL = re.compile(rb"[\x00\x7f]")
"""The database cannot even be asked for a NUL: the pages of records would fail over it."""


class LegibleAddressMiddleware:
    """Answers 400 where a page's address or query has one; the API says 404 by itself."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_view(self, request: HttpRequest, view: object, *_: object) -> None:
        """Refuses it before the view; a browser's form is read by the view itself.

        Raises:
            BadRequest: the address has such a character.
        """
        if not request.path.startswith("/console/") or request.path.startswith(SIGNING_IN):
            return
        asked = request.path.encode(errors="surrogateescape")
        query = request.META.get("QUERY_STRING", "").encode("latin-1", "replace")
        if _CONTROL.search(asked) or _CONTROL.search(unquote_to_bytes(query)):
            raise BadRequest("this address has a control character in it")
