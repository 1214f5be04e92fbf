"""What a scrape of one arm costs: bytes of the page, and processor time until it is rows.

    python -m perf.scrape_cost [--arms 100]

A page as the router writes it, of so many arms of endpoints of their own, read by what reads the
pages of Tritons: no server, no database.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

from prometheus_client.parser import text_string_to_metric_families

from control_plane.domain.latency import edge_us
from control_plane.ports.triton import Sample
from control_plane.telemetry.samples import rows

OUTCOMES = ("ok", "error", "rescued", "both_failed", "rejected", "timeout", "cancelled")
HISTOGRAMS = {"nereid_request_duration_us": 299, "nereid_first_response_us": 154}
"""Metric -> buckets; backends/README.md has them all, these are nine series of ten."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arms", type=int, default=100)
    arms = parser.parse_args().arms
    text = "\n".join(page(arms)) + "\n"
    began = time.thread_time()
    samples = [
        Sample(one.name, one.labels, one.value)
        for family in text_string_to_metric_families(text)
        for one in family.samples
    ]
    read = time.thread_time()
    rows(samples, uuid4(), datetime.now(UTC))
    counted = time.thread_time()
    read_ms, count_ms = (1000 * s / arms for s in (read - began, counted - read))
    print(f"{len(samples) // arms} series and {len(text) // arms:,} bytes an arm")
    print(f"{read_ms:.1f} ms to read, {count_ms:.1f} ms to count")


def page(arms: int) -> Iterator[str]:
    """The lines of a page with the router's counters and histograms of so many arms."""
    labels = [f'arm="digits-{i}.v1.aaaaaa",endpoint="digits-{i}"' for i in range(arms)]
    yield "# TYPE nereid_requests counter"
    for label in labels:
        for outcome in OUTCOMES:
            yield f'nereid_requests_total{{{label},outcome="{outcome}"}} 1234'
    for name, buckets in HISTOGRAMS.items():
        yield f"# TYPE {name} histogram"
        for label in labels:
            for bucket in range(buckets):
                yield f'{name}_bucket{{{label},le="{edge_us(bucket):.6g}"}} 12345'
            yield f'{name}_bucket{{{label},le="+Inf"}} 12345'
            yield f"{name}_sum{{{label}}} 12345"
            yield f"{name}_count{{{label}}} 12345"


if __name__ == "__main__":
    main()
