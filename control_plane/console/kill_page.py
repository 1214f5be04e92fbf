"""The page that asks before everything goes to the primary."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html

from control_plane import wiring
from control_plane.console.record_admin import RecordAdmin, change_url
from control_plane.domain.planning.plan import Plan
from control_plane.domain.violations import ConflictError, InvalidInputError, NotFoundError
from control_plane.endpoints.kill import held_plan, kill
from control_plane.endpoints.models import Endpoint


def kill_page(pages: RecordAdmin, request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """GET says what it does; POST does it."""
    context: dict[str, Any] = {"original": endpoint, "back": change_url(endpoint)}
    if request.method == "POST":
        try:
            return _kill(pages, request, endpoint)
        except (ConflictError, NotFoundError, InvalidInputError) as refusal:
            context["error"] = str(refusal)
    held = held_plan(endpoint)
    if held is None:
        context["error"] = f"{endpoint.name} has no policy yet, so there is nothing to take back."
    else:
        primary = held.routing.primary
        context["primary"] = primary
        context["physical"] = next(p.physical for p in held.arms if p.arm.name == primary.name)
        context["consequences"] = consequences(endpoint, held)
    return pages.page(request, "console/kill.html", "Everything to the primary", context)


def consequences(endpoint: Endpoint, held: Plan) -> list[str]:
    """What it does, for people to read before they press the button."""
    policy = held.routing
    others = [arm.name for arm in policy.arms if not arm.primary]
    said = []
    if endpoint.generation != held.generation:
        said.append(f"The change to generation {endpoint.generation} is called off.")
    if others:
        verb, stays = ("gets", "stays") if len(others) == 1 else ("get", "stay")
        said.append(
            f"{', '.join(others)} {verb} no more requests, and {stays} loaded for the way back."
        )
        said.append(f"Live sequences on {', '.join(others)} are cut: their callers start anew.")
    off = [
        word
        for word, there in (
            (f"{len(policy.rules)} rule{'s' if len(policy.rules) > 1 else ''}", policy.rules),
            ("the shadow", policy.shadows),
            ("the adaptive mode", policy.objective),
        )
        if there
    ]
    if off:
        said.append(f"Switched off with it: {', '.join(off)}. The way back brings them again.")
    said.append("It waits for no other arm and no model load: the servers hold the primary.")
    return said


def _kill(pages: RecordAdmin, request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    changed = kill(
        name=endpoint.name,
        actor=request.user.get_username(),
        queue=wiring.queue(),
        print_config=wiring.print_config,
        reason=request.POST.get("reason", "").strip(),
    )
    if changed.generation == endpoint.generation:
        text = f"Everything of {changed.name} goes to the primary already."
        pages.message_user(request, text, messages.INFO)
    else:
        text = format_html(
            "Everything of {} goes to the primary, as generation {}. "
            '<a class="n-link" href="{}">Roll back</a> undoes it.',
            changed.name,
            changed.generation,
            reverse("admin:endpoints_endpoint_roll_back", args=[endpoint.pk]),
        )
        pages.message_user(request, text, messages.SUCCESS)
    return HttpResponseRedirect(change_url(endpoint))
