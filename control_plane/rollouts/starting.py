"""Starting a rollout: everything that can be known is checked before it is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max

from control_plane.analysis.selectors import check_templates, get_template
from control_plane.domain.four_eyes import Move, Ruling, course
from control_plane.domain.planning.model_config import ACCELERATORS
from control_plane.domain.planning.plan import Plan
from control_plane.domain.rollout.document import Wanted, read_rollout
from control_plane.domain.rollout.evidence import missing_evidence
from control_plane.domain.rollout.harm import Grant, share_out
from control_plane.domain.rollout.policies import check_startable, with_candidate
from control_plane.domain.rollout.read_steps import strategy_document
from control_plane.domain.rollout.states import Event, State
from control_plane.domain.rollout.steps import (
    Analysis,
    Ramp,
    SetShadow,
    Split,
    Strategy,
    with_compared,
)
from control_plane.domain.routing.document import parse_policy
from control_plane.domain.routing.policy import SECOND, Allowance, Arm
from control_plane.domain.stored_json import check_text
from control_plane.domain.violations import ConflictError, InvalidInputError, Violation
from control_plane.endpoints.intent import locked
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.moves import planned_move
from control_plane.endpoints.placing import grantees
from control_plane.endpoints.policies import read_policy
from control_plane.ports.clock import Clock
from control_plane.ports.config_printer import ConfigPrinter
from control_plane.ports.queue import Queue
from control_plane.rollouts.models import Rollout
from control_plane.rollouts.moving import Moves
from control_plane.rollouts.recording import happen, keep_start, note_deed
from control_plane.rollouts.selectors import active_rollout


def start_rollout(
    *,
    document: object,
    actor: str,
    queue: Queue,
    print_config: ConfigPrinter,
    clock: Clock,
) -> Rollout:
    """Starts a rollout: it is stored as `pending`, and the next look, within a second, begins it.

    With the four-eyes rule it waits for another person first (`awaitingApproval`).

    Args:
        document: as the API takes it (`domain.rollout.document`); `supersede` ends the one that
            is under way, by taking it back first.

    Raises:
        InvalidInputError: the document breaks a rule, or what it names cannot be served.
        NotFoundError: there is no such endpoint.
        ConflictError: the endpoint has no policy, serves it already, is adaptive, or another
            rollout is under way.
    """
    wanted = read_rollout(document, settings.NEREID_FORWARDED_HEADERS)
    check_text(wanted.reason, "/reason")
    check_templates(_templates(wanted), "/strategy")
    with transaction.atomic():
        endpoint = locked(wanted.endpoint)
        if endpoint.policy is None:
            raise ConflictError(
                f"endpoint {endpoint.name!r} has no policy, so there is nothing to roll out from: "
                "deploy a first version"
            )
        present = _present(endpoint, wanted)
        to = _target(wanted.to)
        # What is under way is taken back first, so this begins where that one did.
        begins_at = (present.found if present else None) or endpoint.policy
        grant = share_out("", wanted.harm.failed_requests, len(grantees(endpoint)))
        plan = _check(endpoint, begins_at, to, grant)
        strategy = with_compared(wanted.strategy, _comparable_output(plan))
        wanted = replace(wanted, strategy=strategy)
        _check_copies(wanted.strategy, plan)
        _check_evidence(_templates(wanted), begins_at)
        now = clock.now()
        if present:
            _supersede(present, endpoint, actor, Moves(queue, print_config), now)
        rollout = _stored(endpoint, wanted, to, grant, actor, now)
        if present:
            rollout.supersedes = present
            rollout.save(update_fields=["supersedes"])
        _keep_start(rollout, now)
        _ask_second_person(rollout, endpoint, now)
    return rollout


def begin_anew(rollout: Rollout, endpoint: Endpoint | None, now: datetime) -> None:
    """Puts one that has ended to its beginning, with what is left of its harm budget.

    Raises:
        ConflictError: another rollout is under way, nothing is left, or it could not begin.
    """
    if endpoint is None or endpoint.policy is None:
        raise ConflictError(f"{rollout}: its endpoint serves nothing any more")
    if (other := active_rollout(endpoint.name)) is not None:
        raise ConflictError(f"{other} is under way ({other.state}): abort it first")
    left = rollout.harm_budget - rollout.harm_spent
    try:
        grant = share_out("", max(left, 0), len(grantees(endpoint)))
        _check(endpoint, endpoint.policy, rollout.to, grant)
    except InvalidInputError as invalid:
        raise ConflictError(
            f"{rollout} cannot be tried again ({invalid}): {rollout.harm_spent} of its harm budget "
            f"of {rollout.harm_budget} are spent. Start another one"
        ) from invalid
    rollout.attempt += 1
    rollout.step, rollout.step_since, rollout.step_written = 0, None, False
    rollout.pause_until, rollout.held_by, rollout.deadline_at = None, "", None
    rollout.watch_until, rollout.ending, rollout.finished_at = None, "", None
    rollout.found, rollout.found_revision, rollout.written = None, None, None
    # When the last grant was in force, and what was read of it, stay until the next one: what
    # failed after the last look is charged still (`measuring.charge_late_failures`).
    rollout.grant, rollout.granted_each, rollout.granted_to = "", 0, []
    rollout.harm_before = rollout.harm_spent
    rollout.answered_seen, rollout.share, rollout.rate = 0, 0, 0.0
    rollout.approved_by, rollout.approver = "", None
    rollout.deadline_at = now + timedelta(seconds=rollout.progress_deadline_seconds)


def _present(endpoint: Endpoint, wanted: Wanted) -> Rollout | None:
    """The rollout that is under way there, which this one is to supersede.

    Raises:
        ConflictError: there is one, and it is not said that it should end.
    """
    present = active_rollout(endpoint.name)
    if present is None or wanted.supersede:
        return present and Rollout.objects.select_for_update(of=("self",)).get(pk=present.pk)
    raise ConflictError(
        f"{present} is under way ({present.state}: {present.reason}): abort it first, or say "
        "supersede, which takes it back and begins this one"
    )


def _target(to: Mapping[str, Any]) -> Arm:
    """What comes, with a number in place of an alias.

    Raises:
        InvalidInputError: it is nothing that an arm could serve.
    """
    try:
        return read_policy({"arms": [{**to, "weight": 100}]}, None).primary
    except InvalidInputError as error:
        raise _at_to(error, "/arms/0") from error


def _check(endpoint: Endpoint, begins_at: Mapping[str, Any], to: Arm, grant: Grant) -> Plan:
    """Whether it could begin: the first thing that it does is compiled, and thrown away."""
    found = parse_policy(begins_at)
    check_startable(found, to)
    allowance = Allowance(failures=grant.each, grant="not granted")
    try:
        return planned_move(endpoint, with_candidate(found, to, Split(), allowance))
    except InvalidInputError as error:
        candidate = f"/arms/{len(found.arms) - sum(arm.key == to.key for arm in found.arms)}"
        raise _at_to(error, candidate) from error


def _comparable_output(plan: Plan) -> str | None:
    """The first output that callers get and that is made of numbers."""
    return next(iter(_comparable_outputs(plan)), None)


def _check_copies(strategy: Strategy, plan: Plan) -> None:
    """Whether what copies are to be compared by is there: else it would fail half-way.

    Raises:
        InvalidInputError: there is no such output, or it holds texts.
    """
    known = _comparable_outputs(plan)
    named = {step.compare for step in strategy.steps if isinstance(step, SetShadow)} - {None}
    if missing := sorted(name for name in named if name is not None and name not in known):
        there = f"there are: {', '.join(known)}" if known else "there are none"
        detail = f"{missing[0]!r} is no output that is made of numbers; {there}"
        raise InvalidInputError([Violation("/strategy", "output", detail)])


def _check_evidence(templates: Iterable[str], begins_at: Mapping[str, Any]) -> None:
    """Whether what the templates look at is there: else they would look for ever.

    Raises:
        InvalidInputError: the policy that the rollout begins with does not give it.
    """
    policy = parse_policy(begins_at)
    found = [
        Violation("/strategy", "no_evidence", f"template {name}: {why}")
        for name in templates
        for why in missing_evidence(get_template(name).template, policy)
    ]
    if found:
        raise InvalidInputError(found)


def _comparable_outputs(plan: Plan) -> list[str]:
    outputs = plan.router.variants[ACCELERATORS[0]]["output"]
    return [one["name"] for one in outputs if one["data_type"] != "TYPE_STRING"]


def _at_to(error: InvalidInputError, arm: str) -> InvalidInputError:
    """The same, told of the document's `to` instead of the arm that was made of it."""
    return InvalidInputError(
        [
            Violation(f"/to{v.pointer.removeprefix(arm)}", v.code, v.detail)
            if v.pointer.startswith(arm)
            else Violation("/to", v.code, v.detail)
            for v in error.violations
        ]
    )


