"""Where is searched: what may be varied of a version on a server, and up to where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from control_plane.domain.planning.backends import BackendKind
from control_plane.domain.serving.hardware import THREAD_PARAMETER
from control_plane.domain.tuning.configuration import Configuration

QUEUE_DELAYS_US = (0, 200, 1000, 4000)
MAX_BATCH = 256
"""Rows: above it a batch is longer than the waits that people accept."""

MAX_INSTANCES = 8
MAX_THREADS = 16
GPU_INSTANCES = (1, 2, 3, 4)


@dataclass(frozen=True)
class Machine:
    """What of a server bounds the search.

    `cores` are those that its models may use, `backend` the kind of the backend that runs the
    version there; None: not known.
    """

    cores: int
    accelerator: str = "cpu"
    backend: BackendKind | None = None


@dataclass(frozen=True)
class Space:
    """The values of each dimension, beside `present`; `fixed` says why one has no other.

    `preferred` True offers a preferred size of half the batch, wherever requests wait.
    """

    present: Configuration
    max_batch_sizes: tuple[int, ...] = ()
    queue_delays_us: tuple[int, ...] = ()
    preferred: bool = False
    instances: tuple[int, ...] = ()
    threads: tuple[int, ...] = ()
    accelerators: tuple[str, ...] = ()
    fixed: Mapping[str, str] = field(default_factory=dict)

    def axes(self) -> dict[str, tuple[Any, ...]]:
        """The dimensions that have more than one value, with their values in order."""
        found: dict[str, tuple[Any, ...]] = {
            "max_batch_size": self.max_batch_sizes,
            "queue_delay_us": self.queue_delays_us,
            "preferred": (False, True) if self.preferred else (),
            "instances": self.instances,
            "threads": self.threads,
            "accelerator": self.accelerators,
        }
        return {name: values for name, values in found.items() if len(values) > 1}

    def made(self, values: Mapping[str, Any]) -> Configuration:
        """The configuration of one value for each dimension; what is left out is its only one."""
        present = self.present
        one = replace(
            present,
            instances=values.get("instances", _only(self.instances, present.instances)),
            threads=values.get("threads", _only(self.threads, present.threads)),
            accelerator=values.get("accelerator", _only(self.accelerators, present.accelerator)),
        )
        if not self.max_batch_sizes:
            return one
        batch = values.get("max_batch_size", _only(self.max_batch_sizes, 1))
        delay = values.get("queue_delay_us", _only(self.queue_delays_us, present.queue_delay_us))
        # A batch of one waits for nobody, and half of two is one.
        waits = delay if batch > 1 else 0
        half = (batch // 2,) if values.get("preferred") and waits and batch > 2 else ()
        return replace(
            one, max_batch_size=batch, dynamic=True, queue_delay_us=waits, preferred=half
        )

    def candidates(self) -> list[Configuration]:
        """Every configuration, each once, the present one first."""
        axes = self.axes()
        found = dict.fromkeys([self.present])
        for values in product(*axes.values()):
            found[self.made(dict(zip(axes, values, strict=True)))] = None
        return list(found)

    def with_room_for(self, rows: int) -> Space:
        """Without the batches that a request of so many rows does not fit in."""
        kept = tuple(size for size in self.max_batch_sizes if size >= rows)
        return replace(self, max_batch_sizes=kept)

    def without_one_instance(self) -> Space:
        """For servers where a single copy cannot be said."""
        return replace(self, instances=tuple(n for n in self.instances if n > 1))

    @property
    def largest_batch(self) -> int:
        """Rows of the largest batch in sight."""
        return max((*self.max_batch_sizes, self.present.max_batch_size, 1))

    def to_document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "max_batch_size": list(self.max_batch_sizes),
            "queue_delay_us": list(self.queue_delays_us),
            "preferred": self.preferred,
            "instances": list(self.instances),
            "threads": list(self.threads),
            "accelerator": list(self.accelerators),
            "fixed": dict(self.fixed),
            "present": self.present.to_document(),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Space:
        """The inverse of `to_document`."""
        return cls(
            present=Configuration.from_document(document["present"]),
            max_batch_sizes=tuple(document["max_batch_size"]),
            queue_delays_us=tuple(document["queue_delay_us"]),
            preferred=document["preferred"],
            instances=tuple(document["instances"]),
            threads=tuple(document["threads"]),
            accelerators=tuple(document["accelerator"]),
            fixed=document["fixed"],
        )


@dataclass(frozen=True)
class Tunable:
    """What of a version says which dimensions it has.

    `batched`: the model takes batches; `groups`: of instances in its profile.
    """

    framework: str
    batched: bool
    groups: int = 1
    priorities: bool = False


def space_for(
    version: Tunable,
    present: Configuration,
    machine: Machine,
    *,
    most_rows: int,
    asked: Mapping[str, Sequence[Any]],
) -> Space:
    """The space of a version on a machine.

    Args:
        most_rows: that are ever there at once, from all callers together: no batch gets larger.
        asked: dimension -> the values that somebody wants; left out: those that make sense here.
    """
    fixed: dict[str, str] = {}
    batches = _batches(version, most_rows, fixed)
    delays = QUEUE_DELAYS_US if batches else ()
    instances = _instances(version, machine, fixed)
    threads = _threads(version, machine, fixed)
    accelerators = _accelerators(version, machine, fixed)
    found = Space(
        present=present,
        max_batch_sizes=_chosen(asked, "max_batch_size", batches, fixed),
        queue_delays_us=_chosen(asked, "queue_delay_us", delays, fixed),
        preferred=bool(batches) and bool(asked.get("preferred", (True,))[0]),
        instances=_chosen(asked, "instances", instances, fixed),
        threads=_chosen(asked, "threads", threads, fixed),
        accelerators=_chosen(asked, "accelerator", accelerators, fixed),
        fixed=fixed,
    )
    if "queue_delay_us" in asked and max(asked["queue_delay_us"], default=0) == 0:
        found = replace(found, preferred=False)
    return found


def _only(values: Sequence[Any], other: Any) -> Any:
    return values[0] if values else other


def _chosen(
    asked: Mapping[str, Sequence[Any]],
    name: str,
    sensible: Iterable[Any],
    fixed: Mapping[str, str],
) -> tuple[Any, ...]:
    """What was asked for, except of a dimension that cannot be varied."""
    if name in fixed:
        return ()
    return tuple(dict.fromkeys(asked.get(name) or sensible))


def _batches(version: Tunable, most_rows: int, fixed: dict[str, str]) -> tuple[int, ...]:
    if not version.batched:
        why = "the model takes no batches"
        fixed |= {"max_batch_size": why, "queue_delay_us": why, "preferred": why}
        return ()
    sizes = [1]
    while sizes[-1] < min(most_rows, MAX_BATCH):
        sizes.append(sizes[-1] * 2)
    return tuple(sizes[2:] or sizes[-1:])


def _instances(version: Tunable, machine: Machine, fixed: dict[str, str]) -> tuple[int, ...]:
    if version.groups > 1:
        fixed["instances"] = f"its profile has {version.groups} groups of instances"
        return ()
    if machine.accelerator == "gpu":
        return GPU_INSTANCES
    return _powers(min(machine.cores, MAX_INSTANCES))


def _threads(version: Tunable, machine: Machine, fixed: dict[str, str]) -> tuple[int, ...]:
    if version.framework not in THREAD_PARAMETER:
        fixed["threads"] = f"{version.framework} is told no number of threads"
        return ()
    if machine.accelerator == "gpu":
        fixed["threads"] = "the model runs on a GPU"
        return ()
    return _powers(min(machine.cores, MAX_THREADS))


def _accelerators(version: Tunable, machine: Machine, fixed: dict[str, str]) -> tuple[str, ...]:
    if version.framework != "onnx":
        fixed["accelerator"] = f"{version.framework} has none to choose from"
        return ()
    if machine.backend is not BackendKind.NATIVE:
        fixed["accelerator"] = "the server's onnxruntime is not known to have any"
        return ()
    return ("", "tensorrt") if machine.accelerator == "gpu" else ("", "openvino")


def _powers(most: int) -> tuple[int, ...]:
    found = [1]
    while found[-1] * 2 <= most:
        found.append(found[-1] * 2)
    return tuple(found)
