"""What a metric of PromQL needs from outside: a Prometheus that answers queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class NotAnsweredError(RuntimeError):
    """No answer came, or Prometheus refused the query; the message says which and why."""


@dataclass(frozen=True)
class Series:
    """One time series at a moment; the value may be NaN or infinite."""

    labels: Mapping[str, str]
    value: float


class Prometheus(Protocol):
    """A server that speaks Prometheus' HTTP API."""

    def ask(self, query: str, at: datetime) -> Sequence[Series]:
        """The value of every series that a query finds at a moment; none where it finds nothing.

        A scalar is one series without labels.

        Raises:
            NotAnsweredError: it cannot be reached, does not answer in time, refuses the query, or
                answers with what is no value of a moment, or with too much.
        """
        ...
