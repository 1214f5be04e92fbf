"""The search on made-up servers: it finds the best within its budget, and knows when to stop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.adapters.profiles import load_profile
from control_plane.domain.planning.backends import BackendKind
from control_plane.domain.serving.overriding import composed, overridden
from control_plane.domain.tuning.applying import with_overrides
from control_plane.domain.tuning.configuration import (
    Configuration,
    configuration_of,
    overrides_for,
)
from control_plane.domain.tuning.pareto import chosen, front
from control_plane.domain.tuning.read_request import read_tune
from control_plane.domain.tuning.request import TuneRequest
from control_plane.domain.tuning.searching import End, next_step
from control_plane.domain.tuning.space import Machine, Space, Tunable, space_for
from control_plane.domain.tuning.states import TrialKind
from control_plane.domain.tuning.study import Point, Trial, points_of
from control_plane.domain.violations import ConflictError, InvalidInputError
from tests.support.tuning import PRESENT, MadeUpServer, digits_space, nobody, tuned


def asked(**more: Any) -> TuneRequest:
    document = {"target": {"model": "digits", "version": 1}, "server": "lab", "trials": 40}
    return read_tune({**document, **more})


def share(request: TuneRequest, space: Space, server: MadeUpServer, trials: list[Trial]) -> float:
    """Of the best that there is, what the chosen one really has."""
    found = chosen(request, space.present, points_of(request, trials))
    assert found is not None
    paced = request.objective == "latency"
    rate, p99 = server.truth(found.configuration, found.load, paced=paced)
    best = server.best(request, space)
    return best / p99 if paced else rate / best


SERVERS = {
    "fixed": st.floats(60, 3000),
    "row": st.floats(3, 400),
    "overhead": st.floats(100, 800),
    "parallel": st.floats(0, 1),
    "tail": st.floats(1.3, 4),
    "cores": st.sampled_from([2, 4]),
    "noise": st.sampled_from([0.01, 0.03]),
    "per_instance": st.floats(0, 0.2),
    "bend": st.floats(-0.1, 0.1),
    "seed": st.integers(0, 9),
}


@settings(deadline=None, max_examples=4, derandomize=True)
@given(st.fixed_dictionaries({**SERVERS, "cores": st.just(2)}))
def test_the_most_throughput_within_a_limit_is_found(values: dict[str, Any]) -> None:
    finds_the_most_throughput(values)


@pytest.mark.long
@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.fixed_dictionaries(SERVERS))
def test_so_it_is_on_many_servers(values: dict[str, Any]) -> None:
    finds_the_most_throughput(values)


def finds_the_most_throughput(values: dict[str, Any]) -> None:
    server = MadeUpServer(**values)
    space = digits_space(server.cores)
    alone = (server.fixed + 8 * server.row + server.overhead) * server.tail
    request = asked(latency_limit=f"{max(1, round(2 * alone / 1000))}ms")
    trials, end = tuned(request, space, server)
    assert not end.failed
    assert server.measured <= 80
    assert server.measured < len(space.candidates()) * len(request.loads) / 12
    # A tenth: what lies within 3 % is taken for alike, and every figure has its noise.
    assert share(request, space, server, trials) > 0.9


@settings(deadline=None, max_examples=5, derandomize=True)
@given(st.fixed_dictionaries(SERVERS))
def test_the_least_latency_at_a_rate_is_found(values: dict[str, Any]) -> None:
    server = MadeUpServer(**values)
    space = digits_space(server.cores)
    request = asked(objective="latency", rate=max(1, round(0.4e6 / (server.fixed + server.row))))
    trials, end = tuned(request, space, server)
    assert not end.failed
    assert server.measured <= 45
    assert share(request, space, server, trials) > 0.93


def test_the_trials_come_in_their_order_and_say_why() -> None:
    request = asked(latency_limit="20ms", max_concurrency=32)
    space = digits_space(2, most_rows=32)
    trials, end = tuned(request, space, MadeUpServer(cores=2))
    kinds = [one.kind for one in trials]
    assert kinds[:3] == [TrialKind.BASELINE, TrialKind.CALIBRATION, TrialKind.SEED]
    assert set(kinds[3:-1]) <= {TrialKind.SEARCH, TrialKind.CONFIRMATION}
    assert trials[1].loads == (1.0, 3.0, 10.0, 32.0)
    assert trials[1].configuration.max_batch_size == 32
    assert "nothing else is likely" in end.reason
    best = chosen(request, space.present, points_of(request, trials))
    assert best is not None
    assert best.times == 2 or best.configuration == PRESENT


def test_budgets_end_it() -> None:
    request = asked(latency_limit="20ms", trials=4)
    space = digits_space(4)
    trials, end = tuned(request, space, MadeUpServer())
    assert sum(one.kind is not TrialKind.CONFIRMATION for one in trials) == 4
    assert "4 trials are used up" in end.reason
    late = next_step(request, space, 4, trials, request.time, nobody)
    assert isinstance(late, End)
    assert "time is over" in late.reason


def test_what_fails_is_not_tried_again() -> None:
    server = MadeUpServer(fails=lambda one: "out of memory" if one.instances > 1 else "")
    trials, end = tuned(asked(latency_limit="20ms"), digits_space(4), server)
    tried = [one.configuration for one in trials if one.failed]
    assert tried
    assert len(tried) == len(set(tried))
    if end.failed:
        assert "in a row failed: out of memory" in end.reason


def test_a_proposal_goes_before_what_the_model_likes_as_much() -> None:
    request, space = asked(latency_limit="20ms"), digits_space(4)
    server = MadeUpServer()
    trials = [server.measure(request, next_step(request, space, 4, [], 0, nobody))]  # type: ignore[arg-type]
    for number in (2, 3):
        step = next_step(request, space, 4, trials, 0, nobody)
        trials.append(replace(server.measure(request, step), number=number))  # type: ignore[arg-type]
    places = [(one, 64.0) for one in space.candidates() if one.instances == 2 and one.threads == 2]
    step = next_step(request, space, 4, trials, 0, lambda _: places)
    assert not isinstance(step, End)
    assert step.configuration in {one for one, _ in places}


def test_what_cannot_be_measured_as_it_is_ends_it() -> None:
    trials, end = tuned(asked(), digits_space(), MadeUpServer(fails=lambda _: "no golden examples"))
    assert (len(trials), end.failed) == (1, True)
    assert "no golden examples" in end.reason


def point(rate: float, latency: float, instances: int = 1, **more: Any) -> Point:
    one = replace(PRESENT, instances=instances, **more)
    return Point(one, 8.0, rate, latency, 1, 3.0, (1,), latency <= 20_000)


def test_the_front_has_what_nothing_else_beats() -> None:
    best, quick, cheap = point(900, 9000, 2), point(500, 4000, 2), point(800, 9500, 1)
    worse, dear = point(450, 5000, 2), point(900, 9000, 4)
    assert front([worse, quick, dear, cheap, best]) == [best, cheap, quick]


def test_of_what_is_alike_the_cheapest_is_chosen() -> None:
    request = asked(latency_limit="20ms")
    fast, cheap = point(1000, 9000, 4), point(985, 9000, 1, max_batch_size=32)
    over = point(3000, 30_000, 1)
    assert chosen(request, PRESENT, [fast, cheap, over]) == cheap
    assert chosen(request, PRESENT, [fast, point(900, 9000, 1)]) == fast
    little = point(990, 9000, 2)  # changes one thing, and costs more than what changes two
    other = point(985, 9000, 1, max_batch_size=32, queue_delay_us=7)
    assert chosen(request, PRESENT, [little, other]) == other
    same = point(980, 9000)
    assert chosen(request, PRESENT, [cheap, same]) == same
    assert chosen(request, PRESENT, [over]) is None


def test_overrides_serve_what_was_chosen() -> None:
    profile = load_profile("throughput")
    present = configuration_of(profile, "onnx", {}, batched=True)
    assert present == Configuration(256, True, 5000, (64, 128, 256), 1, 0)
    wanted = Configuration(16, True, 0, (), 2, 1)
    overrides = overrides_for(wanted, present, profile, "onnx")
    assert overrides == {
        "max_batch_size": 16,
        "dynamic_batching": {"max_queue_delay_microseconds": 0, "preferred_batch_size": None},
        "instance_group": [{"count": 2}],
        "parameters": {"intra_op_thread_count": "1"},
    }
    served = configuration_of(overridden(profile, overrides), "onnx", {}, batched=True)
    assert served == wanted
    assert overrides_for(present, present, profile, "onnx") == {}
    accelerated = overrides_for(replace(present, accelerator="tensorrt"), present, profile, "onnx")
    assert overridden(profile, accelerated).optimization is not None


def test_they_are_laid_over_the_arms_of_the_version() -> None:
    policy = {
        "arms": [
            {"model": "m", "version": 1, "weight": 90, "overrides": {"max_batch_size": 8}},
            {"model": "m", "version": 2, "weight": 10},
        ],
        "sticky": {"key": "sequence"},
    }
    found = with_overrides(policy, "m", ("m", 1), {"dynamic_batching": None})
    assert found["arms"][0]["overrides"] == {"max_batch_size": 8, "dynamic_batching": None}
    assert (found["arms"][1], found["sticky"]) == (policy["arms"][1], policy["sticky"])
    with pytest.raises(ConflictError, match="m:3 is no arm"):
        with_overrides(policy, "m", ("m", 3), {})
    assert composed({"a": None}, {"a": {"b": 1}}) == {"a": {"b": 1}}


def test_the_machine_bounds_the_space() -> None:
    def space(machine: Machine, framework: str = "onnx", **more: Any) -> Space:
        version = Tunable(framework, **{"batched": True, **more})
        return space_for(version, PRESENT, machine, most_rows=16, asked={})

    small = space(Machine(2))
    assert (small.instances, small.threads, small.max_batch_sizes) == ((1, 2), (1, 2), (4, 8, 16))
    assert "accelerator" in small.fixed
    gpu = space(Machine(16, "gpu", BackendKind.NATIVE))
    assert (gpu.accelerators, gpu.threads) == (("", "tensorrt"), ())
    assert space(Machine(16, "cpu", BackendKind.NATIVE)).accelerators == ("", "openvino")
    assert "threads" in space(Machine(4), "python").fixed
    single = space(Machine(4), batched=False)
    assert single.max_batch_sizes == ()
    assert {one.max_batch_size for one in single.candidates()} == {16}
    assert "2 groups" in space(Machine(4), groups=2).fixed["instances"]
    assert Space.from_document(small.to_document()) == small
    assert len(set(small.candidates())) == len(small.candidates())
    # Nobody waits who has no delay, so there is no preferred size either.
    assert all(one.queue_delay_us or not one.preferred for one in small.candidates()[1:])


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"target": {"endpoint": "digits"}}, "/target"),
        ({"objective": "latency"}, "/rate"),
        ({"rate": 5}, "/rate"),
        ({"objective": "latency", "rate": 5, "latency_limit": "5ms"}, "/latency_limit"),
        ({"percentile": 98}, "/percentile"),
        ({"objective": "speed"}, "/objective"),
        ({"trials": 2}, "/trials"),
        ({"time": "1s"}, "/time"),
        ({"space": {"threads": ["many"]}}, "/space/threads/0"),
        ({"space": {"instances": []}}, "/space/instances"),
        ({"space": {"colour": [1]}}, "/space/colour"),
        ({"space": {"accelerator": [1]}}, "/space/accelerator/0"),
        ({"space": {"preferred": [1]}}, "/space/preferred/0"),
        ({"concurrency": [1]}, "/concurrency"),
        ({"window": "9h"}, "/window"),
        ({"server": 3}, "/server"),
    ],
)
def test_what_makes_no_sense_is_refused(more: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        asked(**more)
    assert pointer in [one.pointer for one in refused.value.violations]


def test_a_request_is_written_as_it_is_read() -> None:
    for more in (
        {"latency_limit": "20ms", "space": {"instances": [2, 1]}, "batch": 2},
        {"objective": "latency", "rate": 400},
    ):
        request = asked(**more)
        assert read_tune(request.to_document()) == request
