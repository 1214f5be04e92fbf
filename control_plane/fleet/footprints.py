"""What models take of a server's memory, as far as it was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from control_plane.domain.placement.memory import Footprint
from control_plane.fleet.models import ModelMemory, Server


def note_loads(*, server: str, taken: Mapping[str, Footprint], now: datetime) -> None:
    """Notes what loads took on a server; one that is not registered has nothing noted.

    The last measurement of a model counts.
    """
    row = Server.objects.filter(name=server).first() if taken else None
    if row is None:
        return
    ModelMemory.objects.bulk_create(
        [
            ModelMemory(server=row, model=name, host=one.host, gpu=one.gpu, measured_at=now)
            for name, one in sorted(taken.items())
        ],
        update_conflicts=True,
        unique_fields=["server", "model"],
        update_fields=["host", "gpu", "measured_at"],
    )


class Footprints:
    """Of some models, what was measured: there, or else the most on any server of that kind."""

    def __init__(self, models: Iterable[str]) -> None:
        self._here: dict[tuple[str, str], Footprint] = {}
        self._alike: dict[tuple[str, str], Footprint] = {}
        rows = ModelMemory.objects.filter(model__in=set(models)).select_related("server")
        for row in rows.order_by("server__name"):
            one = Footprint(row.host, row.gpu)
            self._here[row.server.name, row.model] = one
            kind = row.server.accelerator, row.model
            known = self._alike.get(kind, Footprint())
            self._alike[kind] = Footprint(max(one.host, known.host), max(one.gpu, known.gpu))

    def of(self, server: Server, model: str) -> Footprint | None:
        """None where no server of that accelerator was seen loading it."""
        here = self._here.get((server.name, model))
        return here or self._alike.get((server.accelerator, model))
