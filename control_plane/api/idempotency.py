"""`Idempotency-Key`: a POST that is sent again is answered again, and carried out once.

`ResourceView` wraps every `post` with `answered_once`, so that no view has to think of it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.db import transaction
from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict
from drf_spectacular.utils import OpenApiParameter
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.domain.violations import InvalidInputError, Violation
from control_plane.idempotency.services import Answer, Ask, keep, take

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
MAX_KEY = 255

KEY_PARAMETER = OpenApiParameter(
    HEADER,
    {"type": "string", "pattern": r"^[\x21-\x7e]+$", "maxLength": MAX_KEY},
    OpenApiParameter.HEADER,
    description="Makes it safe to send this again: for 24 hours the same key with the same "
    "request gets the same answer, and nothing is done twice. A UUID is a good one.",
)

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class PartDigests(FileUploadHandler):
    """Takes the digest of every file of a form while it comes in: none is read again for it."""

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request)
        self.found: list[str] = []

    def new_file(self, *arguments: Any, **options: Any) -> None:
        super().new_file(*arguments, **options)
        self._digest = hashlib.sha256()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        self._digest.update(raw_data)
        return raw_data

    def file_complete(self, file_size: int) -> None:
        self.found.append(self._digest.hexdigest())


def watch_parts(request: HttpRequest) -> None:
    """Prepares a request with a key; call it before anybody reads the body."""
    if request.method == "POST" and HEADER in request.headers:
        request.upload_handlers.insert(0, PartDigests(request))


def answered_once(handler: Callable[..., Any]) -> Callable[..., Any]:
    """A view's `post` that honours the key: what it writes and its answer are one transaction.

    An answer that was raised as an error wrote nothing and is not kept: the key is free for the
    request that does it right. One that is streamed cannot be kept.

    Raises:
        InvalidInputError: the key is no key.
        KeyInUseError, KeyReusedError: see `idempotency.services.take`.
    """

    @functools.wraps(handler)
    def post(view: Any, request: Request, *args: Any, **kwargs: Any) -> Any:
        key = request.headers.get(HEADER)
        if key is None:
            return handler(view, request, *args, **kwargs)
        if not _KEY.fullmatch(key):
            detail = f"{HEADER}: 1 to {MAX_KEY} visible ASCII characters without a space"
            raise InvalidInputError([Violation("", "idempotency_key", detail)])
        if request.user.pk is None:  # whoever has no name cannot be known again
            return handler(view, request, *args, **kwargs)
        # All of the body is read here, before the transaction begins.
        ask = Ask(caller=str(request.user.pk), key=key, fingerprint=fingerprint(request))
        now = wiring.clock().now()
        with transaction.atomic():
            if (kept := take(ask, now)) is not None:
                return _again(kept)
            response = handler(view, request, *args, **kwargs)
            if isinstance(response, Response) and response.status_code < 500:
                keep(ask, _answer(response), now)
        return response

    return post


def fingerprint(request: Request) -> str:
    """A digest of method, path and body; of a form's files their names, sizes and digests."""
    path, _, query = request.get_full_path().partition("?")
    body = request.data
    handlers = request.upload_handlers  # they have seen the files now
    digests = [d for handler in handlers if isinstance(handler, PartDigests) for d in handler.found]
    if isinstance(body, MultiValueDict):
        body = dict(body.lists())
    asked = [request.method, path.rstrip("/"), query, body, digests]
    text = json.dumps(asked, sort_keys=True, default=_part)
    return hashlib.sha256(text.encode()).hexdigest()


def _part(value: Any) -> Any:
    if isinstance(value, UploadedFile):
        return {"file": value.name, "size": value.size}
    return str(type(value))  # a stream of its own kind: its path and digests say what it is


def _answer(response: Response) -> Answer:
    body = "" if response.data is None else JSONRenderer().render(response.data).decode()
    return Answer(response.status_code, body, dict(response.headers.items()))


def _again(kept: Answer) -> Response:
    body = json.loads(kept.body) if kept.body else None
    return Response(body, status=kept.status, headers={**kept.headers, REPLAYED: "true"})
