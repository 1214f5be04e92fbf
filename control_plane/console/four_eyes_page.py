"""The page that asks before an endpoint gets the four-eyes rule, or loses it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from control_plane.console.record_admin import RecordAdmin, change_url
from control_plane.domain.four_eyes import LIFT, ChangeState
from control_plane.domain.violations import NotAllowedError, NotFoundError
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.services import update_endpoint

ON = [
    "Whoever asks for a change of its traffic cannot approve it: another person who may change "
    "the endpoint does.",
    "Rolling back to what served before, and sending everything to the primary, stay open to one "
    "person.",
    "It cannot be deleted while it has the rule.",
    "Only an admin switches the rule off again.",
]
OFF = ["One person changes its traffic from then on, without anybody else."]


def four_eyes_page(pages: RecordAdmin, request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """GET says what it does; POST switches to what the page asked (`wanted`: on or off)."""
    lifts = request.user.has_perm(LIFT, endpoint)
    if request.method == "POST":
        # What the page asked, not the opposite of what is so by now.
        wanted = request.POST.get("wanted", "on") == "on"
        try:
            changed = update_endpoint(
                name=endpoint.name,
                actor=request.user.get_username(),
                four_eyes=wanted,
                may_lift=lifts,
            )
        except NotAllowedError as refusal:
            raise PermissionDenied(str(refusal)) from refusal
        except NotFoundError as refusal:
            pages.message_user(request, str(refusal), messages.ERROR)
            return HttpResponseRedirect(change_url(endpoint))
        word = "has the four-eyes rule" if changed.four_eyes else "has no four-eyes rule any more"
        pages.message_user(request, f"{changed.name} {word}.", messages.SUCCESS)
        return HttpResponseRedirect(change_url(endpoint))
    name = endpoint.name
    context: dict[str, Any] = {
        "original": endpoint,
        "back": change_url(endpoint),
        "on": endpoint.four_eyes,
        "heading": f"Have changes of {name} approved by a second person?",
        "consequences": ON,
    }
    if endpoint.four_eyes:
        context |= {
            "heading": f"Let one person change {name} again?",
            "consequences": OFF + _superseded(endpoint),
            "error": "" if lifts else f"{name} has the rule, and only an admin switches it off.",
        }
    return pages.page(request, "console/four_eyes.html", "Four-eyes rule", context)


def _superseded(endpoint: Endpoint) -> list[str]:
    waiting = endpoint.changes.filter(state=ChangeState.PENDING)
    return [
        f"Change {change.number}, asked for by {change.asked_by}, ends: nobody has to approve it."
        for change in waiting
    ]
