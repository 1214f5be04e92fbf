"""The page that asks before traffic goes back to an earlier revision."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from control_plane import wiring
from control_plane.console.record_admin import RecordAdmin, change_url
from control_plane.domain.four_eyes import Ruling
from control_plane.domain.violations import ConflictError, InvalidInputError, NotFoundError
from control_plane.endpoints.intent import way_back
from control_plane.endpoints.models import Endpoint, Revision
from control_plane.endpoints.preview import preview
from control_plane.endpoints.rollback import rollback, rollback_target


def rollback_page(pages: RecordAdmin, request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """GET shows where it would go back to and what that changes; POST does it.

    Where the target cannot be gone back to, the page says why, and has no button for it.
    `?revision=` names the target; without it, it is the one the service would take.
    """
    asked = request.POST.get("revision") or request.GET.get("revision") or ""
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 10 else None
    context: dict[str, Any] = {"original": endpoint, "back": change_url(endpoint)}
    try:
        target = rollback_target(endpoint, number)
        context["target"] = target
        if request.method == "POST":
            return _roll_back(pages, request, endpoint, target)
        verdict = way_back(endpoint, target)
        if verdict.ruling is not Ruling.GO:
            raise ConflictError(verdict.reason)
        context["plan"] = preview(
            name=endpoint.name, document=target.policy, print_config=wiring.print_config
        )
    except (ConflictError, NotFoundError, InvalidInputError) as refusal:
        context["error"] = str(refusal)
    return pages.page(request, "console/rollback.html", "Roll back", context)


def _roll_back(
    pages: RecordAdmin, request: HttpRequest, endpoint: Endpoint, target: Revision
) -> HttpResponse:
    # By its number: what the person has seen, whatever happened since.
    changed = rollback(
        name=endpoint.name,
        actor=request.user.get_username(),
        queue=wiring.queue(),
        print_config=wiring.print_config,
        revision=target.number,
        reason=request.POST.get("reason", "").strip(),
    )
    generation = f"as generation {changed.generation}"
    text = f"{changed.name} goes back to revision {target.number} {generation}."
    pages.message_user(request, text, messages.SUCCESS)
    return HttpResponseRedirect(change_url(endpoint))
