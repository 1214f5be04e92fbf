"""How much memory a model takes on a server, and how much is left there.

What a load took is measured; a model that was never loaded on such a server is estimated from
its files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

ESTIMATE_FACTOR = 2
"""Bytes of memory for each byte of a model's files, until a load was measured: the weights, and as
much again for what a framework keeps beside them."""

ESTIMATE_BASE = 64 << 20
"""And for the process and the runtime that a model brings along, in bytes."""

_SIZE = re.compile(r"([0-9]{1,16}(?:\.[0-9]{1,6})?) ?(MiB|GiB|)", re.ASCII)
_UNITS = {"": 1, "MiB": 1 << 20, "GiB": 1 << 30}


@dataclass(frozen=True)
class Footprint:
    """Bytes of the machine's memory and of its GPUs'."""

    host: int = 0
    gpu: int = 0

    def __add__(self, other: Footprint) -> Footprint:
        return Footprint(self.host + other.host, self.gpu + other.gpu)


@dataclass(frozen=True)
class Room:
    """One kind of memory on a server, in bytes.

    `limit` None is not known. `taken` is by everything that is there or was placed there, `needs`
    is what the endpoint would add.
    """

    kind: str
    limit: int | None
    taken: int
    needs: int

    @property
    def left(self) -> int | None:
        """What would be left with it; negative where it does not fit."""
        return None if self.limit is None else self.limit - self.taken - self.needs

    @property
    def lack(self) -> str:
        """Why it does not fit, in words; empty when it does."""
        if self.limit is None or self.limit - self.taken >= self.needs or not self.needs:
            return ""
        free, needs = in_bytes(max(0, self.limit - self.taken)), in_bytes(self.needs)
        return f"needs {needs} of {self.kind}, and {free} of {in_bytes(self.limit)} are free"


def estimated(size: int, accelerator: str) -> Footprint:
    """What a model of `size` bytes of files takes, as long as nobody measured it.

    Equation: host = 64 MiB + 2 * size; on a server with GPUs gpu = 2 * size as well.

    >>> estimated(100 << 20, "cpu").host >> 20
    264
    """
    weights = ESTIMATE_FACTOR * size
    return Footprint(ESTIMATE_BASE + weights, weights if accelerator == "gpu" else 0)


def rooms(
    *,
    limit: tuple[int | None, int | None],
    used: tuple[int | None, int | None],
    held: Iterable[str],
    committed: Iterable[str],
    wanted: Iterable[str],
    sizes: Mapping[str, Footprint],
) -> tuple[Room, Room]:
    """The room on one server for models that are wanted there.

    What is taken is what was measured there and what is on its way; where nothing is measured, the
    sum of all that was placed there.

    Args:
        limit, used: of the host and of the GPUs, in bytes; None: not known.
        held: the models that are loaded there.
        committed: those that other endpoints were placed there with, loaded or not.
        wanted: those of the endpoint; what is there already for others costs nothing more.
        sizes: the footprint of each.
    """
    here, placed = frozenset(held), frozenset(committed)
    coming = _sum(placed - here, sizes)
    all_placed = _sum(placed, sizes)
    needs = _sum(frozenset(wanted) - placed - here, sizes)
    host = all_placed.host if used[0] is None else used[0] + coming.host
    gpu = all_placed.gpu if used[1] is None else used[1] + coming.gpu
    return (
        Room("memory", limit[0], host, needs.host),
        Room("GPU memory", limit[1], gpu, needs.gpu),
    )


def in_bytes(count: int) -> str:
    """
    >>> in_bytes(3 << 29), in_bytes(70 << 20), in_bytes(0)
    ('1.5 GiB', '70 MiB', '0 MiB')
    """
    gib = count / (1 << 30)
    return f"{gib:.1f} GiB" if gib >= 1 else f"{count / (1 << 20):.0f} MiB"


def parse_bytes(text: str) -> int | None:
    """A size as a setting writes it; None where it is empty.

    Raises:
        ValueError: it is none.

    >>> parse_bytes("1.5 GiB"), parse_bytes("1048576"), parse_bytes("")
    (1610612736, 1048576, None)
    """
    if not text.strip():
        return None
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r}: a size is a number of bytes, or one with MiB or GiB")
    return int(Decimal(found[1]) * _UNITS[found[2] or ""])


def _sum(names: Iterable[str], sizes: Mapping[str, Footprint]) -> Footprint:
    return sum((sizes.get(name, Footprint()) for name in names), Footprint())
