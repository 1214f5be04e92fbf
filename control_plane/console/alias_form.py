"""The aliases of a model, set by click: a form without script, and what came of it."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect

from control_plane.console.record_admin import RecordAdmin, change_url
from control_plane.domain.violations import ConflictError, InvalidInputError, NotFoundError
from control_plane.registry.aliases import delete_alias, set_alias
from control_plane.registry.models import Model


def change_alias(pages: RecordAdmin, request: HttpRequest, model: Model) -> HttpResponse:
    """Points an alias to a version, or removes it; back to the model's page with a word on it.

    Raises:
        PermissionDenied: the person may not.
    """
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    removing = "remove" in request.POST
    verb = "delete" if removing else "change"
    if not request.user.has_perm(f"registry.{verb}_alias", model):
        raise PermissionDenied
    alias = request.POST.get("alias", "").strip().removeprefix("@")
    actor = request.user.get_username()
    try:
        if removing:
            delete_alias(model=model.name, alias=alias, actor=actor)
            text = f"@{alias} was removed. Policies keep the versions they have."
        else:
            number = _number(request.POST.get("version", ""))
            changed, _ = set_alias(model=model.name, alias=alias, version=number, actor=actor)
            text = (
                f"@{alias} points to v{changed.version.number}. Moving an alias moves no traffic."
            )
        pages.message_user(request, text, messages.SUCCESS)
    except InvalidInputError as refusal:
        text = " ".join(violation.detail for violation in refusal.violations)
        pages.message_user(request, text, messages.ERROR)
    except (ConflictError, NotFoundError) as refusal:
        pages.message_user(request, str(refusal), messages.ERROR)
    return HttpResponseRedirect(f"{change_url(model)}#aliases")


def _number(text: str) -> int:
    """A version's number; what is none is that of no version."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0
