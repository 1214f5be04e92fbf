"""Pages that ask before something is done: what will happen, a button, and what was in the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from control_plane.console.record_admin import RecordAdmin, change_url
from control_plane.domain.violations import ConflictError, NotFoundError


@dataclass(frozen=True)
class Question:
    """What is asked; `harmless` has a button that does not warn."""

    title: str
    heading: str
    consequences: Sequence[str]
    confirm: str
    harmless: bool = False
    obstacle: str = ""
    """Why it cannot be done now, which is known before anybody tries."""


def ask(
    pages: RecordAdmin,
    request: HttpRequest,
    record: Any,
    question: Question,
    act: Callable[[], str],
) -> HttpResponse:
    """GET says what it does; POST does it, says what `act` returns, and leads to the record.

    A refusal of the service is shown on the page, with status 409.
    """
    error = question.obstacle
    if request.method == "POST":
        try:
            said = act()
        except (ConflictError, NotFoundError) as refusal:
            error = str(refusal)
        else:
            pages.message_user(request, said, messages.SUCCESS)
            return HttpResponseRedirect(change_url(record))
    context = {
        "original": record,
        "heading": question.heading,
        "consequences": question.consequences,
        "error": error,
        "confirm": question.confirm,
        "harmless": question.harmless,
        "back": change_url(record),
    }
    response = pages.page(request, "console/confirm.html", question.title, context)
    response.status_code = 409 if request.method == "POST" else 200
    return response
