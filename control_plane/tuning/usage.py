"""How busy a server was while it was measured, as it says itself."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

from control_plane.ports.triton import TritonMetrics, TritonUnreachableError
from control_plane.tuning.models import PerfRun

_GAUGES = {"nv_cpu_utilization": "cpu", "nv_gpu_utilization": "gpu"}


class Usage:
    """Means of a server's processors' use, 0 to 1; None of what it says nothing about."""

    def __init__(self, metrics_of: Callable[[str], TritonMetrics], run: PerfRun) -> None:
        self._metrics = metrics_of(run.server.metrics) if run.server else None
        self._found: dict[str, list[float]] = {"cpu": [], "gpu": []}

    def sample(self) -> None:
        """Looks once; a server that does not answer just now is passed over."""
        if self._metrics is None:
            return
        try:
            page = self._metrics.scrape()
        except TritonUnreachableError:
            return
        seen: dict[str, list[float]] = {"cpu": [], "gpu": []}
        for sample in page:
            what = _GAUGES.get(sample.name)
            if what and 0 <= sample.value <= 1:
                seen[what].append(sample.value)
        for what, values in seen.items():
            if values:  # of several GPUs the mean
                self._found[what].append(fmean(values))

    @property
    def cpu(self) -> float | None:
        return self._mean("cpu")

    @property
    def gpu(self) -> float | None:
        return self._mean("gpu")

    def _mean(self, what: str) -> float | None:
        return round(fmean(self._found[what]), 4) if self._found[what] else None
