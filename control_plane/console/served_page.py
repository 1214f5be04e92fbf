"""The page that says what served an endpoint at a time, also one that is gone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.dateparse import parse_datetime
from django.utils.timezone import get_current_timezone, is_naive, make_aware

from control_plane import wiring
from control_plane.console.record_admin import RecordAdmin
from control_plane.domain.access import Kind, Target
from control_plane.domain.violations import InvalidInputError, NotFoundError
from control_plane.endpoints.history import arms_of, served_at
from control_plane.endpoints.models import Endpoint, Revision

MAX_TEXT = 80


def served_page(pages: RecordAdmin, request: HttpRequest) -> HttpResponse:
    """A small form, and below it what served then; the address holds the question."""
    name = request.GET.get("endpoint", "").strip()[:MAX_TEXT]
    asked = request.GET.get("at", "").strip()[:MAX_TEXT]
    now = wiring.clock().now()
    context: dict[str, Any] = {
        "endpoint": name,
        "at": asked or f"{now:%Y-%m-%dT%H:%M}",
        "names": Endpoint.objects.order_by("name").values_list("name", flat=True),
    }
    if name:
        person: Any = request.user
        if not person.has_perm("endpoints.view_revision", Target(Kind.ENDPOINT, name)):
            raise PermissionDenied(f"you may not see what served {name}")
        try:
            moment = _moment(asked) if asked else now
            served = served_at(name, moment, now)
        except (InvalidInputError, NotFoundError) as refusal:
            context["error"] = str(refusal).removeprefix("/at: ")
        except ValueError as error:
            context["error"] = str(error)
        else:
            context |= {"moment": moment, "served": [_row(revision) for revision in served]}
    return pages.page(request, "console/served.html", "What served when", context)


def _moment(text: str) -> datetime:
    """A time as the browser's field writes it, in UTC, or one with its zone.

    Raises:
        ValueError: it is none.
    """
    try:
        moment = parse_datetime(text)
        if moment is not None:
            return make_aware(moment, get_current_timezone()) if is_naive(moment) else moment
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"“{text}” is no time: write it as 2026-11-26T10:00, in UTC")


def _row(revision: Any) -> dict[str, Any]:
    return {
        "number": revision.number,
        "arms": arms_of(revision),
        "since": revision.served_from or revision.switched_from,
        "until": revision.served_until,
        "made_by": revision.created_by,
        "approved_by": revision.approved_by,
        "reason": revision.reason,
        "under_way": revision.served_from is None,
        "record": revision if isinstance(revision, Revision) else None,
    }
