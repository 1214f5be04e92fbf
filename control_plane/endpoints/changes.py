"""Changes that wait for a second person: asked for, approved, rejected, withdrawn.

Everything here holds the endpoint's row first: of two who decide at the same time, the second
finds what the first one did.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from control_plane.audit.services import record
from control_plane.domain.four_eyes import (
    ChangeState,
    Deed,
    Move,
    Person,
    Ruling,
    Verdict,
    after,
    ask_again,
    course,
    decide,
)
from control_plane.domain.stored_json import check_text
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
)
from control_plane.endpoints.intent import Approval, announce, check_seen, draft, locked, set_policy
from control_plane.endpoints.models import ChangeRequest, Endpoint
from control_plane.endpoints.preview import effect
from control_plane.endpoints.selectors import waiting_change
from control_plane.ports.config_printer import ConfigPrinter
from control_plane.ports.queue import Queue


def put_policy(
    *,
    name: str,
    document: object,
    actor: str,
    queue: Queue,
    print_config: ConfigPrinter,
    expected_generation: int | None = None,
    reason: str = "",
) -> Endpoint | ChangeRequest:
    """Makes a policy the intent; under the four-eyes rule, a change that waits for approval.

    Raises:
        NotFoundError, InvalidInputError, StaleEditError: as `set_policy`.
        ConflictError: another person's change waits.
    """
    check_text(reason, "/reason")
    with transaction.atomic():
        endpoint = locked(name)
        if course(Move.POLICY, four_eyes=endpoint.four_eyes).ruling is Ruling.GO:
            return set_policy(
                name=name,
                document=document,
                actor=actor,
                queue=queue,
                print_config=print_config,
                expected_generation=expected_generation,
                reason=reason,
            )
        check_seen(endpoint, expected_generation)
        return _ask(endpoint, document, actor, reason, print_config)


def approve(
    *,
    name: str,
    number: int,
    actor: str,
    queue: Queue,
    print_config: ConfigPrinter,
    reason: str = "",
) -> ChangeRequest:
    """Lets a change through: exactly its policy becomes the intent. Asking again does nothing.

    Raises:
        NotFoundError: there is no such endpoint or change.
        NotAllowedError: the actor asked for it.
        ConflictError: it is decided, or no longer what was asked for.
    """
    with transaction.atomic():
        endpoint, change, person = _held(name, number, actor)
        if not _goes(change, Deed.APPROVE, person):
            announce(endpoint, queue)
            return change
        try:
            set_policy(
                name=name,
                document=change.policy,
                actor=actor,
                queue=queue,
                print_config=print_config,
                expected_generation=change.generation,
                reason=change.reason,
                approval=Approval(number, change.asked_by, person.name, change.digest),
            )
        except InvalidInputError as invalid:
            raise ConflictError(
                f"change {number} of {name} can no longer be carried out: {invalid}. Reject or "
                "withdraw it, and ask anew"
            ) from invalid
        change.revision = endpoint.revisions.order_by("-number").first()
        _close(change, after(Deed.APPROVE), person, reason)
    return change


def reject(*, name: str, number: int, actor: str, reason: str = "") -> ChangeRequest:
    """Ends a change of somebody else's; the traffic stays as it is. Asking again does nothing.

    Raises:
        NotFoundError, NotAllowedError, ConflictError: as `approve`.
    """
    return _end(name, number, Deed.REJECT, actor, reason)


def withdraw(*, name: str, number: int, actor: str, reason: str = "") -> ChangeRequest:
    """Takes back a change of one's own. Asking again does nothing.

    Raises:
        NotFoundError, NotAllowedError, ConflictError: as `approve`; it is somebody else's.
    """
    return _end(name, number, Deed.WITHDRAW, actor, reason)


def supersede(change: ChangeRequest, actor: str, reason: str) -> None:
    """Ends what waits because something else took its place; the caller holds the endpoint."""
    _close(change, ChangeState.SUPERSEDED, person_of(actor), reason)


def person_of(actor: str) -> Person:
    """Who is meant by a name, whatever they will be called later."""
    key = User.objects.filter(username=actor).values_list("pk", flat=True).first()
    return Person(key, actor)


def verdict_on(change: ChangeRequest, deed: Deed, actor: str) -> Verdict:
    """Whether that person may do that now, for a page to say before anybody presses a button."""
    return decide(change.as_value(), deed, person_of(actor), generation=change.endpoint.generation)


def _ask(
    endpoint: Endpoint,
    document: object,
    actor: str,
    reason: str,
    print_config: ConfigPrinter,
) -> ChangeRequest:
    plan = draft(endpoint, document)
    author = person_of(actor)
    pending = waiting_change(endpoint)
    same = pending is not None and (pending.policy, pending.reason) == (dict(plan.policy), reason)
    verdict = ask_again(
        pending.as_value() if pending else None,
        author,
        same=same,
        generation=endpoint.generation,
    )
    if pending and verdict.ruling is Ruling.ALREADY:
        return pending
    if verdict.ruling is not Ruling.GO:
        raise ConflictError(verdict.reason)
    number = (endpoint.changes.aggregate(last=Max("number"))["last"] or 0) + 1
    if pending:
        supersede(pending, actor, f"change {number} took its place")
    change = ChangeRequest.objects.create(
        endpoint=endpoint,
        number=number,
        generation=endpoint.generation,
        policy=dict(plan.policy),
        digest=plan.digest,
        effect=asdict(effect(endpoint, plan, print_config)),
        reason=reason,
        author_id=author.key,
        asked_by=author.name,
    )
    _note(change, "endpoint.change_request", actor, after={"policy": change.policy}, reason=reason)
    return change


def _end(name: str, number: int, deed: Deed, actor: str, reason: str) -> ChangeRequest:
    with transaction.atomic():
        _, change, person = _held(name, number, actor)
        if _goes(change, deed, person):
            _close(change, after(deed), person, reason)
    return change


def _held(name: str, number: int, actor: str) -> tuple[Endpoint, ChangeRequest, Person]:
    endpoint = locked(name)
    change = endpoint.changes.filter(number=number).first()
    if change is None:
        raise NotFoundError(f"endpoint {name!r} has no change {number}")
    change.endpoint = endpoint
    return endpoint, change, person_of(actor)


def _goes(change: ChangeRequest, deed: Deed, person: Person) -> bool:
    """Whether there is something to do; False where it is done already.

    Raises:
        NotAllowedError, ConflictError: it may not be done.
    """
    verdict = decide(change.as_value(), deed, person, generation=change.endpoint.generation)
    if verdict.ruling is Ruling.NOT_YOURS:
        raise NotAllowedError(verdict.reason)
    if verdict.ruling is Ruling.CONFLICT:
        raise ConflictError(verdict.reason)
    return verdict.ruling is Ruling.GO


_ACTIONS = {
    ChangeState.APPROVED: "endpoint.change_approve",
    ChangeState.REJECTED: "endpoint.change_reject",
    ChangeState.WITHDRAWN: "endpoint.change_withdraw",
    ChangeState.SUPERSEDED: "endpoint.change_supersede",
}


def _close(change: ChangeRequest, state: ChangeState, person: Person, reason: str) -> None:
    check_text(reason, "/reason")
    change.state = state
    change.decider_id = person.key
    change.decided_by = person.name
    change.decided_at = timezone.now()
    change.decided_reason = reason
    change.save(
        update_fields=[
            *("state", "decider", "decided_by", "decided_at", "decided_reason", "revision"),
        ]
    )
    _note(
        change,
        _ACTIONS[state],
        person.name,
        before={"state": ChangeState.PENDING},
        after={"state": state},
        reason=reason,
    )


def _note(
    change: ChangeRequest,
    action: str,
    actor: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any],
    reason: str,
) -> None:
    """An event on the endpoint, with both people in it."""
    people = {"asked_by": change.asked_by, "decided_by": change.decided_by or None}
    revision = {"revision": change.revision.number} if change.revision else {}
    record(
        actor=actor,
        action=action,
        object_type="endpoint",
        object_id=change.endpoint.id,
        object_name=change.endpoint.name,
        before=before,
        after={"change": change.number, **people, **revision, **after},
        reason=reason,
    )
