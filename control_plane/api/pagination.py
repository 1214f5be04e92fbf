"""Lists: `{"results", "next", "previous"}` with `?limit=&cursor=`."""

from __future__ import annotations

from typing import Any

from rest_framework.pagination import CursorPagination
from rest_framework.response import Response


class _Pages(CursorPagination):
    page_size = 50
    max_page_size = 500
    page_size_query_param = "limit"
    cursor_query_param = "cursor"

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


class NamePagination(_Pages):
    """By name, for what has one."""

    ordering = "name"


class NumberPagination(_Pages):
    """By number, newest first."""

    ordering = "-number"


class NewestPagination(_Pages):
    """By row, newest first."""

    ordering = "-id"
