"""The page that asks before an endpoint serves a version as its tune found it best."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from control_plane import wiring
from control_plane.console.record_admin import RecordAdmin, change_url
from control_plane.console.rights import visible
from control_plane.domain.tuning.applying import with_overrides
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
)
from control_plane.endpoints.changes import put_policy
from control_plane.endpoints.models import ChangeRequest, Endpoint
from control_plane.endpoints.preview import preview
from control_plane.endpoints.selectors import endpoints
from control_plane.tuning.models import Tune
from control_plane.tuning.tunes import overrides_to_apply


def apply_page(pages: RecordAdmin, request: HttpRequest, tune: Tune) -> HttpResponse:
    """GET shows which endpoint would change and how; POST changes it.

    `?endpoint=` names it; without it, it is the first that has the version for an arm.
    """
    context: dict[str, Any] = {"original": tune, "back": change_url(tune)}
    status = 200
    try:
        overrides = overrides_to_apply(tune)
        offered = serving(request.user, tune)
        context["offered"] = offered
        endpoint = _named(request, offered)
        if endpoint is None:
            raise ConflictError(
                f"no endpoint that you may change has {tune.target} for an arm: deploy it there "
                f"first, or keep it as a profile: nereid tune apply {tune.pk} --profile NAME"
            )
        document = with_overrides(
            endpoint.policy or {}, endpoint.name, (tune.name, tune.number), overrides
        )
        context["endpoint"] = endpoint
        if request.method == "POST":
            return _applied(pages, request, tune, endpoint, document)
        context["plan"] = preview(
            name=endpoint.name, document=document, print_config=wiring.print_config
        )
    except (ConflictError, InvalidInputError, NotAllowedError, NotFoundError) as refusal:
        context["error"] = str(refusal)
        status = 409 if request.method == "POST" else 200
    response = pages.page(request, "console/tune_apply.html", f"Apply tune {tune.pk}", context)
    response.status_code = status
    return response


def serving(user: Any, tune: Tune) -> list[Endpoint]:
    """The endpoints with an arm of the version that the person may change, by name."""
    found = visible(user, endpoints(), "change").exclude(policy=None).order_by("name")
    wanted = (tune.name, tune.number)
    return [
        endpoint
        for endpoint in found
        if any(
            (arm.get("model"), arm.get("version")) == wanted
            for arm in (endpoint.policy or {}).get("arms", ())
        )
    ]


def _named(request: HttpRequest, offered: list[Endpoint]) -> Endpoint | None:
    name = request.POST.get("endpoint") or request.GET.get("endpoint")
    if name is None:
        return offered[0] if offered else None
    found = next((one for one in offered if one.name == name), None)
    if found is None:
        raise PermissionDenied(f"{name[:80]} is no endpoint that this may be applied to")
    return found


def _applied(
    pages: RecordAdmin,
    request: HttpRequest,
    tune: Tune,
    endpoint: Endpoint,
    document: dict[str, Any],
) -> HttpResponse:
    seen = request.POST.get("generation", "")
    done = put_policy(
        name=endpoint.name,
        document=document,
        actor=request.user.get_username(),
        queue=wiring.queue(),
        print_config=wiring.print_config,
        # What the person has seen, whatever happened since.
        expected_generation=int(seen) if seen.isascii() and seen.isdigit() else None,
        reason=request.POST.get("reason", "").strip() or f"tune {tune.pk}",
    )
    if isinstance(done, ChangeRequest):
        text = f"Change {done.number} of {endpoint.name} waits for a second person."
    else:
        text = f"{endpoint.name} is on its way to generation {done.generation}."
    pages.message_user(request, text, messages.SUCCESS)
    return HttpResponseRedirect(change_url(endpoint))
