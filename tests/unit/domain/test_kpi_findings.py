"""What would help an endpoint: each rule by the figures that call for it, and by those that not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from control_plane.domain.kpis.counted import ArmCounts, Counted, ModelCounts
from control_plane.domain.kpis.opportunities import Effort, Opportunity, Servers
from control_plane.domain.kpis.report import Network, Served, report
from control_plane.domain.kpis.setting import Setting, setting_of
from control_plane.domain.kpis.spots import findings
from control_plane.domain.kpis.waiting import saved_by_batching, saved_by_instance, steady_wait

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ROOMY = Servers(cores=8, cache=None)


def worked(
    requests: int = 6000,
    queue_us: float = 0.0,
    infer_us: float = 2000.0,
    together: float = 1.0,
    rows: float = 1.0,
    copies_us: float = 0.0,
    pending: int = 0,
) -> ModelCounts:
    """A minute of requests, each with these times; `together` shared an execution."""
    executions = round(requests / together)
    return ModelCounts(
        requests_ok=requests,
        inferences=round(executions * rows * together),
        executions=executions,
        request_us=round(requests * (queue_us + infer_us + copies_us)),
        queue_us=round(requests * queue_us),
        compute_input_us=round(requests * copies_us),
        compute_infer_us=round(requests * infer_us),
        pending=pending,
    )


def found(
    model: ModelCounts,
    setting: Setting,
    servers: Servers = ROOMY,
    network: float | None = None,
    router: ModelCounts | None = None,
    steps: tuple[tuple[Served, ModelCounts], ...] = (),
    **more: Any,
) -> list[Opportunity]:
    arm = ArmCounts(requests=model.requests_ok)
    models = {"m.v1.a": model, **{step.physical: counts for step, counts in steps}}
    if router:
        models["m"] = router
    counted = Counted(
        NOON, NOON + timedelta(minutes=1), 60, arm, {"m.v1.a": arm}, models, {"s": 60.0}
    )
    served = Served(
        "stable",
        "m:1",
        "m.v1.a",
        {} if steps else more.pop("instances", {"s": setting.instances}),
        steps=tuple(step for step, _ in steps),
        setting=setting,
        version=None if steps else ("m", 1),
        **more,
    )
    said = Network(network, 1, "1 caller") if network is not None else None
    return findings(report("m", counted, [served], said), [served], servers)


def codes(*args: Any, **more: Any) -> list[str]:
    return [one.code for one in found(*args, **more)]


PLAIN = Setting(max_batch_size=8)
BATCHING = Setting(max_batch_size=8, batches=True, delay_us=500)


def test_where_nobody_waits_nothing_is_found() -> None:
    assert codes(worked(), PLAIN) == []
    assert codes(worked(requests=99, queue_us=9000), PLAIN) == []  # says too little


def test_a_delay_that_nobody_joins() -> None:
    [one] = found(worked(queue_us=600, infer_us=300), BATCHING)
    assert (one.code, one.saves_us, one.effort) == ("shorter-delay", 500, Effort.PROFILE)
    assert one.overrides == {"dynamic_batching": {"max_queue_delay_microseconds": 0}}
    assert one.roi == pytest.approx(500 / 1e6 * 100)
    assert one.measure.startswith("nereid tune m.v1 --objective latency --rate 100 --space")
    assert codes(worked(queue_us=600, infer_us=300, together=4, rows=1), BATCHING) == []


def test_what_measures_a_change_is_the_same_load_twice() -> None:
    [one] = found(worked(queue_us=600, infer_us=300), BATCHING)
    assert one.experiment is not None
    at = {"target": {"model": "m", "version": 1}, "request_rate": [100], "distribution": "poisson"}
    assert one.experiment.before == at
    assert one.experiment.after == {**at, "overrides": one.overrides}
    [wire] = found(worked(), PLAIN, network=3000)
    assert wire.experiment is not None
    asked = {"target": {"endpoint": "m"}, "concurrency": [1]}
    assert wire.experiment.before == asked
    assert wire.experiment.after == {**asked, "shared_memory": "system"}
    [cache] = found(worked(infer_us=20_000), PLAIN, Servers(8, cache=True))
    assert cache.experiment is None, "requests that are sent again and again are all in it"


def test_a_change_is_measured_on_what_the_arm_lays_over_its_version() -> None:
    own = {"instance_group": [{"count": 2}], "dynamic_batching": {"preserve_ordering": True}}
    [one] = found(worked(queue_us=600, infer_us=300), BATCHING, overrides=own)
    assert one.experiment is not None
    assert one.experiment.before["overrides"] == own
    together = {"preserve_ordering": True, "max_queue_delay_microseconds": 0}
    assert one.experiment.after["overrides"] == {**own, "dynamic_batching": together}


def test_one_server_is_measured_at_its_own_part_of_the_rate() -> None:
    three = dict.fromkeys("abc", 1)
    [one] = found(worked(queue_us=600, infer_us=300), BATCHING, instances=three)
    assert one.experiment is not None
    assert one.experiment.before["request_rate"] == [33]
    assert "--rate 33 " in one.measure


def test_requests_that_wait_one_behind_the_other() -> None:
    model = worked(queue_us=5000, infer_us=8000)
    by_code = {one.code: one for one in found(model, PLAIN)}
    assert set(by_code) == {"dynamic-batching", "more-instances"}
    batching = by_code["dynamic-batching"]
    assert batching.saves_us == pytest.approx(saved_by_batching(5000, 100, 1))
    assert batching.overrides == {"dynamic_batching": {}}
    more = by_code["more-instances"]
    assert more.overrides == {"instance_group": [{"count": 2}]}
    assert more.saves_us == pytest.approx(saved_by_instance(5000, 1, 0.8, 8000))
    assert codes(model, replace(PLAIN, max_batch_size=0)) == ["more-instances"]


def test_no_instance_is_asked_for_without_a_core_or_for_one_that_rests() -> None:
    model = worked(queue_us=5000, infer_us=8000)
    assert "more-instances" not in codes(model, PLAIN, Servers(cores=1))
    assert "more-instances" in codes(model, replace(PLAIN, cpu=False), Servers(cores=1))
    resting = worked(requests=600, queue_us=3000, infer_us=2000)
    assert "more-instances" not in codes(resting, PLAIN)
    assert "more-instances" in codes(replace(resting, pending=4), PLAIN)


def test_batches_that_are_full() -> None:
    model = worked(queue_us=9000, infer_us=8000, together=8)
    larger = {one.code: one for one in found(model, replace(BATCHING, delay_us=0))}
    assert larger["larger-batches"].overrides == {"max_batch_size": 16}


def test_the_cache_is_an_assumption_that_is_said() -> None:
    [one] = found(worked(infer_us=20_000), PLAIN, Servers(8, cache=True))
    assert (one.code, one.effort, one.saves_us) == ("response-cache", Effort.PROFILE, 2000)
    assert one.estimate.startswith("assumed")
    [without] = found(worked(infer_us=20_000), PLAIN, Servers(8, cache=False))
    assert (without.effort, without.roi) == (Effort.SERVER, pytest.approx(one.roi / 2))
    assert codes(worked(infer_us=20_000), replace(PLAIN, cached=True), Servers(8, True)) == []


def test_what_concerns_callers() -> None:
    assert codes(worked(), PLAIN, network=3000) == ["shared-memory"]
    assert codes(worked(), PLAIN, network=300) == []
    assert codes(worked(copies_us=1500), PLAIN) == ["copies"]
    router = ModelCounts(6000, compute_input_us=6000 * 1500)
    [rows] = found(worked(), PLAIN, router=router)
    assert (rows.code, rows.saves_us) == ("rows-at-once", pytest.approx(1500 * 3 / 4))
    assert codes(worked(), Setting(max_batch_size=1), router=router) == []


def test_the_step_that_limits_a_pipeline() -> None:
    def step(name: str, infer_us: float, queue_us: float) -> tuple[Served, ModelCounts]:
        at = Served(
            name, f"{name}:1", f"{name}.v1.a", {"s": 1}, setting=Setting(), version=(name, 1)
        )
        return at, worked(queue_us=queue_us, infer_us=infer_us)

    whole = ModelCounts(6000, request_us=6000 * 14_000)
    steps = (step("decode", 2000, 0), step("classify", 8000, 4000))
    [one] = found(whole, Setting(), steps=steps)
    assert (one.code, one.step, one.target) == ("narrow-step", "classify", "classify:1")
    assert "125 requests a second at most" in one.detail
    assert "could take 250" in one.detail
    assert one.measure.startswith("nereid tune classify.v1")
    alone = found(whole, Setting(), steps=steps[1:])
    assert "narrow-step" not in [one.code for one in alone], "there is no other to be wider"


def test_the_most_for_the_least_effort_comes_first() -> None:
    listed = found(worked(queue_us=5000, infer_us=8000), PLAIN, Servers(8, True), network=9000)
    assert [one.roi for one in listed] == sorted((one.roi for one in listed), reverse=True)
    assert listed[0].effort is Effort.PROFILE
    assert listed[-1].code == "response-cache"


def test_waits_by_the_formulas() -> None:
    assert steady_wait(1, 0.5, 1000) == pytest.approx(1000)  # M/M/1: rho / (1 - rho)
    assert steady_wait(2, 1.0, 1000) == pytest.approx(1000 / 3)
    assert steady_wait(1, 2.0, 1000) == steady_wait(1, 0.98, 1000)
    # At hardly any load all of a wait is of bursts, of which a second instance takes a half.
    assert saved_by_instance(1000, 1, 0.0, 1000) == pytest.approx(500)


def test_settings_are_read_from_a_configuration() -> None:
    config = {
        "max_batch_size": 16,
        "dynamic_batching": {"max_queue_delay_microseconds": 100},
        "response_cache": {"enable": True},
        "instance_group": [{"count": 2, "kind": "KIND_GPU", "gpus": [0, 1]}],
    }
    assert setting_of(config) == Setting(16, True, 100, True, 4, cpu=False)
    assert setting_of({"platform": "ensemble"}).instances == 0
    assert setting_of({"max_batch_size": 0}) == Setting()
