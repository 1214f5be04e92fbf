"""A list of records: what Unfold's asks again and again for every row is worked out once.

Of long lists the count has an end: to count 200,000 rows the database reads them all, for a number
that nobody needs to the last digit.
"""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.views import ChangeList

COUNTED = 10_000
"""Rows up to which a list is counted, and leafed through; who looks further searches or filters."""


class CountedPaginator(Paginator):
    """Pages of at most `COUNTED` rows; `has_more` says that there are others."""

    template_name = "console/parts/pagination.html"

    @cached_property
    def _counted(self) -> int:
        rows = self.object_list
        return rows.order_by()[: COUNTED + 1].count() if isinstance(rows, QuerySet) else len(rows)

    @cached_property
    def count(self) -> int:
        return min(self._counted, COUNTED)

    @property
    def has_more(self) -> bool:
        return self._counted > COUNTED


class RecordList(ChangeList):
    """Unfold's list; it asks for the headers' addresses once a row, and gets them made once."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self._queries: dict[Any, str] = {}
        super().__init__(request, *args, **kwargs)

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        rows = super().get_queryset(request, exclude_parameters)
        return rows.defer(*self.model_admin.list_defer)

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.has_active_filters and not self.query:
            # "2 results (Show all)" beside the heading is for a list that leaves something out.
            self.full_result_count = self.result_count

    def get_query_string(self, new_params: Any = None, remove: Any = None) -> str:
        # A list of values for a field that has no filter here is one of those: no key by itself.
        key = repr((new_params, remove))
        if key not in self._queries:
            self._queries[key] = super().get_query_string(new_params, remove)
        return self._queries[key]

    @cached_property
    def _ordered(self) -> dict[int, str]:
        return super().get_ordering_field_columns()

    def get_ordering_field_columns(self) -> dict[int, str]:
        return self._ordered
