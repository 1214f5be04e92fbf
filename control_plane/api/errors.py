"""Every error of the API as an RFC 9457 problem document."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from control_plane.domain.stored_json import pointer_part
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
    StaleEditError,
)
from control_plane.idempotency.services import KeyInUseError, KeyReusedError
from control_plane.ports.inspection import SandboxUnavailableError
from control_plane.ports.repository import ArtifactDamagedError, ArtifactStoreFailedError
from control_plane.ports.sources import SourceFailedError
from control_plane.registry.uploads import UploadExpiredError

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"


class PreconditionRequiredError(exceptions.APIException):
    """A write that needs `If-Match` came without it."""

    status_code = HTTPStatus.PRECONDITION_REQUIRED
    default_detail = (
        "send If-Match with the ETag you have read, or * to overwrite whatever is there"
    )
    default_code = "precondition_required"


def problem_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: what is known becomes a problem, the rest a 500 one."""
    request = context["request"]
    set_rollback()
    status, detail, errors, headers = _describe(error)
    if status >= 500:
        logger.exception("%s %s", request.method, request.path, exc_info=error)
    return Response(
        problem(request, status, detail, errors),
        status=status,
        headers=headers,
        content_type=CONTENT_TYPE,
    )


def problem(
    request: Any, status: int, detail: str, errors: list[dict[str, str]] | None = None
) -> dict[str, Any]:
    """The document itself."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
        "instance": request.path,
        "request_id": getattr(request, "request_id", ""),
        "errors": errors or [],
    }


def plain_problem(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    """A problem from outside DRF: an unknown path, a failure in the middleware."""
    return JsonResponse(problem(request, status, detail), status=status, content_type=CONTENT_TYPE)


# Errors that are told by their own words: what they are, the status, the words for those without.
_PLAIN: tuple[tuple[tuple[type[Exception], ...], int, str], ...] = (
    ((UploadExpiredError,), 410, ""),
    ((NotFoundError, Http404), 404, "there is nothing here"),
    ((StaleEditError,), 412, ""),
    ((KeyReusedError,), 422, ""),
    ((ConflictError,), 409, ""),
    ((PermissionDenied, NotAllowedError), 403, "you may not do this"),
    (
        (
            *(SandboxUnavailableError, SourceFailedError),
            *(ArtifactStoreFailedError, ArtifactDamagedError),
        ),
        503,
        "",
    ),
    ((RequestDataTooBig,), 413, "the body is too large"),
    # Too many fields or files in a form, and the like.
    ((SuspiciousOperation,), 400, "this request is not one that is answered"),
)


def _describe(error: Exception) -> tuple[int, str, list[dict[str, str]], dict[str, str]]:
    if isinstance(error, InvalidInputError):
        errors = [
            {"pointer": v.pointer, "code": v.code, "detail": v.detail} for v in error.violations
        ]
        return 400, _summary(errors), errors, {}
    for kinds, status, otherwise in _PLAIN:
        if isinstance(error, kinds):
            headers = {"Retry-After": "1"} if isinstance(error, KeyInUseError) else {}
            return status, str(error) or otherwise, [], headers
    if isinstance(error, exceptions.ValidationError):
        errors = _flatten(error.detail, "")
        return 400, _summary(errors), errors, {}
    if isinstance(error, exceptions.APIException):
        headers = {}
        if challenge := getattr(error, "auth_header", None):
            headers["WWW-Authenticate"] = challenge
        if wait := getattr(error, "wait", None):
            headers["Retry-After"] = str(int(wait))
        return error.status_code, str(error.detail), [], headers
    detail = "something went wrong here; the server's log has it under this request_id"
    return 500, detail, [], {}


def _summary(errors: list[dict[str, str]]) -> str:
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    where = f"{first['pointer']}: " if first["pointer"] else ""
    return f"{where}{first['detail']}{more}"


def _flatten(detail: Any, pointer: str) -> list[dict[str, str]]:
    """DRF's nested errors as a flat list with JSON pointers."""
    if isinstance(detail, dict):
        return [
            entry
            for key, value in detail.items()
            for entry in _flatten(
                value,
                pointer if key == "non_field_errors" else f"{pointer}/{pointer_part(key)}",
            )
        ]
    if isinstance(detail, list):
        found = []
        for i, value in enumerate(detail):
            nested = isinstance(value, dict | list)
            found += _flatten(value, f"{pointer}/{i}" if nested else pointer)
        return found
    code = getattr(detail, "code", "invalid")
    return [{"pointer": pointer, "code": str(code), "detail": str(detail)}]
