"""`ports.triton.TritonMetrics` over Triton's Prometheus page."""

from __future__ import annotations

import time
from collections.abc import Sequence

import httpx
from prometheus_client.parser import text_string_to_metric_families

from control_plane.ports.triton import Sample, TritonUnreachableError


class HttpTritonMetrics:
    """The metrics page at `url` (`http://host:port/metrics`).

    Args:
        timeout_s: for all of the page: a server that sends a byte now and then gets no longer.
    """

    def __init__(self, url: str, timeout_s: float = 5.0) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._client = httpx.Client(timeout=timeout_s, trust_env=False)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def scrape(self) -> Sequence[Sample]:
        try:
            page = self._read()
        except httpx.HTTPError as error:
            raise TritonUnreachableError(f"no metrics from {self._url}: {error}") from error
        return [
            Sample(sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(page)
            for sample in family.samples
        ]

    def _read(self) -> str:
        until = time.monotonic() + self._timeout_s
        parts = []
        with self._client.stream("GET", self._url) as response:
            response.raise_for_status()
            for part in response.iter_bytes():
                if time.monotonic() > until:
                    said = f"the page was not whole after {self._timeout_s:g} s"
                    raise httpx.ReadTimeout(said, request=response.request)
                parts.append(part)
        return b"".join(parts).decode()