def _supersede(
    present: Rollout, endpoint: Endpoint, actor: str, moves: Moves, now: datetime
) -> None:
    reason = f"{actor} started another rollout in its place"
    if present.begun:
        moves.take_back(endpoint, present, reason)
    happen(present, Event.OVERTAKEN, reason=reason, now=now, actor=actor)


def _stored(
    endpoint: Endpoint, wanted: Wanted, to: Arm, grant: Grant, actor: str, now: datetime
) -> Rollout:
    before = Rollout.objects.filter(endpoint_name=endpoint.name)
    return Rollout.objects.create(
        endpoint=endpoint,
        endpoint_name=endpoint.name,
        number=(before.aggregate(last=Max("number"))["last"] or 0) + 1,
        model=to.model,
        version=to.version,
        pipeline=to.pipeline,
        strategy=strategy_document(wanted.strategy),
        harm_budget=wanted.harm.failed_requests or grant.total,
        confidence=wanted.harm.confidence,
        watch_seconds=wanted.watch / SECOND,
        progress_deadline_seconds=wanted.progress_deadline / SECOND,
        dry_run=wanted.dry_run,
        why=wanted.reason,
        state=State.PENDING,
        reason="waiting for its first look",
        since=now,
        started_by=actor,
        starter=User.objects.filter(username=actor).first(),
        created_at=now,
        deadline_at=now + timedelta(microseconds=wanted.progress_deadline),
    )


def _keep_start(rollout: Rollout, now: datetime) -> None:
    what = {"to": str(rollout.to), "strategy": rollout.strategy, "dry_run": rollout.dry_run}
    after = {"state": rollout.state, **what}
    note_deed(rollout, "start", rollout.started_by, after=after, reason=rollout.why)
    keep_start(rollout, now)


def _ask_second_person(rollout: Rollout, endpoint: Endpoint, now: datetime) -> None:
    verdict = course(Move.ROLLOUT, four_eyes=endpoint.four_eyes)
    if verdict.ruling is Ruling.ASK:
        happen(rollout, Event.ASK, reason=verdict.reason, now=now)


def _templates(wanted: Wanted) -> Iterable[str]:
    steps = (step for step in wanted.strategy.steps if isinstance(step, Analysis | Ramp))
    return dict.fromkeys([*(name for s in steps for name in s.templates), *wanted.strategy.watch])
