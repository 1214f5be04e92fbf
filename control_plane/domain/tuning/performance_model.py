"""What the analytical model says of a configuration under a load, before anything is measured.

It is made of the service time of a batch (`service_time`), what the machine's cores allow, and
queueing (`queueing`). It is rough on purpose: how far it is off is learned (`surrogate`).
"""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.domain.tuning.configuration import Configuration
from control_plane.domain.tuning.queueing import NEARLY_FULL, bounded_batch_latency
from control_plane.domain.tuning.service_time import ServiceTime

PARALLEL = 0.6
"""The share of an execution that threads divide among themselves, until it is measured."""

TAIL = 2.5
"""p99 over mean, until it is measured."""


@dataclass(frozen=True)
class Prediction:
    """Inferences per second, and latencies in microseconds."""

    throughput: float
    mean_us: float
    p99_us: float


@dataclass(frozen=True)
class PerformanceModel:
    """What was calibrated on a server.

    `service` was measured with `threads` (0: the backend's own choice, all cores); `overhead_us` is
    what a request needs outside of queue and model: network, endpoint, client. `rows` has each
    request; `paced` loads are requests a second, others callers who each wait for an answer.
    """

    service: ServiceTime
    overhead_us: float
    cores: int
    threads: int = 0
    rows: int = 1
    paced: bool = False

    def predict(self, configuration: Configuration, load: float) -> Prediction:
        """Throughput and latency at so many callers, or requests a second."""
        most = max(1, configuration.largest // self.rows)
        service = self._service(configuration)
        if self.paced:
            return self._open(configuration, service, most, load)
        return self._closed(configuration, service, most, load)

    def _service(self, configuration: Configuration) -> ServiceTime:
        """Of one execution by requests, while all instances are at work.

        Amdahl's law for threads; beyond the cores that there are, all wait for each other.
        """
        speedup = self._speedup(configuration.threads)
        factor = self._speedup(self.threads) / speedup
        crowding = max(1.0, configuration.instances * speedup / self.cores)
        by_request = ServiceTime(self.service.fixed_us, self.service.row_us * self.rows)
        return by_request.scaled(factor * crowding)

    def _speedup(self, threads: int) -> float:
        used = min(threads or self.cores, self.cores)
        return 1 / (1 - PARALLEL + PARALLEL / used)

    def _closed(
        self, configuration: Configuration, service: ServiceTime, most: int, callers: float
    ) -> Prediction:
        """Callers who each wait: they are spread over the executions, and one batch is waiting.

        While a batch is executed the other callers gather, so that N callers of n instances make
        batches of about N / (n + 1); a delay lets them grow to N / n, at its cost where they do not
        reach the size that is sent on. Little's law gives the latency, N / throughput.
        """
        n = configuration.instances
        together = callers / (n + 1)
        waited = 0.0
        sent_at = max(1, configuration.sent_at // self.rows)
        if configuration.queue_delay_us and together < sent_at:
            together = min(callers / n, float(sent_at))
            if together < sent_at:
                waited = float(configuration.queue_delay_us)
        batch = max(1.0, min(together, float(most)))
        one = service.of(batch) + waited
        rate = min(callers / (self.overhead_us + one), n * batch / one)
        mean = callers / rate
        return self._prediction(rate, mean)

    def _open(
        self, configuration: Configuration, service: ServiceTime, most: int, per_second: float
    ) -> Prediction:
        """Requests at a rate, shared evenly among the instances."""
        rate = per_second / 1e6 / configuration.instances
        sent_at = max(1, configuration.sent_at // self.rows)
        mean = bounded_batch_latency(rate, service, most) + self.overhead_us
        if configuration.queue_delay_us and sent_at > 1:
            # Until the delay is over, or as many have come as are sent on; half of it on average.
            until_full = (sent_at - 1) / (per_second / 1e6)
            mean += min(float(configuration.queue_delay_us), until_full) / 2
        capacity = configuration.instances * most / service.of(most)
        return self._prediction(min(per_second / 1e6, capacity * NEARLY_FULL), mean)

    def _prediction(self, rate: float, mean_us: float) -> Prediction:
        return Prediction(rate * 1e6 * self.rows, mean_us, mean_us * TAIL)
