"""Lists: `{"results", "next", "previous"}` with `?limit=&cursor=&ordering=`."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import QuerySet
from rest_framework.exceptions import NotFound
from rest_framework.filters import OrderingFilter
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from control_plane.domain.violations import InvalidInputError, Violation


class AllowedOrdering(OrderingFilter):
    """`?ordering=field` or `-field`, one of the view's `ordering_fields`; another is refused."""

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: Any) -> Any:
        wanted = request.query_params.get(self.ordering_param, "").strip()
        if not wanted:
            return None
        allowed = view.ordering_fields
        if wanted.removeprefix("-") not in allowed:
            detail = f"{wanted[:80]!r}: lists are ordered by {', '.join(allowed)}, or -{allowed[0]}"
            raise InvalidInputError([Violation("/ordering", "invalid", detail)])
        return (wanted,)

    def filter_queryset(
        self, request: Request, queryset: QuerySet[Any], view: Any
    ) -> QuerySet[Any]:
        # The pagination asks for the ordering itself, and needs it for its cursors.
        return queryset


class _Pages(CursorPagination):
    page_size = 50
    max_page_size = 500
    page_size_query_param = "limit"
    cursor_query_param = "cursor"

    def paginate_queryset(
        self, queryset: QuerySet[Any], request: Request, view: Any = None
    ) -> list[Any] | None:
        self._model = queryset.model
        self._order = self.get_ordering(request, queryset, view)[0].removeprefix("-")
        try:
            return super().paginate_queryset(queryset, request, view)
        except NotFound:
            raise _broken_cursor() from None

    def get_page_size(self, request: Request) -> int:
        """The `?limit=`, at most `max_page_size`.

        Raises:
            InvalidInputError: it is no number from 1.
        """
        text = request.query_params.get(self.page_size_query_param)
        if text is None:
            return self.page_size
        if not (text.isascii() and text.isdigit() and int(text[:10]) > 0):
            detail = f"{text[:80]!r}: a limit is a number from 1 to {self.max_page_size}"
            raise InvalidInputError([Violation("/limit", "invalid", detail)])
        return min(int(text[:10]), self.max_page_size)

    def decode_cursor(self, request: Request) -> Any:
        """The cursor, whose position is a value that its column can have."""
        cursor = super().decode_cursor(request)
        if cursor is None or cursor.position is None:
            return cursor
        if "\0" in cursor.position:
            raise _broken_cursor()
        try:
            self._model._meta.get_field(self._order).to_python(cursor.position)
        except (ValidationError, ValueError, OverflowError, FieldDoesNotExist):
            raise _broken_cursor() from None
        return cursor

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {
                "results": data,
                "next": self.get_next_link(),
                "previous": self.get_previous_link(),
            }
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["results", "next", "previous"],
            "properties": {
                "results": {
                    "type": "array",
                    "items": schema.get("items", schema),
                },
                "next": link,
                "previous": link,
            },
        }


class ListedPagination(_Pages):
    """A short list that no table has as it is; its cursor is a place in it."""

    ordering = "name"

    def paginate_queryset(
        self, queryset: Any, request: Request, view: Any = None
    ) -> list[Any] | None:
        size, text = self.get_page_size(request), request.query_params.get("cursor", "0")
        if not (text.isascii() and text.isdigit() and int(text[:10]) <= len(queryset)):
            raise _broken_cursor()
        self._at, self._size, self._count = int(text[:10]), size, len(queryset)
        self._address = request.build_absolute_uri()
        return list(queryset[self._at : self._at + size])

    def get_next_link(self) -> str | None:
        following = self._at + self._size
        return self._link(following) if following < self._count else None

    def get_previous_link(self) -> str | None:
        return self._link(max(0, self._at - self._size)) if self._at else None

    def _link(self, place: int) -> str:
        return str(replace_query_param(self._address, self.cursor_query_param, place))


def _broken_cursor() -> InvalidInputError:
    detail = "not a cursor of this list: follow the links 'next' and 'previous'"
    return InvalidInputError([Violation("/cursor", "invalid", detail)])


class NamePagination(_Pages):
    """By name, for what has one."""

    ordering = "name"


class UsernamePagination(_Pages):
    """By name, for people."""

    ordering = "username"


class NumberPagination(_Pages):
    """By number, newest first."""

    ordering = "-number"


class CreatedPagination(_Pages):
    """By when it was made, newest first, for what has no number."""

    ordering = "-created_at"


class NewestPagination(_Pages):
    """By row, newest first."""

    ordering = "-id"
