"""The page of a change that waits for a second person: what it does, and who decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from control_plane import wiring
from control_plane.console.record_admin import RecordAdmin, change_url
from control_plane.domain.four_eyes import Deed, Ruling
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
)
from control_plane.endpoints.changes import approve, reject, verdict_on, withdraw
from control_plane.endpoints.models import ChangeRequest

_BUTTONS = {
    Deed.APPROVE: ("Approve", "n-primary"),
    Deed.REJECT: ("Reject", "n-danger"),
    Deed.WITHDRAW: ("Withdraw", ""),
}


@dataclass(frozen=True)
class Button:
    """One deed; `off` is why it cannot be pressed, empty where it can."""

    deed: str
    text: str
    kind: str
    off: str


def change_page(pages: RecordAdmin, request: HttpRequest, change: ChangeRequest) -> HttpResponse:
    """GET shows what it does; POST with a `deed` decides it."""
    decides = request.user.has_perm("endpoints.change_endpoint", change.endpoint)
    error = ""
    if request.method == "POST":
        if not decides:
            raise PermissionDenied
        deed = request.POST.get("deed", "")
        if deed in list(Deed):
            try:
                return _decided(pages, request, change, Deed(deed))
            except (ConflictError, InvalidInputError, NotAllowedError, NotFoundError) as refusal:
                error = str(refusal)
                change.refresh_from_db()
        else:
            error = "say whether to approve, reject or withdraw it"
    buttons = _buttons(change, request.user.get_username()) if decides else []
    context: dict[str, Any] = {
        "original": change,
        "endpoint": change.endpoint,
        "plan": change.effect,
        "error": error,
        "decides": decides,
        "buttons": buttons,
        "offs": [button.off for button in buttons if button.off],
        "presses": any(not button.off for button in buttons),
        "back": change_url(change.endpoint),
    }
    response = pages.page(request, "console/change.html", f"Change {change.number}", context)
    response.status_code = 409 if error else 200
    return response


def _buttons(change: ChangeRequest, actor: str) -> list[Button]:
    """What the person can do; approving is shown also where they cannot, with the reason."""
    if change.decided_by:
        return []
    found = []
    for deed, (text, kind) in _BUTTONS.items():
        verdict = verdict_on(change, deed, actor)
        if verdict.ruling is Ruling.GO:
            found.append(Button(deed, text, kind, ""))
        elif deed is Deed.APPROVE:
            found.append(Button(deed, text, kind, verdict.reason))
    return found


def _decided(
    pages: RecordAdmin, request: HttpRequest, change: ChangeRequest, deed: Deed
) -> HttpResponse:
    what: dict[str, Any] = {
        "name": change.endpoint.name,
        "number": change.number,
        "actor": request.user.get_username(),
        "reason": request.POST.get("reason", "").strip(),
    }
    if deed is Deed.APPROVE:
        approve(queue=wiring.queue(), print_config=wiring.print_config, **what)
        text = f"Change {change.number} is approved, and on its way."
    else:
        done = reject(**what) if deed is Deed.REJECT else withdraw(**what)
        text = f"Change {change.number} is {done.state}. Traffic stays as it is."
    pages.message_user(request, text, messages.SUCCESS)
    return HttpResponseRedirect(change_url(change.endpoint))
