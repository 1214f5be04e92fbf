"""Tunes over the real database, with nodes and a load generator in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from control_plane.audit.models import AuditEvent
from control_plane.domain.perf.request import LoadKind, PerfRequest
from control_plane.domain.violations import ConflictError, InvalidInputError, NotAllowedError
from control_plane.endpoints.serving import RoutedEndpoints
from control_plane.fleet.models import Server
from control_plane.fleet.services import update_server
from control_plane.ports.load import Aim, LoadFailedError, Measured
from control_plane.registry.models import ModelVersion
from control_plane.telemetry.store import TelemetryStore
from control_plane.tuning.models import PerfRun, Tune
from control_plane.tuning.studying import TuneMeans, advance_tune
from control_plane.tuning.tunes import cancel_tune, start_tune
from tests.integration.tuning.test_perf_runs import Lab
from tests.support.fakes import FakeLoad, FakeSearcher
from tests.support.perf import recording

pytestmark = pytest.mark.django_db

SPACE = {"max_batch_size": [8, 32], "queue_delay_us": [0], "instances": [1, 2], "threads": [1]}


class Quick(FakeLoad):
    """A server on which batches of 32 do twice as well as anything else."""

    refuses: Callable[[PerfRequest], bool] = staticmethod(lambda _: False)

    def measure(self, request: PerfRequest, value: float, aim: Aim, **more: Any) -> Measured:
        if self.refuses(request):
            raise LoadFailedError("out of memory")
        found = super().measure(request, value, aim, **more)
        batch = request.overrides.get("max_batch_size", 0)
        best = batch == 32 and request.load.kind is not LoadKind.BATCH_SIZES
        rate = value / (0.7 + 0.02 * value) * (2000 if best else 1000)
        return replace(found, measurement=replace(found.measurement, throughput=rate))


class TuningLab(Lab):
    """A lab whose messages about tunes are delivered like those about runs."""

    def __init__(self, root: Path, telemetry: TelemetryStore) -> None:
        super().__init__(root, telemetry)
        self.load = Quick()
        self.means = replace(self.means, generator=self.load)
        self.tuning = TuneMeans(
            clock=self.clock,
            queue=self,
            endpoints=self.means.endpoints,
            artifacts=self.store,
            telemetry=telemetry,
            searcher=FakeSearcher(),
        )

    def tune(self, *, tune_id: int) -> None:
        self.sent.append(lambda: advance_tune(tune_id=tune_id, means=self.tuning))

    def begin(self, **more: Any) -> Tune:
        said = ("allow_production", "may_load_production", "may_send")
        options = {k: more.pop(k) for k in said if k in more}
        return start_tune(
            document={
                "target": {"model": "digits", "version": 2},
                "server": "lab",
                "latency_limit": "20ms",
                "max_concurrency": 16,
                "space": SPACE,
                **more,
            },
            actor="ada",
            clock=self.clock,
            queue=self,
            endpoints=RoutedEndpoints(),
            store=self.store,
            **options,
        )

    def stop(self, tune: Tune) -> Tune:
        return cancel_tune(number=tune.pk, actor="bo", clock=self.clock, queue=self)


@pytest.fixture
def lab(tmp_path: Path, telemetry: TelemetryStore) -> Iterator[TuningLab]:
    made = TuningLab(tmp_path, telemetry)
    # What would be sent after a commit is sent at once: each test is one transaction.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transaction, "on_commit", lambda send, **_: send())
        yield made


def fresh(tune: Tune) -> Tune:
    return Tune.objects.get(pk=tune.pk)


def test_what_does_best_is_found_and_told_as_a_diff(lab: TuningLab) -> None:
    tune = lab.begin()
    lab.work()
    done = fresh(tune)
    assert done.state == "succeeded", done.reason
    kinds = list(done.trials.values_list("kind", flat=True))
    assert kinds[:3] == ["baseline", "calibration", "seed"]
    assert kinds[-1] == "confirmation"
    result = done.result or {}
    assert result["chosen"]["configuration"]["max_batch_size"] == 32
    assert result["chosen"]["times"] == 2
    assert result["overrides"]["max_batch_size"] == 32
    assert result["gain"] == pytest.approx(100, abs=1)
    assert '+  "max_batch_size": 32' in result["diff"]
    assert result["chosen"]["throughput"] == max(one["throughput"] for one in result["front"])
    assert lab.held == set()  # nothing is left behind
    runs = PerfRun.objects.filter(trial__tune=tune)
    assert runs.count() == done.trials.count()
    assert len(set(runs.values_list("physical", flat=True))) > 2
    actions = AuditEvent.objects.filter(object_type="tune").values_list("action", "actor")
    assert sorted(actions) == [("tune.start", "ada"), ("tune.succeeded", "nereid")]


def test_trials_are_other_models_that_serve_nobody(lab: TuningLab) -> None:
    tune = lab.begin()
    seen: set[str] = set()
    while lab.sent:
        lab.sent.pop(0)()
        seen |= lab.held
        assert len(lab.held) <= 1
    assert seen == set(PerfRun.objects.filter(trial__tune=tune).values_list("physical", flat=True))
    assert all(name.startswith("digits.v2.") for name in seen)


def test_a_trial_that_fails_is_told_and_the_search_goes_on(lab: TuningLab) -> None:
    lab.load.refuses = lambda request: (  # type: ignore[method-assign]
        request.overrides.get("max_batch_size") == 8
    )
    tune = lab.begin()
    lab.work()
    done = fresh(tune)
    assert done.state == "succeeded", done.reason
    assert (done.result or {})["chosen"]["configuration"]["max_batch_size"] == 32
    failed = done.trials.filter(state="failed")
    assert {trial.configuration["max_batch_size"] for trial in failed} <= {8}
    assert all(trial.reason == "out of memory" for trial in failed)


def test_a_version_that_cannot_be_measured_ends_its_tune(lab: TuningLab) -> None:
    lab.load.refuses = lambda _: True  # type: ignore[method-assign]
    tune = lab.begin()
    lab.work()
    done = fresh(tune)
    assert (done.state, done.result) == ("failed", None)
    assert "how it is served now cannot be measured: out of memory" in done.reason
    assert lab.held == set()


def test_a_tune_sends_what_it_was_asked_to_and_no_other(lab: TuningLab) -> None:
    """Who asked for it was asked about the recording that had the name then."""
    row = recording()
    tune = lab.begin(input="recording:mondays", may_send=lambda name: name == "digits")
    assert tune.recording == row
    row.delete()
    recording(endpoint="faces")
    lab.work()
    assert fresh(tune).state == "failed"
    assert "recording mondays is not there any more" in fresh(tune).reason
    assert not PerfRun.objects.exists()


def test_a_tune_is_cancelled_with_the_trial_that_it_is_at(lab: TuningLab) -> None:
    waiting = lab.begin()
    assert lab.stop(waiting).state == "cancelled"
    tune = lab.begin()
    lab.load.meanwhile = lambda _: lab.stop(tune) and None  # type: ignore[func-returns-value]
    lab.work()
    done = fresh(tune)
    assert (done.state, done.reason) == ("cancelled", "cancelled by bo")
    assert done.trials.count() == 1
    assert PerfRun.objects.get(trial__tune=tune).state == "cancelled"
    assert lab.held == set()
    Tune.objects.filter(pk=tune.pk).update(state="succeeded", result={})
    with pytest.raises(ConflictError, match="is over"):
        lab.stop(tune)


def test_a_worker_that_died_costs_one_trial(lab: TuningLab) -> None:
    tune = lab.begin()
    lab.sent.pop(0)()  # the tune begins its first trial
    lab.sent.pop(0)()  # its run asks for its model
    lab.sent.clear()  # and all messages are lost
    lab.beat()
    lab.sweep(seconds=21)
    lab.beat()
    lab.work()
    assert fresh(tune).state == "succeeded"


def test_one_tune_at_a_time_has_a_server(lab: TuningLab) -> None:
    first, second = lab.begin(), lab.begin()
    lab.sent.pop(0)()
    lab.sent.pop(0)()
    assert (fresh(first).state, fresh(second).state) == ("running", "queued")
    with pytest.raises(IntegrityError), transaction.atomic():
        Tune.objects.filter(pk=second.pk).update(state="running")
    lab.work()
    assert (fresh(first).state, fresh(second).state) == ("succeeded", "succeeded")


def test_what_cannot_be_tuned_is_refused(lab: TuningLab) -> None:
    for body, pointer in (
        ({"server": "moon"}, "/server"),
        ({"target": {"model": "digits", "version": 9}}, "/target"),
        ({"target": {"endpoint": "digits"}}, "/target"),
        ({"batch": 4096}, "/batch"),
        ({"space": {"instances": [0]}}, "/space/instances/0"),
    ):
        with pytest.raises(InvalidInputError) as refused:
            lab.begin(**body)
        assert [v.pointer for v in refused.value.violations] == [pointer]
    # Of all that could be varied, what the profile realtime has.
    one = {"max_batch_size": [64], "queue_delay_us": [500], "preferred": [False]}
    with pytest.raises(ConflictError, match="nothing to choose from"):
        lab.begin(space={**one, "instances": [1], "threads": [0]})
    update_server(name="lab", lab=False, actor="ada")
    with pytest.raises(ConflictError, match="not marked as a lab"):
        lab.begin()
    with pytest.raises(NotAllowedError, match="change_server"):
        lab.begin(allow_production=True)
    Server.objects.update(lab=True)
    ModelVersion.objects.filter(number=2).update(profile="sequence")
    with pytest.raises((ConflictError, InvalidInputError)):
        lab.begin()
    assert not Tune.objects.exists()
