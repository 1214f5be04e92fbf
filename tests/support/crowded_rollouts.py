"""Rollouts of a crowd: long names, long reasons, and every kind of end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from control_plane import wiring
from control_plane.analysis.templates import put_template
from control_plane.domain.rollout.states import Event
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.services import create_endpoint
from control_plane.rollouts.recording import happen
from tests.support.rollouts import Made, analysing, measured, started

STRICT = "stricter-than-the-default-for-the-night-shift"
OUTCOME = "answered-as-the-people-of-the-night-shift-did"
RETURNED, COST = "boxes-that-came-back-in-the-morning", "seconds-of-a-gpu-for-each-box"


def add(reason: str) -> None:
    """One under way with its evidence, one that went back, one that nothing decides."""
    put_template(name=STRICT, document=_strict(), actor="maximilian.featherstonehaugh")
    arm = {"model": "digits", "version": 1, "weight": 100, "primary": True}
    stories: tuple[tuple[str, float, Event | None], ...] = (
        ("boxes-of-the-night-shift-in-the-old-hall", 0.02, None),
        ("boxes-that-fell", 0.3, Event.MEASURED_BAD),
        ("boxes-that-nobody-saw", 0.02, Event.UNDECIDED),
    )
    for name, rate, event in stories:
        if not Endpoint.objects.filter(name=name).exists():
            create_endpoint(
                name=name,
                actor="maximilian.featherstonehaugh",
                queue=wiring.queue(),
                print_config=wiring.print_config,
                policy={"arms": [arm]},
            )
            _rollout(name, rate, event, reason)


def _rollout(endpoint: str, rate: float, event: Event | None, reason: str) -> None:
    """In one transaction: the worker that is here is real, and would go on with it."""
    now = timezone.now()
    tenants = {"header:x-tenant-id": {"in": ["acme", "globex-corporation-of-cypress-creek"]}}
    steps: list[dict[str, Any]] = [
        {"setWeight": 2.5},
        {"analysis": {"templates": ["default", STRICT]}},
        {"setRule": {"when": tenants}},
        {"pause": {"duration": "90m"}},
        {"approval": {}},
        {"setWeight": 50},
    ]
    more = {"strategy": {"canary": {"steps": steps}}, "reason": reason}
    with transaction.atomic():
        rollout = started(endpoint, 2, queue=wiring.queue(), **more)
        analysing(rollout, budget_spent=7)
        began, rates = now - timedelta(minutes=9), (rate, 0.02)
        made = Made(
            rates=rates,
            requests=(20, 180),
            feedback={OUTCOME: (0.9, 0.91)},
            waits=(2900 if rate > 0.1 else 1900, 1800),
            told={RETURNED: rates, COST: (0.00041, 0.0004)},
        )
        run = measured(rollout, began=began, looks=120, made=made)
        measured(rollout, began=began, looks=90, made=made, template=STRICT)
        if event is not None:
            happen(rollout, event, reason=f"default: {run.reason}", now=now)
        if event is Event.MEASURED_BAD:
            happen(rollout, Event.RETURNED, reason="every request goes back", now=now)
        else:
            rollout.look_at = now + timedelta(days=300)
            rollout.save(update_fields=["look_at"])


def _strict() -> dict[str, Any]:
    outcome = {"kind": "feedback", "outcome": OUTCOME}
    return {
        "alpha": 0.01,
        "metrics": [
            {"name": "errors-of-the-night-shift", "kind": "error_rate", "margin": 0.001},
            {"name": "what-people-said-of-it", **outcome, "required": False},
            {"name": "waiting", "kind": "queue_time", "block": "5s", "required": False},
            {
                "name": RETURNED,
                "kind": "promql",
                "of": 'boxes_total{hall="old", arm="{{arm}}"}',
                "count": 'returned_total{hall="old", arm="{{arm}}"}',
                "unit": "request",
                "required": False,
            },
            {
                "name": COST,
                "kind": "promql",
                "query": 'sum(rate(gpu_seconds_total{arm="{{arm}}"}[{{window}}]))',
                "block": "5s",
                "marginRelative": 0.1,
                "required": False,
            },
        ],
    }
