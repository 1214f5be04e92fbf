"""The page that asks before a person does something to a rollout, and says what will happen."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.text import capfirst

from control_plane import wiring
from control_plane.console import words
from control_plane.console.record_admin import RecordAdmin, change_url
from control_plane.console.rollout_words import control_of
from control_plane.domain.rollout.states import Event
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
)
from control_plane.rollouts import services
from control_plane.rollouts.controls import controls_of
from control_plane.rollouts.models import Rollout


def control_page(
    pages: RecordAdmin, request: HttpRequest, rollout: Rollout, event: Event
) -> HttpResponse:
    """GET says what it does, or why it cannot be done now; POST does it."""
    control = control_of(rollout, event)
    error = controls_of(rollout, request.user.get_username()).get(event.value, "")
    if request.method == "POST":
        try:
            done = _do(request, rollout, event)
            text = f"{capfirst(done.reason)}: {done} is {words.spaced(done.state)}."
            pages.message_user(request, text, messages.SUCCESS)
            return HttpResponseRedirect(change_url(done))
        except (ConflictError, InvalidInputError, NotAllowedError, NotFoundError) as refusal:
            error = str(refusal)
    context: dict[str, Any] = {
        "original": rollout,
        "heading": control.question.format(rollout=rollout, to=rollout.to),
        "consequences": [] if error else control.consequences(rollout),
        "confirm": control.button,
        "kind": control.kind or "n-primary",
        "error": error,
        "back": change_url(rollout),
    }
    response = pages.page(request, "console/rollout_control.html", control.button, context)
    response.status_code = 409 if error and request.method == "POST" else 200
    return response


def _do(request: HttpRequest, rollout: Rollout, event: Event) -> Rollout:
    """Calls the service of that control."""
    what: dict[str, Any] = {
        "rollout_id": rollout.pk,
        "actor": request.user.get_username(),
        "clock": wiring.clock(),
        "reason": request.POST.get("reason", "").strip(),
    }
    if event is Event.ABORT:
        return services.abort(queue=wiring.queue(), print_config=wiring.print_config, **what)
    deeds = {
        Event.APPROVE: services.approve,
        Event.PAUSE: services.pause,
        Event.PROMOTE: services.promote,
        Event.RESUME: services.resume,
        Event.RETRY: services.retry,
        Event.SKIP: services.skip,
    }
    return deeds[event](**what)
