"""What callers say of an endpoint's answers: which arm is meant, and the writing down.

This is data, like the samples of servers: it changes nothing that serves, and leaves no audit
event. What it may change is what a rollout decides, so it takes a permission of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from control_plane.domain.violations import InvalidInputError, Violation
from control_plane.endpoints.models import Endpoint, Revision
from control_plane.endpoints.selectors import get_endpoint
from control_plane.ports.clock import Clock
from control_plane.telemetry.feedback import Report, Written
from control_plane.telemetry.store import TelemetryStore

REVISIONS_BACK = 50
"""An arm by its physical name is known for so many revisions: labels come late."""

_NAMED = 10


def report_feedback(
    *, name: str, reports: Sequence[Report], store: TelemetryStore, clock: Clock
) -> Written:
    """Counts reports for the arms they are about; those of a request may wait for theirs.

    Raises:
        NotFoundError: there is no such endpoint.
        InvalidInputError: a report names an arm that the endpoint does not have and never had.
    """
    endpoint = get_endpoint(name)
    if not any(report.arm for report in reports):
        return store.write_feedback(name, reports, clock.now())
    by_name, physical = _arms(endpoint)
    told, found = [], []
    for i, report in enumerate(reports):
        arm = report.arm and (report.arm if report.arm in physical else by_name.get(report.arm))
        if report.arm and not arm:
            found.append(_unknown(i if len(reports) > 1 else None, report.arm, by_name))
        told.append(replace(report, arm=arm))
    if found:
        raise InvalidInputError(found)
    return store.write_feedback(name, told, clock.now())


def _arms(endpoint: Endpoint) -> tuple[Mapping[str, str], frozenset[str]]:
    """Arm name -> physical model of the present revision, and all physical models of late."""
    plans = Revision.objects.filter(endpoint=endpoint, plan__isnull=False).order_by("-number")
    arms = [
        list(each or ()) for each in plans.values_list("plan__arms", flat=True)[:REVISIONS_BACK]
    ]
    present = {arm["name"]: str(arm["physical"]) for arm in (arms[0] if arms else ())}
    return present, frozenset(str(arm["physical"]) for plan in arms for arm in plan)


def _unknown(i: int | None, arm: str, known: Mapping[str, str]) -> Violation:
    has = ", ".join(f"{name} ({physical})" for name, physical in list(known.items())[:_NAMED])
    detail = f"the endpoint has no arm {arm[:80]!r}; it has {has or 'none yet'}"
    return Violation("/arm" if i is None else f"/{i}/arm", "unknown_arm", detail)
