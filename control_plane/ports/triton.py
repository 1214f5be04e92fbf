"""What Nereid asks of one Triton."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class TritonError(Exception):
    """Triton answered no; the message is its own reason."""


class TritonUnreachableError(TritonError):
    """No answer: Triton is down, starting, or elsewhere."""


@dataclass(frozen=True)
class HeldModel:
    """One entry of Triton's repository index: `state` is READY, LOADING, UNAVAILABLE or ''."""

    name: str
    version: str
    state: str
    reason: str


class TritonControl(Protocol):
    """Triton's model control, health and configuration.

    Every method raises TritonUnreachableError when there is no answer.
    """

    def is_live(self) -> bool:
        """True when the server answers and takes requests; never raises."""
        ...

    def load(self, name: str) -> None:
        """Loads or reloads a model from the repository; returns when it is served.

        Raises:
            TritonError: the model cannot be loaded; what served before goes on serving.
        """
        ...

    def unload(self, name: str) -> None:
        """Unloads a model; one that is not loaded is no error."""
        ...

    def index(self) -> Sequence[HeldModel]:
        """Every version of a model that Triton holds or could not load; what it let go is none."""
        ...

    def let_go(self) -> frozenset[str]:
        """The models that it was told to unload since it was started, and not to load again."""
        ...

    def is_ready(self, name: str) -> bool:
        """True when the model answers requests."""
        ...

    def config(self, name: str) -> Mapping[str, Any]:
        """The configuration Triton really serves the model with, completed.

        Raises:
            TritonError: no such model is loaded.
        """
        ...

    def server_version(self) -> str:
        """Triton's own version, such as `2.51.0`."""
        ...


@dataclass(frozen=True)
class Sample:
    """One line of Triton's metrics."""

    name: str
    labels: Mapping[str, str]
    value: float


class TritonMetrics(Protocol):
    """Triton's metrics page."""

    def scrape(self) -> Sequence[Sample]:
        """All samples at this moment.

        Raises:
            TritonUnreachableError: no answer.
        """
        ...
