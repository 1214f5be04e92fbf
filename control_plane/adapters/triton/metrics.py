"""`ports.triton.TritonMetrics` over Triton's Prometheus page."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
from prometheus_client.parser import text_string_to_metric_families

from control_plane.ports.triton import Sample, TritonUnreachableError


class HttpTritonMetrics:
    """The metrics page at `url` (`http://host:port/metrics`)."""

    def __init__(self, url: str, timeout_s: float = 5.0) -> None:
        self._url = url
        self._client = httpx.Client(timeout=timeout_s, trust_env=False)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def scrape(self) -> Sequence[Sample]:
        try:
            response = self._client.get(self._url)
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise TritonUnreachableError(f"no metrics from {self._url}: {error}") from error
        return [
            Sample(sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(response.text)
            for sample in family.samples
        ]
