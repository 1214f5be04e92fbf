"""How much memory a server's Triton takes, and may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from control_plane.domain.placement.memory import Footprint


@dataclass(frozen=True)
class Device:
    """A GPU; `memory` is in bytes."""

    name: str
    uuid: str
    memory: int


@dataclass(frozen=True)
class ServerMemory:
    """In bytes; None is not known. `used` is what Triton and its helpers take of the machine's.

    `devices` None are not known; of GPUs everything in use counts, whoever uses it.
    """

    limit: int | None = None
    used: int | None = None
    gpu_limit: int | None = None
    gpu_used: int | None = None
    devices: tuple[Device, ...] | None = None

    def devices_document(self) -> list[dict[str, Any]] | None:
        """The JSON form, as a server's record keeps it."""
        return None if self.devices is None else [asdict(device) for device in self.devices]


NOT_MEASURED = ServerMemory()


class MemoryMeter(Protocol):
    """Measures the Triton that this process runs beside."""

    def read(self) -> ServerMemory:
        """What is used now, and what may be; never raises."""
        ...


class LoadsMeasured(Protocol):
    """What loads took, as they were carried out in this process."""

    def drain(self) -> Mapping[str, Footprint]:
        """Physical model -> what its load took, since the last call."""
        ...
