"""The pages that ask before a version leaves, and before it comes back."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from control_plane import wiring
from control_plane.console.record_admin import RecordAdmin, change_url
from control_plane.domain.registry.states import (
    IllegalTransitionError,
    VersionState,
    archived,
    moved,
)
from control_plane.domain.violations import ConflictError, InvalidInputError, NotFoundError
from control_plane.registry.lifecycle import (
    alias_names,
    archive_version,
    places_of,
    str_of,
    unarchive_version,
)
from control_plane.registry.models import ModelVersion

_REVISIONS = 5


def archive_page(pages: RecordAdmin, request: HttpRequest, version: ModelVersion) -> HttpResponse:
    """GET says what archiving does, or why it cannot be; POST does it."""
    actor, reason = request.user.get_username(), request.POST.get("reason", "")
    name = str_of(version)
    error = ""
    if request.method == "POST":
        try:
            archive_version(
                version_id=version.id, actor=actor, serving=wiring.serving(), reason=reason
            )
            pages.message_user(request, f"{name} is archived.", messages.SUCCESS)
            return HttpResponseRedirect(change_url(version))
        except (ConflictError, NotFoundError, InvalidInputError) as refusal:
            error = str(refusal)
    try:
        state = VersionState(version.state)
        serving = places_of(version, wiring.serving())
        archived(name, state, "", places=serving, aliases=alias_names(version))
    except IllegalTransitionError as refusal:
        error = error or str(refusal)
    context = {
        "heading": f"Archive {name}?",
        "consequences": _archiving(version),
        "undo": "Bring it back: it is validated anew, and then ready again.",
        "confirm": "Archive",
    }
    return _page(pages, request, version, error, context)


def unarchive_page(pages: RecordAdmin, request: HttpRequest, version: ModelVersion) -> HttpResponse:
    """GET says what bringing it back does, or why it cannot be; POST does it."""
    actor, reason = request.user.get_username(), request.POST.get("reason", "")
    name = str_of(version)
    error = ""
    if request.method == "POST":
        try:
            unarchive_version(
                version_id=version.id, actor=actor, queue=wiring.queue(), reason=reason
            )
            pages.message_user(request, f"{name} is being validated.", messages.SUCCESS)
            return HttpResponseRedirect(change_url(version))
        except (ConflictError, NotFoundError, InvalidInputError) as refusal:
            error = str(refusal)
    elif version.state != VersionState.ARCHIVED:
        error = f"{name} is {version.state}, not archived"
    else:
        moved(name, VersionState.ARCHIVED, VersionState.VALIDATING, "")
    context = {
        "heading": f"Bring {name} back?",
        "consequences": [
            "Its file is loaded in its runtime once more, as after an upload.",
            "Then it is ready, and policies may name it; or it is rejected, with the reason.",
        ],
        "undo": "Archive it again.",
        "confirm": "Bring back",
    }
    return _page(pages, request, version, error, context)


def _archiving(version: ModelVersion) -> list[str]:
    said = [
        "No policy may name it from then on. What serves now goes on as it is.",
        "Its file, figures and provenance stay, and so does its number.",
    ]
    for endpoint, numbers in wiring.serving().earlier(version.id).items():
        words = ", ".join(map(str, numbers[:_REVISIONS]))
        more = f" and {len(numbers) - _REVISIONS} more" if len(numbers) > _REVISIONS else ""
        said.append(
            f"Rolling {endpoint} back to revision {words}{more} is refused while it is archived."
        )
    return said


def _page(
    pages: RecordAdmin,
    request: HttpRequest,
    version: ModelVersion,
    error: str,
    context: dict[str, Any],
) -> HttpResponse:
    frame = {"original": version, "error": error, "back": change_url(version)}
    response = pages.page(
        request, "console/version_state.html", context["confirm"], {**frame, **context}
    )
    response.status_code = 409 if error and request.method == "POST" else 200
    return response
