"""A server made up for a tune: what it would measure, and what the best of it would be."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from control_plane.domain.perf.export import Measurement
from control_plane.domain.tuning.configuration import Configuration
from control_plane.domain.tuning.request import Objective, TuneRequest
from control_plane.domain.tuning.searching import End, Place, Step, next_step
from control_plane.domain.tuning.space import Machine, Space, Tunable, space_for
from control_plane.domain.tuning.states import TrialKind
from control_plane.domain.tuning.study import KEPT_UP, Level, Point, Trial

PRESENT = Configuration(max_batch_size=16, dynamic=True, queue_delay_us=0, instances=1, threads=0)


def digits_space(cores: int = 4, most_rows: int = 64, **asked: Sequence[object]) -> Space:
    """An ONNX model that takes batches, on a machine without a GPU."""
    version = Tunable("onnx", batched=True)
    return space_for(version, PRESENT, Machine(cores), most_rows=most_rows, asked=asked)


@dataclass
class MadeUpServer:
    """Closed-loop callers of a batching server, otherwise than the analytical model has it.

    Times in microseconds; `parallel` is the share of an execution that threads divide, `tail` p99
    over mean. Each instance and each row has costs that the model knows nothing of.
    """

    fixed: float = 300.0
    row: float = 40.0
    overhead: float = 250.0
    parallel: float = 0.5
    tail: float = 2.0
    cores: int = 4
    noise: float = 0.02
    per_instance: float = 0.03
    bend: float = 0.0
    seed: int = 0
    measured: int = 0
    fails: Callable[[Configuration], str] = lambda _: ""
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def truth(self, one: Configuration, load: float, *, paced: bool = False) -> tuple[float, float]:
        """(inferences per second, p99)."""
        threads = one.threads or self.cores
        speedup = 1 / (1 - self.parallel + self.parallel / min(threads, self.cores))
        crowd = max(1.0, one.instances * speedup / self.cores)
        slower = crowd / speedup * (1 + self.per_instance * (one.instances - 1))

        def service(rows: float) -> float:
            return (self.fixed + self.row * rows ** (1 + self.bend)) * slower

        if paced:
            rate = load / 1e6 / one.instances
            most = one.largest
            busy = rate * service(most) / most
            rows = min(most, max(1.0, rate * self.fixed * slower / max(0.05, 1 - busy)))
            wait = service(rows) * min(busy, 0.97) / (1 - min(busy, 0.97)) / 2
            mean = self.overhead + service(rows) + wait
            if one.queue_delay_us and one.sent_at > 1:
                mean += min(one.queue_delay_us, (one.sent_at - 1) * 1e6 / load) / 2
            answered = min(load, one.instances * most / service(most) * 1e6)
            return answered, mean * self.tail
        together = load / (one.instances + 0.7)
        extra = 0.0
        if one.queue_delay_us and together < one.sent_at:
            together = load / one.instances
            extra = one.queue_delay_us if together < one.sent_at else 0.1 * one.queue_delay_us
        rows = max(1.0, min(together, one.sent_at if extra else one.largest))
        cycle = service(rows) + extra
        rate = min(load / (self.overhead + cycle), one.instances * rows / cycle)
        return rate * 1e6, load / rate * self.tail

    def best(self, request: TuneRequest, space: Space) -> float:
        """The best objective there is: the most throughput within the limit, or the least p99."""
        found = []
        paced = request.objective is Objective.LATENCY
        for one in space.candidates():
            for load in request.loads:
                rate, p99 = self.truth(one, load, paced=paced)
                if paced and rate >= KEPT_UP * request.rate:
                    found.append(p99)
                elif not paced and (request.latency_limit is None or p99 <= request.latency_limit):
                    found.append(rate)
        return min(found) if paced else max(found, default=0.0)

    def measure(self, request: TuneRequest, step: Step) -> Trial:
        """The trial with what it measured; a list of loads ends above the limit."""
        failed = self.fails(step.configuration)
        levels: list[Level] = []
        for load in () if failed else step.loads:
            self.measured += 1
            level = Level(load, self._measurement(request, step, load))
            levels.append(level)
            limit = request.latency_limit
            calibrates = step.kind is TrialKind.CALIBRATION
            if limit and level.measurement.p99_us > limit and not calibrates:
                break
        return Trial(0, step.kind, step.configuration, step.loads, tuple(levels), failed)

    def _measurement(self, request: TuneRequest, step: Step, load: float) -> Measurement:
        if step.kind is TrialKind.CALIBRATION:
            # One caller has an execution to itself, and waits for nobody.
            threads = step.configuration.threads or self.cores
            speedup = 1 / (1 - self.parallel + self.parallel / threads)
            compute = (self.fixed + self.row * load ** (1 + self.bend)) / speedup
            rate, p99 = load * 1e6 / (compute + self.overhead), compute * self.tail
        else:
            paced = request.objective is Objective.LATENCY
            rate, p99 = self.truth(step.configuration, load, paced=paced)
            compute = 0.5 * p99 / self.tail
        rate *= math.exp(self._random.gauss(0, self.noise))
        p99 *= math.exp(self._random.gauss(0, 2 * self.noise))
        compute *= math.exp(self._random.gauss(0, self.noise))
        return Measurement(
            requests=1000,
            throughput=rate,
            mean_us=compute + self.overhead,
            p50_us=p99 / self.tail,
            p90_us=p99 * 0.7,
            p95_us=p99 * 0.8,
            p99_us=p99,
            queue_us=0.0,
            compute_input_us=0.0,
            compute_infer_us=compute,
            compute_output_us=0.0,
            network_us=self.overhead,
            client_us=0.0,
            spread=self.noise * 200,
        )


def nobody(_: Sequence[Point]) -> Sequence[Place]:
    """Proposes nothing: the model alone decides."""
    return ()


def tuned(
    request: TuneRequest,
    space: Space,
    server: MadeUpServer,
    propose: Callable[[Sequence[Point]], Sequence[Place]] = nobody,
) -> tuple[list[Trial], End]:
    """A whole tune against a made-up server."""
    trials: list[Trial] = []
    while True:
        step = next_step(request, space, server.cores, trials, 0, propose)
        if isinstance(step, End):
            return trials, step
        trials.append(replace(server.measure(request, step), number=len(trials) + 1))
