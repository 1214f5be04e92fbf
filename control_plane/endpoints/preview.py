"""The dry run: what a policy would change."""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.utils.timezone import now

from control_plane.domain.findings import Finding
from control_plane.domain.placement.placing import Placing
from control_plane.domain.planning.changes import Change, changes, loads, unified_diff, unloads
from control_plane.domain.planning.effective import ArmServing
from control_plane.domain.planning.plan import Plan
from control_plane.endpoints.findings import findings
from control_plane.endpoints.intent import draft
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.placing import foreseen, placement_of
from control_plane.endpoints.selectors import get_endpoint, serving_plan
from control_plane.endpoints.serving_findings import arms_serving, serving_findings
from control_plane.ports.config_printer import ConfigPrinter


@dataclass(frozen=True)
class Preview:
    """What a policy would change; nothing is written."""

    changes: list[Change]
    diff: str
    findings: list[Finding]
    loads: list[str]
    unloads: list[str]
    serving: list[ArmServing]
    placing: Placing | None = None


def preview(*, name: str, document: object, print_config: ConfigPrinter) -> Preview:
    """What the policy would change against what serves now: the dry run.

    Raises:
        NotFoundError: there is no such endpoint.
        InvalidInputError: the policy breaks a rule.
    """
    endpoint = get_endpoint(name)
    plan = draft(endpoint, document)
    found = effect(endpoint, plan, print_config)
    return replace(found, placing=foreseen(endpoint, plan, placement_of(endpoint), now()))


def effect(endpoint: Endpoint, after: Plan, print_config: ConfigPrinter) -> Preview:
    """What a plan would change against what serves now."""
    before = serving_plan(endpoint)
    return Preview(
        changes=changes(before, after),
        diff=unified_diff(before, after, print_config),
        findings=[*findings(before, after), *serving_findings(after)],
        loads=loads(before, after),
        unloads=unloads(before, after),
        serving=arms_serving(after),
    )
