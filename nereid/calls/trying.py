"""What an analysis template would do, before it is used, and what it would have done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from nereid.calls.asking import part, read
from nereid.steps import Steps
from nereid.trials import Replay, Simulation


def simulate(
    template: str | Mapping[str, Any] = "default",
    scenario: Mapping[str, Any] | None = None,
    *,
    runs: int | None = None,
) -> Steps[Simulation]:
    """Play rollouts of a template, as ``simulate("default", {"candidateError": 0.02})``.

    Nothing is written.

    Args:
        template: a name, or a document that is not there yet.
        scenario: what the candidate is like, and the traffic; docs/analysis.md has the words.
    """
    body: dict[str, Any] = {"scenario": dict(scenario or {})}
    body["template" if isinstance(template, str) else "document"] = template
    if runs is not None:
        body["runs"] = runs
    return Simulation.from_json((yield from read("POST", "/analysis-simulations/", json=body)))


def replay(
    endpoint: str,
    candidate: str,
    baseline: str,
    since: datetime,
    until: datetime | None = None,
    *,
    template: str | Mapping[str, Any] = "default",
) -> Steps[Replay]:
    """What a run by a template would have found in what these arms did, within the last day.

    Nothing is written.

    Args:
        candidate, baseline: physical models, as answers carry them as ``nereid_arm``.
        since, until: times with a zone; by default until now.
        template: a name, or a document.
    """
    body: dict[str, Any] = {"candidate": candidate, "baseline": baseline}
    body["template" if isinstance(template, str) else "document"] = template
    body["since"] = since.isoformat()
    if until is not None:
        body["until"] = until.isoformat()
    path = f"/endpoints/{part(endpoint)}/replays/"
    return Replay.from_json((yield from read("POST", path, json=body)))
