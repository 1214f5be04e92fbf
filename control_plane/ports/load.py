"""Putting a server under load, and hearing what it made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from control_plane.domain.perf.export import Measurement
from control_plane.domain.perf.request import PerfRequest


class LoadGeneratorMissingError(RuntimeError):
    """There is no load generator that runs on this machine, and none could be fetched."""


class LoadFailedError(RuntimeError):
    """The load generator gave up; the message has its reason."""


class LoadHungError(LoadFailedError):
    """The load generator came to no end in time and was ended, or saw a window without an answer:
    once more it may well not."""


class LoadStoppedError(RuntimeError):
    """Whoever watches it had it stopped."""


@dataclass(frozen=True)
class Aim:
    """Which model of which server, and what is sent (perf_analyzer's JSON); empty: made up."""

    model: str
    http: str
    grpc: str
    input_data: str = ""


@dataclass(frozen=True)
class Measured:
    """A level's measurement, and what the load generator wrote (name -> bytes, gzipped).

    `left_out` says which files were too large to be kept.
    """

    measurement: Measurement
    files: dict[str, bytes]
    left_out: str = ""


class LoadGenerator(Protocol):
    """Measures one level of load at a time."""

    def provide(self) -> str:
        """Makes sure that there is one, fetching it where that is needed; returns its version.

        Raises:
            LoadGeneratorMissingError: with what was tried.
        """
        ...

    def measure(
        self, request: PerfRequest, value: float, aim: Aim, *, goes_on: Callable[[], bool]
    ) -> Measured:
        """Puts the level's load on a model, and measures it.

        Args:
            value: of the level: callers, or requests per second.
            goes_on: asked about once a second; when it says False the load ends at once.

        Raises:
            LoadGeneratorMissingError, LoadFailedError, LoadHungError, LoadStoppedError.
        """
        ...
