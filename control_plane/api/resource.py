"""What every resource's views share: the caller's name, JSON fields, the present URLs."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from control_plane.domain.violations import InvalidInputError, Violation


class ResourceView(APIView):
    """A view of one resource."""

    @property
    def actor(self) -> str:
        """The caller's name, for the audit record."""
        return str(self.request.user.get_username())


def link(request: Request, view: str, **kwargs: Any) -> str:
    """The absolute URL of a named view."""
    return str(reverse(f"api:{view}", kwargs=kwargs, request=request))


def json_object(request: Request, known: set[str]) -> dict[str, Any]:
    """The body as a JSON object with known fields alone.

    Raises:
        InvalidInputError: it is something else, or has a field that is not known.
    """
    body = request.data
    if not isinstance(body, dict):
        raise InvalidInputError([Violation("", "type", "the body is a JSON object")])
    if unknown := sorted(body.keys() - known):
        detail = f"unknown field; known here: {', '.join(sorted(known))}"
        raise InvalidInputError([Violation(f"/{name}", "unknown", detail) for name in unknown])
    return dict(body)
