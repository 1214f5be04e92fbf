"""The page on which an endpoint's servers are chosen: edit, preview, apply, and the way back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html

from control_plane import wiring
from control_plane.audit.models import AuditEvent
from control_plane.console.placement_draft import TESTS, LabelRow, PlacementDraft
from control_plane.console.record_admin import RecordAdmin, change_url
from control_plane.domain.placement.labels import in_words
from control_plane.domain.placement.placing import Placing
from control_plane.domain.placement.wanted import parse_wanted
from control_plane.domain.violations import ConflictError, InvalidInputError, NotFoundError
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.placements import ACTION, placing_with, set_placement
from control_plane.endpoints.placing import placement_of
from control_plane.fleet.models import Server
from control_plane.fleet.selectors import labels_of

EDITED_SINCE = "It was edited after the preview. Here is what would become of what you have now."
SHOWN_VALUES = 100


def placement_page(pages: RecordAdmin, request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """GET shows the present placement; POST previews a draft, or applies the one previewed.

    `?undo=` names a change of it in the audit record: what was before that is shown, previewed.
    """
    if request.method != "POST":
        undone = request.GET.get("undo", "")
        document = _before(endpoint, undone) if undone else endpoint.placement
        draft = PlacementDraft.of(document)
        plan = _plan(endpoint, draft) if undone else None
        return _show(pages, request, endpoint, draft, endpoint.placement, plan)
    draft, seen = PlacementDraft.sent(request.POST), _seen(request.POST.get("seen", ""))
    applying = "apply" in request.POST
    plan = _plan(endpoint, draft)
    if applying and plan and request.POST.get("previewed") == draft.digest():
        try:
            return _apply(pages, request, endpoint, draft, seen)
        except (ConflictError, NotFoundError, InvalidInputError) as refusal:
            draft.errors.setdefault("", []).append(str(refusal))
    elif applying and plan:
        messages.warning(request, EDITED_SINCE)
    return _show(pages, request, endpoint, draft, seen, plan)


def _apply(
    pages: RecordAdmin,
    request: HttpRequest,
    endpoint: Endpoint,
    draft: PlacementDraft,
    seen: object,
) -> HttpResponse:
    changed = set_placement(
        name=endpoint.name,
        document=draft.document(),
        actor=request.user.get_username(),
        queue=wiring.queue(),
        reason=request.POST.get("reason", "").strip(),
        seen=seen,
    )
    words = placement_of(changed).in_words()
    if changed.placement == seen:
        text = f"{changed.name} is placed on {words} already."
        pages.message_user(request, text, messages.INFO)
        return HttpResponseRedirect(change_url(endpoint))
    deed = AuditEvent.objects.filter(action=ACTION, object_id=str(endpoint.pk)).latest("id")
    text = format_html(
        "{} goes to {}; nobody is left before the others serve. "
        '<a class="n-link" href="{}?undo={}">Undo</a> shows the way back.',
        changed.name,
        words,
        reverse("admin:endpoints_endpoint_place_servers", args=[endpoint.pk]),
        deed.pk,
    )
    pages.message_user(request, text, messages.SUCCESS)
    return HttpResponseRedirect(change_url(endpoint))


def _plan(endpoint: Endpoint, draft: PlacementDraft) -> Placing | None:
    """Where it would be; None where the draft breaks a rule, which is noted in it."""
    document = draft.document() or {}
    if draft.wrong:
        return None
    try:
        return placing_with(endpoint.name, document, wiring.clock().now())
    except InvalidInputError as refusal:
        draft.show(refusal)
    except NotFoundError as refusal:
        draft.errors[""] = [str(refusal)]
    return None


def _show(
    pages: RecordAdmin,
    request: HttpRequest,
    endpoint: Endpoint,
    draft: PlacementDraft,
    seen: object,
    plan: Placing | None = None,
) -> HttpResponse:
    servers = list(Server.objects.order_by("name"))
    labels = {server.name: labels_of(server) for server in servers}
    context: dict[str, Any] = {
        "original": endpoint,
        "draft": draft,
        "blank": LabelRow(),
        "tests": TESTS.items(),
        "keys": sorted({key for one in labels.values() for key in one}),
        "values": sorted({value for one in labels.values() for value in one.values() if value})[
            :SHOWN_VALUES
        ],
        "labels": {
            name: in_words({key: value for key, value in one.items() if value})
            for name, one in labels.items()
        },
        "seen": json.dumps(seen),
        "stale": seen != endpoint.placement,
        "plan": plan,
        "plan_words": parse_wanted(draft.document() or {}).in_words() if plan else "",
        "previewed": draft.digest() if plan else "",
        "reason": request.POST.get("reason", ""),
        "back": change_url(endpoint),
    }
    response = pages.page(request, "console/placement.html", "Placement", context)
    response.status_code = 400 if draft.wrong else 200
    return response


def _before(endpoint: Endpoint, number: str) -> Mapping[str, Any] | None:
    """The placement before a change of it.

    Raises:
        Http404: the audit record has no such change of this endpoint.
    """
    deeds = AuditEvent.objects.filter(action=ACTION, object_id=str(endpoint.pk))
    found = deeds.filter(pk=int(number)).first() if _is_number(number) else None
    if found is None:
        raise Http404("there is no such change of this endpoint's placement")
    before: Mapping[str, Any] | None = found.before
    return before


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16


def _seen(text: str) -> object:
    """The placement that the page was made from; what no page of ours wrote never matches."""
    try:
        seen: object = json.loads(text)
    except ValueError:
        return False
    return seen
