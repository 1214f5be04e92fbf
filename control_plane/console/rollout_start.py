"""The page that starts a rollout: written, previewed, begun."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from control_plane import wiring
from control_plane.analysis.selectors import all_templates
from control_plane.console import words
from control_plane.console.record_admin import RecordAdmin, change_url
from control_plane.console.rollout_draft import RolloutDraft
from control_plane.console.rollout_words import STRATEGIES, what_happens
from control_plane.console.step_rows import WORDS, StepRow
from control_plane.console.version_choices import version_choices
from control_plane.domain.rollout.harm import Grant, share_out
from control_plane.domain.rollout.policies import with_candidate
from control_plane.domain.rollout.steps import split_at
from control_plane.domain.routing.document import parse_policy, to_document
from control_plane.domain.routing.policy import Allowance
from control_plane.domain.violations import ConflictError, InvalidInputError, NotFoundError
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.placing import grantees
from control_plane.endpoints.preview import Preview, preview
from control_plane.rollouts.models import Rollout
from control_plane.rollouts.selectors import active_rollout
from control_plane.rollouts.services import start_rollout

CHANGED_SINCE = "It was edited after the preview. Here is what would happen by what you have now."


class _OnlyLooking(Exception):  # noqa: N818 - no error: it takes back what was only tried
    """Ends a transaction that was there to see what would happen."""


@dataclass(frozen=True)
class Foreseen:
    """What a rollout would do: in words, and the plan of its first move."""

    rollout: Rollout
    grant: Grant
    says: list[str]
    plan: Preview


def start_page(pages: RecordAdmin, request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """GET shows the form; POST foresees what would happen, or starts what was foreseen."""
    if request.method != "POST":
        draft = RolloutDraft(endpoint.name, None, _offered(endpoint, request.GET.get("to", "")))
        return _show(pages, request, endpoint, draft)
    draft = RolloutDraft(endpoint.name, request.POST)
    starting = "start" in request.POST
    previewed = request.POST.get("previewed") == draft.digest()
    try:
        if starting and previewed:
            return _start(pages, request, draft)
        foreseen = foresee(endpoint, draft.document(), request.user.get_username())
    except InvalidInputError as refusal:
        draft.refuse(refusal)
        return _show(pages, request, endpoint, draft)
    except (ConflictError, NotFoundError) as refusal:
        draft.say("", str(refusal))
        return _show(pages, request, endpoint, draft)
    if starting:
        messages.warning(request, CHANGED_SINCE)
    return _show(pages, request, endpoint, draft, foreseen)


def foresee(endpoint: Endpoint, document: Mapping[str, Any], actor: str) -> Foreseen:
    """What would happen: it is started, looked at, and taken back before anybody saw it.

    Raises:
        InvalidInputError, ConflictError, NotFoundError: as starting it would.
    """
    found: list[Foreseen] = []
    try:
        with transaction.atomic():
            present = active_rollout(endpoint.name)
            rollout = _started(document, actor)
            begins_at = present.found if present and present.begun else endpoint.policy
            found.append(_foreseen(endpoint, rollout, begins_at or {}, present))
            raise _OnlyLooking
    except _OnlyLooking:
        return found[0]


def _foreseen(
    endpoint: Endpoint, rollout: Rollout, begins_at: Mapping[str, Any], present: Rollout | None
) -> Foreseen:
    grant = share_out("", rollout.harm_budget, len(grantees(endpoint)))
    allowance = Allowance(failures=grant.each, grant=f"rollout {rollout.number}")
    split = split_at(rollout.steps, 0)
    first = with_candidate(parse_policy(begins_at), rollout.to, split, allowance)
    plan = preview(
        name=endpoint.name, document=to_document(first), print_config=wiring.print_config
    )
    says = what_happens(rollout, grant, present, four_eyes=endpoint.four_eyes)
    return Foreseen(rollout, grant, says, plan)


def _started(document: Mapping[str, Any], actor: str) -> Rollout:
    return start_rollout(
        document=document,
        actor=actor,
        queue=wiring.queue(),
        print_config=wiring.print_config,
        clock=wiring.clock(),
    )


def _start(pages: RecordAdmin, request: HttpRequest, draft: RolloutDraft) -> HttpResponse:
    rollout = _started(draft.document(), request.user.get_username())
    pages.message_user(request, f"{rollout} is {words.spaced(rollout.state)}.", messages.SUCCESS)
    return HttpResponseRedirect(change_url(rollout))


def _offered(endpoint: Endpoint, asked: str) -> str:
    """What is chosen at first: what was asked for, else the newest version after the primary's."""
    arms = (endpoint.policy or {}).get("arms", ())
    primary = next((arm for arm in arms if arm.get("primary")), None)
    values = [choice.value for choice in version_choices(())]
    if asked in values:
        return asked
    name = primary and (primary.get("model") or primary.get("pipeline"))
    number = primary and (primary.get("version") or primary.get("revision") or 0)
    newer = (value for value in values if value.partition(":")[0] == name)
    return next((value for value in newer if int(value.partition(":")[2]) > (number or 0)), "")


def _show(
    pages: RecordAdmin,
    request: HttpRequest,
    endpoint: Endpoint,
    draft: RolloutDraft,
    foreseen: Foreseen | None = None,
) -> HttpResponse:
    present = active_rollout(endpoint.name)
    context: dict[str, Any] = {
        "original": endpoint,
        "draft": draft,
        "choices": version_choices([draft.texts["to"]] if draft.texts["to"] else ()),
        "strategies": [(kind.value, *text.split(": ")) for kind, text in STRATEGIES.items()],
        "step_words": WORDS,
        "blank_step": StepRow("setWeight", ""),
        "templates": [known.name for known in all_templates()],
        "present": present,
        "present_for": present and words.lasting(_age(present)),
        "foreseen": foreseen,
        "plan": foreseen and foreseen.plan,
        "previewed": draft.digest() if foreseen else "",
        "refused": draft.wrong,
        "back": change_url(endpoint),
    }
    response = pages.page(request, "console/rollout_start.html", "Start a rollout", context)
    response.status_code = 400 if draft.wrong else 200
    return response


def _age(rollout: Rollout) -> timedelta:
    return wiring.clock().now() - rollout.created_at
