"""What perf_analyzer wrote of one level -> what was measured."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass

_THROUGHPUT = "Inferences/Second"
_PASS = re.compile(
    r"Pass \[\d+\] throughput: ([0-9.e+]+) infer/sec\. Avg latency: ([0-9.e+]+) usec"
)
_COUNT = re.compile(r"Client:\s+Request count: (\d+)")
_DELAYED = re.compile(r"([0-9.]+)% of the requests were delayed")
_SERVER = re.compile(r"Server:\s+Inference count: (\d+)\s+Execution count: (\d+)")


class UnreadableExportError(ValueError):
    """perf_analyzer left something else than a result; the message says what."""


@dataclass(frozen=True)
class Measurement:
    """One level, measured; latencies are means or percentiles in microseconds.

    `throughput` counts inferences per second, rows of a batch each. What makes up a request's mean
    time: what the client needs to send and to receive, the network with the server's own endpoint,
    and of the server queue, compute input, infer and output. `spread` is how far the windows lie
    apart, in percent; `delayed` the percent of requests that left later than their rate wanted.
    """

    requests: int
    throughput: float
    mean_us: float
    p50_us: float
    p90_us: float
    p95_us: float
    p99_us: float
    queue_us: float
    compute_input_us: float
    compute_infer_us: float
    compute_output_us: float
    network_us: float
    client_us: float
    spread: float
    delayed: float = 0.0
    batch: float | None = None

    def percentile_us(self, percentile: int) -> float:
        """The latency at one of `QUANTILES`."""
        return {50: self.p50_us, 90: self.p90_us, 95: self.p95_us, 99: self.p99_us}[percentile]

    @property
    def parts_us(self) -> dict[str, float]:
        """Where a request's mean time goes; `rest` is what nobody accounts for.

        A router or a pipeline reports its own queue and compute times; what its members need is in
        its compute infer.
        """
        parts = {
            "queue": self.queue_us,
            "compute_input": self.compute_input_us,
            "compute_infer": self.compute_infer_us,
            "compute_output": self.compute_output_us,
            "network": self.network_us,
            "client": self.client_us,
        }
        return {**parts, "rest": max(0.0, self.mean_us - sum(parts.values()))}


def read_measurement(report: str, words: str) -> Measurement:
    """The one level that a CSV report (`-f`, `--verbose-csv`) has.

    Args:
        report: the file's text. Sections of composing models may follow the first one.
        words: what was printed with `-v`: its windows, and what it could not keep up with.

    Raises:
        UnreadableExportError: a column is missing, or there is no row.
    """
    row = _first_row(report)
    count, delayed = _COUNT.search(words), _DELAYED.search(words)
    if count is None:
        raise UnreadableExportError("perf_analyzer printed no request count")
    return Measurement(
        requests=int(count[1]),
        throughput=_number(row, _THROUGHPUT),
        mean_us=_number(row, "Avg latency"),
        p50_us=_number(row, "p50 latency"),
        p90_us=_number(row, "p90 latency"),
        p95_us=_number(row, "p95 latency"),
        p99_us=_number(row, "p99 latency"),
        queue_us=_number(row, "Server Queue", 0),
        compute_input_us=_number(row, "Server Compute Input", 0),
        compute_infer_us=_number(row, "Server Compute Infer", 0),
        compute_output_us=_number(row, "Server Compute Output", 0),
        network_us=_number(row, "Network+Server Send/Recv", 0),
        client_us=_number(row, "Client Send", 0) + _number(row, "Client Recv", 0),
        spread=spread_of(words),
        delayed=float(delayed[1]) if delayed else 0.0,
        batch=_batch(words),
    )


def spread_of(words: str) -> float:
    """How far the windows lie apart: (highest - lowest) / lowest in percent, the worse of
    throughput and mean latency; of windows with 100, 110 and 105 inferences per second, 10."""
    windows = [(float(one[1]), float(one[2])) for one in _PASS.finditer(words)]
    if not windows:
        return 0.0
    spreads = []
    for figures in zip(*windows, strict=True):
        low, high = min(figures), max(figures)
        spreads.append((high - low) / low * 100 if low > 0 else 100.0)
    return round(max(spreads), 2)


def complaint(words: str) -> str:
    """Why perf_analyzer gave up, in its own words and on one line."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"error|fail|unable|not ", line, re.I)]
    return " ".join((telling or lines or ["it said nothing"])[-1].split())[:500]


def _first_row(report: str) -> dict[str, str]:
    rows = csv.DictReader(io.StringIO(report))
    for row in rows:
        if row.get(_THROUGHPUT):
            return {key: value for key, value in row.items() if key and isinstance(value, str)}
    raise UnreadableExportError(f"perf_analyzer's report has no row with {_THROUGHPUT}")


def _number(row: dict[str, str], column: str, default: float | None = None) -> float:
    text = row.get(column, "").strip()
    if not text and default is not None:
        return default
    try:
        return float(text)
    except ValueError:
        detail = f"perf_analyzer's report has {text[:40]!r} as {column}, which is no number"
        raise UnreadableExportError(detail) from None


def _batch(words: str) -> float | None:
    """How many rows an execution had on the average; None where the server does not say."""
    server = _SERVER.search(words)
    if server is None or int(server[2]) == 0:
        return None
    return round(int(server[1]) / int(server[2]), 3)
