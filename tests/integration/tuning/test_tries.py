"""Findings that are measured by two perf runs, over the real database."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.audit.models import AuditEvent
from control_plane.domain.kpis.opportunities import Effort, Experiment, Opportunity
from control_plane.domain.violations import ConflictError, InvalidInputError
from control_plane.fleet.services import update_server
from control_plane.tuning.models import FindingTry, PerfRun
from control_plane.tuning.tries import place_of, start_try, tries_of
from tests.integration.tuning.test_perf_runs import Lab, fresh
from tests.integration.tuning.test_perf_runs import lab as a_lab

pytestmark = pytest.mark.django_db
lab = a_lab

ASKED = {"target": {"model": "digits", "version": 2}, "request_rate": [50]}
OVERRIDES: dict[str, Any] = {"instance_group": [{"count": 2}]}
FINDING = Opportunity(
    code="more-instances",
    arm="digits-v2",
    step="",
    target="digits:2",
    detail="requests wait",
    change="2 instances in place of 1 on each server",
    saves_us=500,
    of_us=2000,
    rps=50,
    effort=Effort.PROFILE,
    estimate="analytical",
    overrides=OVERRIDES,
    experiment=Experiment(ASKED, {**ASKED, "overrides": OVERRIDES}),
)


def start(lab: Lab, finding: Opportunity = FINDING, server: str | None = None) -> FindingTry:
    return start_try(
        endpoint="digits",
        finding=finding,
        server=server,
        actor="ada",
        clock=lab.clock,
        queue=lab,
        endpoints=lab.means.endpoints,
        store=lab.store,
    )


def test_both_are_measured_and_stand_beside_the_finding(lab: Lab) -> None:
    telemetry = lab.means.telemetry
    row = start(lab)
    before, after = row.before, row.after
    assert before is not None
    assert after is not None
    assert before.physical != after.physical, "the change is a configuration of its own"
    waiting = tries_of("digits", [FINDING], telemetry)[place_of(FINDING)]
    assert (waiting.state, waiting.measured) == ("queued", None)
    with pytest.raises(ConflictError, match=f"perf runs {before.pk} and {after.pk}"):
        start(lab)
    lab.work()
    assert fresh(before).state == fresh(after).state == "succeeded"
    found = tries_of("digits", [FINDING], telemetry)[place_of(FINDING)]
    assert found.over
    assert found.measured is not None
    assert found.measured.ratio == pytest.approx(1), "the load generator here measures the same"
    assert found.row.asked_by == "ada"
    assert AuditEvent.objects.filter(action="finding.try", object_name="digits").count() == 1
    four = {"instance_group": [{"count": 4}]}
    other = Opportunity(**{**vars(FINDING), "overrides": four})
    assert tries_of("digits", [other], telemetry) == {}, "another change was not measured"
    assert start(lab).pk != row.pk, "it may be measured once more"


def test_of_a_change_of_the_callers_it_is_the_time_of_a_row_that_counts(lab: Lab) -> None:
    rows = Experiment(ASKED, {**ASKED, "batch": 4})
    finding = Opportunity(**{**vars(FINDING), "overrides": {}, "experiment": rows})
    start(lab, finding)
    lab.work()
    found = tries_of("digits", [finding], lab.means.telemetry)[place_of(finding)]
    assert found.measured is not None
    assert found.measured.ratio == pytest.approx(1 / 4)


def test_what_ended_badly_says_so_and_what_goes_on_before_it(lab: Lab) -> None:
    row = start(lab)
    lab.cancel(row.before)  # type: ignore[arg-type]
    found = tries_of("digits", [FINDING], lab.means.telemetry)[place_of(FINDING)]
    assert found.state == "queued", "its second run waits still"
    lab.work()
    found = tries_of("digits", [FINDING], lab.means.telemetry)[place_of(FINDING)]
    assert (found.state, found.measured) == ("cancelled", None)
    PerfRun.objects.all().delete()
    found = tries_of("digits", [FINDING], lab.means.telemetry)[place_of(FINDING)]
    assert (found.state, found.reason) == ("failed", "one of its perf runs is gone")


def test_what_cannot_be_measured_leaves_nothing(lab: Lab) -> None:
    with pytest.raises(ConflictError, match="no perf run can measure"):
        start(lab, Opportunity(**{**vars(FINDING), "experiment": None}))
    wrong = Experiment(ASKED, {**ASKED, "overrides": {"instance_group": "many"}})
    with pytest.raises(InvalidInputError):
        start(lab, Opportunity(**{**vars(FINDING), "experiment": wrong}))
    update_server(name="lab", lab=False, actor="ada")
    with pytest.raises(InvalidInputError, match="no server is marked as a lab"):
        start(lab)
    with pytest.raises(ConflictError, match="not marked as a lab"):
        start(lab, server="lab")
    assert not PerfRun.objects.exists()
    assert not FindingTry.objects.exists()
