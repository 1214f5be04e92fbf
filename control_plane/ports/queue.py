"""How work is handed to the workers and the nodes."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID


class Queue(Protocol):
    """Hand-over of work; everything sent carries ids and may be sent twice."""

    def reconcile(self, *, endpoint_id: UUID) -> None:
        """Asks a worker to look at an endpoint."""
        ...

    def scrape(self, *, server: str) -> None:
        """Asks a worker to scrape a server's metrics."""
        ...

    def validate(self, *, version_id: UUID) -> None:
        """Asks a worker to validate an uploaded version."""
        ...

    def fetch(self, *, version_id: UUID) -> None:
        """Asks a worker to fetch a version's file from its source."""
        ...

    def deliver(self, *, webhook_id: UUID) -> None:
        """Asks a worker to deliver what is due to a webhook."""
        ...

    def perf_run(self, *, run_id: int) -> None:
        """Asks a worker of their own kind to look at a perf run, and to measure it."""
        ...

    def tune(self, *, tune_id: int) -> None:
        """Asks a worker of the same kind to look at a tune: what was measured, and what is next."""
        ...

    def recording(self, *, server: str, recording_id: int, key: str) -> None:
        """Tells a node to look at a recording of its router's requests."""
        ...

    def perf_command(self, *, server: str, verb: str, run_id: int) -> None:
        """Tells a node to hold what a perf run measures, or to release it."""
        ...

    def command(self, *, server: str, verb: str, endpoint_id: UUID, generation: int) -> None:
        """Sends a command to a node: prepare, switch, retire or remove.

        Switches travel on a lane of their own, so that a slow load never delays a rollback.
        """
        ...
