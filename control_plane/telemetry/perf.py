"""What perf runs measured, level by level, and what the load generator wrote.

A run's rows live as long as they are wanted: figures as long as the run's record, files for
`FILES_KEPT` only, since they are large and the figures are what is compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from control_plane.domain.perf.export import Measurement
from control_plane.telemetry.tables import perf_files, perf_levels

FILES_KEPT = timedelta(days=30)

_FIGURES = tuple(field.name for field in fields(Measurement))


@dataclass(frozen=True)
class PerfLevel:
    """One level of a run: what load it was, what it measured, and how busy the server was.

    `value` is of the run's kind of load; `cpu` and `gpu` are means of what the server said of
    itself meanwhile, from 0 to 1, None where it says nothing. `left_out` says which files were
    too large to be kept.
    """

    position: int
    value: float
    measured_at: datetime
    measurement: Measurement
    cpu: float | None = None
    gpu: float | None = None
    left_out: str = ""

    def to_document(self) -> dict[str, Any]:
        """The JSON form."""
        measured = {name: getattr(self.measurement, name) for name in _FIGURES}
        return {
            "value": self.value,
            "measured_at": self.measured_at,
            **measured,
            "rest_us": self.measurement.parts_us["rest"],
            "cpu": self.cpu,
            "gpu": self.gpu,
            "left_out": self.left_out,
        }


def write_level(
    connection: sa.Connection, run: UUID, level: PerfLevel, files: Mapping[str, bytes]
) -> None:
    """Adds a level with its files; call it in a transaction."""
    own = {
        "run": run,
        "position": level.position,
        "value": level.value,
        "measured_at": level.measured_at,
        "cpu": level.cpu,
        "gpu": level.gpu,
        "left_out": level.left_out,
    }
    figures = {name: getattr(level.measurement, name) for name in _FIGURES}
    connection.execute(sa.insert(perf_levels), [own | figures])
    if files:
        rows = [
            {
                "run": run,
                "position": level.position,
                "name": name,
                "measured_at": level.measured_at,
                "content": content,
            }
            for name, content in files.items()
        ]
        connection.execute(sa.insert(perf_files), rows)


def read_levels(connection: sa.Connection, runs: Iterable[UUID]) -> dict[UUID, list[PerfLevel]]:
    """Run -> its levels as they were measured, in one query whatever the number of runs."""
    wanted = list(runs)
    found: dict[UUID, list[PerfLevel]] = {run: [] for run in wanted}
    if not wanted:
        return found
    query = (
        sa.select(perf_levels)
        .where(perf_levels.c.run.in_(wanted))
        .order_by(perf_levels.c.run, perf_levels.c.position)
    )
    for row in connection.execute(query):
        figures = {name: getattr(row, name) for name in _FIGURES}
        found[row.run].append(
            PerfLevel(
                position=row.position,
                value=row.value,
                measured_at=row.measured_at,
                measurement=Measurement(**figures),
                cpu=row.cpu,
                gpu=row.gpu,
                left_out=row.left_out,
            )
        )
    return found


def read_file(connection: sa.Connection, run: UUID, position: int, name: str) -> bytes | None:
    """A file of a level, gzipped; None where there is none, or it is kept no more."""
    its = (
        perf_files.c.run == run,
        perf_files.c.position == position,
        perf_files.c.name == name,
    )
    content: bytes | None = connection.scalar(sa.select(perf_files.c.content).where(*its))
    return content


def file_names(connection: sa.Connection, run: UUID) -> Sequence[tuple[int, str]]:
    """(position, name) of the files of a run that are kept."""
    query = sa.select(perf_files.c.position, perf_files.c.name).where(perf_files.c.run == run)
    rows = connection.execute(query.order_by(perf_files.c.position, perf_files.c.name))
    return [(row.position, row.name) for row in rows]


def forget_files(connection: sa.Connection, now: datetime) -> int:
    """Removes the files that were kept long enough; returns how many."""
    old = perf_files.c.measured_at < now - FILES_KEPT
    return connection.execute(sa.delete(perf_files).where(old)).rowcount
