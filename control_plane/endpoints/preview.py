"""The dry run: what a policy would change."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from control_plane.domain.planning.changes import Change, changes, loads, unified_diff, unloads
from control_plane.endpoints.findings import Finding, findings
from control_plane.endpoints.intent import compile_for, next_generation
from control_plane.endpoints.policies import read_policy
from control_plane.endpoints.selectors import get_endpoint, latest_plan, serving_plan
from control_plane.ports.config_printer import ConfigPrinter


@dataclass(frozen=True)
class Preview:
    """What a policy would change; nothing is written."""

    changes: list[Change]
    diff: str
    findings: list[Finding]
    loads: list[str]
    unloads: list[str]


def preview(*, name: str, document: object, print_config: ConfigPrinter) -> Preview:
    """What the policy would change against what serves now: the dry run.

    Raises:
        NotFoundError: there is no such endpoint.
        InvalidInputError: the policy breaks a rule.
    """
    endpoint = get_endpoint(name)
    before = serving_plan(endpoint)
    policy = read_policy(document, settings.NEREID_FORWARDED_HEADERS)
    after = compile_for(endpoint, policy, next_generation(endpoint), latest_plan(endpoint))
    return Preview(
        changes=changes(before, after),
        diff=unified_diff(before, after, print_config),
        findings=findings(before, after),
        loads=loads(before, after),
        unloads=unloads(before, after),
    )
