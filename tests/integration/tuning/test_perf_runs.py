"""Perf runs over the real database, with nodes and a load generator in memory."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from control_plane.adapters.artifacts import FileArtifactStore
from control_plane.audit.models import AuditEvent
from control_plane.domain.perf.request import PerfRequest
from control_plane.domain.violations import ConflictError, InvalidInputError, NotAllowedError
from control_plane.endpoints.services import create_endpoint
from control_plane.endpoints.serving import RoutedEndpoints
from control_plane.fleet.models import Server
from control_plane.fleet.services import update_server
from control_plane.ports.load import LoadFailedError, LoadHungError
from control_plane.registry.models import Artifact, ModelVersion
from control_plane.telemetry.store import TelemetryStore
from control_plane.tuning import holding, sweeping
from control_plane.tuning.models import PerfRun
from control_plane.tuning.results import levels_of, peak_of, with_levels
from control_plane.tuning.running import Means, advance
from control_plane.tuning.selectors import latest_of_versions
from control_plane.tuning.services import cancel_perf_run, start_perf_run
from control_plane.webhooks.models import Delivery, Webhook
from control_plane.webhooks.outbox import written
from control_plane.wiring import print_config
from tests.integration.control_plane.test_convergence import World
from tests.support.fakes import FakeLoad

pytestmark = pytest.mark.django_db


class Lab(World):
    """A server that is a lab; perf messages wait in `sent` until they are delivered."""

    def __init__(self, root: Path, telemetry: TelemetryStore) -> None:
        super().__init__(root, "lab")
        self.sent: list[Callable[[], None]] = []
        self.load = FakeLoad()
        self.store = FileArtifactStore(root / "artifacts")
        update_server(name="lab", lab=True, actor="ada")
        self.means = Means(
            clock=self.clock,
            queue=self,
            generator=self.load,
            endpoints=RoutedEndpoints(),
            artifacts=self.store,
            recordings=FileArtifactStore(root / "recordings"),
            telemetry=telemetry,
            metrics_of=lambda _: self.tritons["lab"],
        )

    def perf_run(self, *, run_id: int) -> None:
        self.sent.append(lambda: advance(run_id=run_id, means=self.means))

    def perf_command(self, *, server: str, verb: str, run_id: int) -> None:
        agent = self.agents[server]
        if verb == "hold":
            self.sent.append(
                lambda: holding.hold(run_id=run_id, agent=agent, clock=self.clock, queue=self)
            )
        else:
            self.sent.append(lambda: holding.release(run_id=run_id, agent=agent))

    def work(self) -> None:
        while self.sent:
            self.sent.pop(0)()

    def sweep(self, seconds: float = 21) -> None:
        self.clock.pass_time(seconds=seconds)
        sweeping.sweep(clock=self.clock, queue=self)

    def start(self, **more: Any) -> PerfRun:
        said = ("allow_production", "may_load_production", "may_send")
        options = {k: more.pop(k) for k in said if k in more}
        document = {"target": {"model": "digits", "version": 2}, "server": "lab", **more}
        return start_perf_run(
            document=document,
            actor="ada",
            clock=self.clock,
            queue=self,
            endpoints=RoutedEndpoints(),
            store=self.store,
            **options,
        )

    def cancel(self, run: PerfRun) -> PerfRun:
        return cancel_perf_run(number=run.pk, actor="bo", clock=self.clock, queue=self)

    @property
    def held(self) -> set[str]:
        return {model.name for model in self.tritons["lab"].index()}


@pytest.fixture
def lab(tmp_path: Path, telemetry: TelemetryStore, django_capture_on_commit_callbacks: Any) -> Any:
    made = Lab(tmp_path, telemetry)
    # What would be sent after a commit is sent at once: each test is one transaction.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transaction, "on_commit", lambda send, **_: send())
        yield made


def fresh(run: PerfRun) -> PerfRun:
    return PerfRun.objects.get(pk=run.pk)


def test_a_version_is_loaded_measured_and_let_go(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written, "receivers", [])  # here is no worker that would deliver it
    webhook = Webhook.objects.create(
        name="ci", url="https://ci.example/", events=["perf_run.*"], names=["digits"], secret=b"x"
    )
    run = lab.start(concurrency=[1, 4], latency_limit="20ms")
    assert (run.state, lab.held) == ("queued", set())
    lab.sent.pop(0)()
    assert fresh(run).state == "preparing"
    lab.sent.pop(0)()
    assert lab.held == {run.physical}
    lab.work()
    done = fresh(run)
    assert (done.state, done.reason) == ("succeeded", "every level was measured")
    assert lab.held == set()
    assert not done.held
    assert [(model, value) for model, value in lab.load.measured] == [
        (run.physical, 1),
        (run.physical, 4),
    ]
    [shown] = with_levels([done], lab.means.telemetry)
    assert [level.value for level in levels_of(shown)] == [1, 4]
    best = peak_of(shown)
    assert best is not None
    assert best.value == 4
    name, content = lab.means.telemetry.perf_files(run.key)[0]
    assert lab.means.telemetry.perf_file(run.key, name, content) == b"packed"
    actions = list(AuditEvent.objects.filter(object_type="perf_run").values_list("action", "actor"))
    assert sorted(actions) == [("perf_run.start", "ada"), ("perf_run.succeeded", "nereid")]
    assert latest_of_versions([run.version_id]) == {run.version_id: done}
    told = [json.loads(one.body)["data"] for one in Delivery.objects.filter(webhook=webhook)]
    assert [(one["perf_run"], one["state"], one["name"], one["server"]) for one in told] == [
        (run.pk, "succeeded", "digits", "lab")
    ]


def test_what_serves_is_not_loaded_twice_and_stays(lab: Lab) -> None:
    create_endpoint(name="digits", actor="ada", queue=lab, print_config=print_config)
    lab.policy(0, 100)
    lab.settle()
    before = (lab.held, list(lab.tritons["lab"].loads))
    run = lab.start()
    lab.work()
    assert fresh(run).state == "succeeded"
    assert (lab.held, lab.tritons["lab"].loads) == before


def test_golden_examples_are_what_is_sent(lab: Lab) -> None:
    rows = [[[[0.5] * 8] * 8]] * 3
    golden = json.dumps([{"inputs": {"image": rows}, "outputs": {"logits": [[0.0] * 10] * 3}}])
    sha256, size = lab.store.add(io.BytesIO(golden.encode()))
    artifact = Artifact.objects.create(sha256=sha256, size=size)
    ModelVersion.objects.filter(number=2).update(golden=artifact)
    # Its node would ask them: this one's answers are not the model's.
    lab.agents["lab"]._golden.check = lambda _: None  # type: ignore[method-assign]
    run = lab.start(concurrency=[1])
    assert run.request["input"] == "golden"
    lab.work()
    assert fresh(run).state == "succeeded", fresh(run).reason
    [sent] = {json.dumps(entry) for entry in json.loads(lab.load.sent)["data"]}
    assert json.loads(sent)["image"] == {"content": [0.5] * 64, "shape": [1, 8, 8]}


def test_an_endpoint_is_called_as_it_is_routed(lab: Lab) -> None:
    create_endpoint(name="digits", actor="ada", queue=lab, print_config=print_config)
    with pytest.raises(ConflictError, match="serves nothing yet"):
        lab.start(target={"endpoint": "digits"})
    lab.policy(100)
    lab.settle()
    run = lab.start(target={"endpoint": "digits"}, concurrency=[2])
    assert (run.physical, run.plan) == ("digits", None)
    lab.work()
    assert fresh(run).state == "succeeded"


def test_a_hold_keeps_its_model_while_others_are_retired(lab: Lab) -> None:
    create_endpoint(name="digits", actor="ada", queue=lab, print_config=print_config)
    lab.policy(100)
    lab.settle()
    run = lab.start()
    lab.sent.pop(0)()
    lab.sent.pop(0)()
    lab.policy(100)  # a change, and with it what nothing needs is retired
    lab.settle()
    assert run.physical in lab.held


def test_one_run_at_a_time_has_a_server(lab: Lab) -> None:
    first, second = lab.start(), lab.start(concurrency=[2])
    lab.sent.pop(0)()
    lab.sent.pop(0)()
    assert (fresh(first).state, fresh(second).state) == ("preparing", "queued")
    with pytest.raises(IntegrityError), transaction.atomic():
        PerfRun.objects.filter(pk=second.pk).update(state="running")
    lab.work()
    assert (fresh(first).state, fresh(second).state) == ("succeeded", "succeeded")


def test_a_server_that_is_no_lab_is_loaded_only_by_whoever_may_and_says_so(lab: Lab) -> None:
    update_server(name="lab", lab=False, actor="ada")
    with pytest.raises(ConflictError, match="not marked as a lab"):
        lab.start()
    with pytest.raises(NotAllowedError, match="change_server"):
        lab.start(allow_production=True)
    allowed = {"allow_production": True, "may_load_production": True}
    with pytest.raises(ConflictError, match="every shared-memory region"):
        lab.start(shared_memory="system", **allowed)
    assert lab.start(**allowed).allow_production


def test_what_is_not_there_is_refused(lab: Lab) -> None:
    for body, pointer in (
        ({"server": "moon"}, "/server"),
        ({"target": {"model": "digits", "version": 9}}, "/target"),
        ({"target": {"pipeline": "line", "revision": 1}}, "/target"),
        ({"batch": 4096}, "/batch"),
        ({"input": "golden"}, "/input"),
    ):
        with pytest.raises(InvalidInputError) as refused:
            lab.start(**body)
        assert [v.pointer for v in refused.value.violations] == [pointer]
    lab.clock.pass_time(seconds=60)
    with pytest.raises(ConflictError, match="Unknown"):
        lab.start()
    assert not PerfRun.objects.exists()


def test_a_model_that_cannot_be_loaded_fails_its_run(lab: Lab) -> None:
    run = lab.start()
    lab.tritons["lab"].refuse(run.physical)
    lab.work()
    failed = fresh(run)
    assert failed.state == "failed"
    assert f"cannot load {run.physical}" in failed.reason


def test_a_hang_is_tried_again_and_a_failure_is_told(lab: Lab) -> None:
    lab.load.fails = [LoadHungError("no end"), LoadHungError("no end")]
    hung = lab.start(concurrency=[1])
    lab.work()
    assert fresh(hung).state == "succeeded"
    lab.load.fails = [LoadHungError("no end")] * 3
    again = lab.start(concurrency=[1])
    lab.work()
    assert (fresh(again).state, fresh(again).reason) == ("failed", "no end")
    lab.load.fails = [LoadFailedError("unexpected shape"), ValueError("a fault of ours")]
    refused, broken = lab.start(), lab.start()
    lab.work()
    assert fresh(refused).reason == "unexpected shape"
    assert "a fault of ours" in fresh(broken).reason
    assert lab.held == set()


def test_one_that_waits_is_cancelled_at_once(lab: Lab) -> None:
    run = lab.start()
    assert lab.cancel(run).state == "cancelled"
    assert lab.cancel(run).state == "cancelled"
    lab.work()
    assert lab.load.measured == []
    done = lab.start()
    lab.work()
    with pytest.raises(ConflictError, match="is over"):
        lab.cancel(done)


def test_one_that_runs_ends_as_soon_as_its_worker_looks(lab: Lab) -> None:
    run = lab.start(concurrency=[1, 2])

    def meanwhile(_: PerfRequest) -> None:
        assert fresh(run).progress["of"] == 2
        assert lab.cancel(run).state == "cancelling"

    lab.load.meanwhile = meanwhile
    lab.work()
    ended = fresh(run)
    assert (ended.state, ended.reason) == ("cancelled", "cancelled by bo")
    assert lab.load.measured == []
    assert lab.held == set()


def test_one_that_is_being_loaded_is_cancelled_too(lab: Lab) -> None:
    run = lab.start()
    lab.sent.pop(0)()
    hold = lab.sent.pop(0)
    lab.cancel(run)
    lab.work()
    assert fresh(run).state == "cancelled"
    hold()  # comes late, after its own release: refused
    lab.work()
    assert lab.held == set()


def test_a_run_whose_worker_died_has_failed(lab: Lab) -> None:
    run = lab.start()
    lab.work()
    PerfRun.objects.filter(pk=run.pk).update(
        state="running",
        finished_at=None,
        held=True,
        lease_owner="dead",
        lease_expires_at=lab.clock.now() + timedelta(seconds=15),
    )
    lab.sweep(seconds=14)
    assert fresh(run).state == "running"
    lab.sweep(seconds=2)
    assert fresh(run).state == "failed"
    assert "is gone" in fresh(run).reason
    lab.work()
    assert not fresh(run).held


def test_what_was_lost_is_sent_again(lab: Lab) -> None:
    run = lab.start()
    lab.sent.clear()
    lab.sweep()
    lab.sent.pop(0)()
    assert fresh(run).state == "preparing"
    lab.sent.clear()  # the hold
    lab.sweep()
    lab.sent.pop(0)()
    lab.sent.clear()  # that it is loaded
    lab.sweep()
    lab.sent.pop(0)()
    assert fresh(run).state == "succeeded"
    lab.sent.clear()  # the release
    assert lab.held == {run.physical}
    lab.sweep()
    lab.work()
    assert lab.held == set()


def test_a_load_without_end_and_a_server_that_is_gone_fail_their_runs(lab: Lab) -> None:
    slow = lab.start()
    lab.sent.pop(0)()
    lab.sent.clear()
    lab.sweep(seconds=16 * 60)
    assert "within 15 minutes" in fresh(slow).reason
    lab.work()
    lab.beat()
    waiting = lab.start()
    Server.objects.all().delete()
    lab.sweep()
    lab.work()
    assert fresh(waiting).reason == "server lab is gone"
