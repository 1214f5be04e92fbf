"""The page on which an endpoint's traffic is changed: edit, preview, apply."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from control_plane import wiring
from control_plane.console.policy_draft import PolicyDraft
from control_plane.console.policy_rows import ArmRow, RuleRow, ShadowRow, blank_condition
from control_plane.console.policy_words import limits_of, parts_of
from control_plane.console.record_admin import RecordAdmin, change_url
from control_plane.console.version_choices import outputs_to_compare, version_choices
from control_plane.domain.violations import ConflictError, InvalidInputError, NotFoundError
from control_plane.endpoints.changes import put_policy
from control_plane.endpoints.models import ChangeRequest, Endpoint
from control_plane.endpoints.preview import Preview, preview
from control_plane.endpoints.selectors import waiting_change

CHANGED_SINCE = "The policy was edited after the preview. Here is the plan for what you have now."
BLANK = "__key__"
BLANK_CONDITION = "__condition__"
"""Stand in for the keys of rows that the browser adds."""


def policy_page(pages: RecordAdmin, request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """GET shows the present policy; POST previews a draft, or applies the one previewed."""
    if request.method != "POST":
        draft = PolicyDraft.from_policy(endpoint.policy)
        return _show(pages, request, endpoint, draft, endpoint.generation)
    draft = PolicyDraft.from_post(request.POST)
    seen = _generation(request.POST.get("generation", ""))
    previewed = request.POST.get("previewed") == draft.digest()
    applying = "apply" in request.POST
    if draft.clashes():
        return _show(pages, request, endpoint, draft, seen)
    try:
        if applying and previewed:
            return _apply(pages, request, endpoint, draft, seen)
        plan = preview(
            name=endpoint.name, document=draft.document(), print_config=wiring.print_config
        )
    except InvalidInputError as refusal:
        draft.show(refusal)
        return _show(pages, request, endpoint, draft, seen)
    except (ConflictError, NotFoundError) as refusal:
        draft.errors.append(str(refusal))
        return _show(pages, request, endpoint, draft, seen)
    if applying:
        messages.warning(request, CHANGED_SINCE)
    return _show(pages, request, endpoint, draft, seen, plan)


def _apply(
    pages: RecordAdmin,
    request: HttpRequest,
    endpoint: Endpoint,
    draft: PolicyDraft,
    seen: int,
) -> HttpResponse:
    done = put_policy(
        name=endpoint.name,
        document=draft.document(),
        actor=request.user.get_username(),
        queue=wiring.queue(),
        print_config=wiring.print_config,
        expected_generation=seen,
        reason=request.POST.get("reason", "").strip(),
    )
    if isinstance(done, ChangeRequest):
        text = f"Change {done.number} waits for a second person. Traffic stays as it is."
        pages.message_user(request, text, messages.SUCCESS)
        return HttpResponseRedirect(change_url(done))
    text = f"Generation {done.generation} of {done.name} is on its way."
    pages.message_user(request, text, messages.SUCCESS)
    return HttpResponseRedirect(change_url(endpoint))


def _show(
    pages: RecordAdmin,
    request: HttpRequest,
    endpoint: Endpoint,
    draft: PolicyDraft,
    seen: int,
    plan: Preview | None = None,
) -> HttpResponse:
    refused = draft.wrong
    context: dict[str, Any] = {
        **form_context(endpoint, draft),
        "original": endpoint,
        "refused": refused,
        "plan": plan,
        "seen": seen,
        "waiting": waiting_change(endpoint) if endpoint.four_eyes else None,
        "stale": seen != endpoint.generation,
        "previewed": draft.digest() if plan else "",
        "reason": request.POST.get("reason", ""),
    }
    response = pages.page(request, "console/policy.html", "Policy", context)
    response.status_code = 400 if refused else 200
    return response


def form_context(endpoint: Endpoint, draft: PolicyDraft) -> dict[str, Any]:
    """What the fields of the form need: the draft, what can be chosen, what is in force."""
    used = [row.version for row in draft.rows]
    choices = version_choices(used)
    if not draft.rows and not draft.wrong:
        draft.rows = [ArmRow.blank("1", weight="100")]
        draft.rows[0].primary = True
    document = draft.document()
    says, in_force = parts_of(document), parts_of(endpoint.policy)
    return {
        "draft": draft,
        "rows": list(zip(draft.rows, limits_of(document), strict=True)),
        "arm_keys": [(row.key, row.called or "the new arm") for row in draft.rows],
        "choices": choices,
        "outputs": outputs_to_compare(choices, used),
        "says": says,
        "changed": {part for part in says if in_force and says[part] != in_force[part]},
        "blank_arm": ArmRow.blank(BLANK),
        "blank_rule": RuleRow.blank(BLANK, "1"),
        "blank_condition": blank_condition(BLANK, BLANK_CONDITION),
        "blank_shadow": ShadowRow.blank(BLANK),
    }


def _generation(text: str) -> int:
    """What the page was made from; a value that no page of ours wrote never matches."""
    return int(text) if text.isascii() and text.isdigit() else -1
