"""A run in one line: the level that says most of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from control_plane.domain.perf.export import Measurement

STEADY = 25.0
"""Percent that a level's windows may lie apart before its figures are said to be unsteady."""

Level = TypeVar("Level")


def peak(
    levels: Sequence[tuple[Level, Measurement]], limit_us: float | None, percentile: int
) -> Level | None:
    """The level with the most throughput, of those within the latency limit where there is one;
    None where there is no such level."""
    fit = [
        (measured.throughput, level)
        for level, measured in levels
        if limit_us is None or measured.percentile_us(percentile) <= limit_us
    ]
    return max(fit, key=lambda one: one[0])[1] if fit else None
