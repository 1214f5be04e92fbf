"""The way back: an earlier revision's policy becomes the intent again."""

from __future__ import annotations

from django.db.models import Q

from control_plane.domain.violations import ConflictError, NotFoundError
from control_plane.endpoints.intent import set_policy
from control_plane.endpoints.models import Endpoint, Revision
from control_plane.endpoints.selectors import get_endpoint, serving_revision
from control_plane.ports.config_printer import ConfigPrinter
from control_plane.ports.queue import Queue


def rollback(
    *,
    name: str,
    actor: str,
    queue: Queue,
    print_config: ConfigPrinter,
    revision: int | None = None,
    reason: str = "",
) -> Endpoint:
    """Makes an earlier revision's policy the intent again; by default that of the one before.

    Raises:
        NotFoundError: there is no such endpoint or revision.
        ConflictError: there is nothing to go back to.
    """
    endpoint = get_endpoint(name)
    target = rollback_target(endpoint, revision)
    return set_policy(
        name=name,
        document=target.policy,
        actor=actor,
        queue=queue,
        print_config=print_config,
        reason=reason or f"rollback to revision {target.number}",
        restores=target,
    )


def rollback_target(endpoint: Endpoint, number: int | None) -> Revision:
    """Where a rollback leads: that revision, or the one before the present intent.

    Raises:
        NotFoundError: the endpoint has no such revision.
        ConflictError: there is nothing to go back to.
    """
    if number is not None:
        target = endpoint.revisions.filter(number=number).first()
        if target is None:
            raise NotFoundError(f"endpoint {endpoint.name!r} has no revision {number}")
        if target.plan is None:
            raise ConflictError(f"revision {number} was never compiled: {target.error}")
        return target
    serving = serving_revision(endpoint)
    if serving is None:
        raise ConflictError(f"endpoint {endpoint.name!r} has served nothing yet")
    before = _before(serving)
    if serving.generation != endpoint.generation:
        # A change under way. If it is the way back itself, asking twice asks for the same;
        # any other has not arrived, so what serves is what to go back to.
        under_way = endpoint.revisions.filter(generation=endpoint.generation).first()
        if under_way and under_way.restores and before:
            return before
        return serving
    if before is None:
        origin = f", which goes back to {serving.restores}," if serving.restores else ""
        raise ConflictError(
            f"before revision {serving.number}{origin} nothing with another policy served; to go "
            "to a certain revision, name it"
        )
    return before


def _before(serving: Revision) -> Revision | None:
    """The newest revision with another policy, or other profiles, that served before this one.

    The steps of a rollout are none: whoever takes one back takes back all of it.

    What was gone back to counts by its own place: going back twice goes back further, and
    never to what was left behind.
    """
    served = serving.endpoint.revisions.exclude(served_from=None).filter(passing=False)
    earlier = served.filter(number__lt=serving.restores or serving.number)
    same = Q(policy=serving.policy)
    if profiles := (serving.plan or {}).get("profiles"):
        same &= Q(plan__profiles=profiles)
    return earlier.exclude(same).order_by("-number").first()
