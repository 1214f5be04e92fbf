"""What is tuned of a version: one point of the search space, and the overrides that serve it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from control_plane.domain.serving.hardware import THREAD_PARAMETER
from control_plane.domain.serving.profile import ServingProfile

WORDS = {
    "max_batch_size": "max batch",
    "queue_delay_us": "queue delay",
    "preferred": "preferred sizes",
    "instances": "instances",
    "threads": "threads",
    "accelerator": "accelerator",
}
"""What people call the dimensions, in the order in which they are shown."""


@dataclass(frozen=True)
class Configuration:
    """One way to serve a version.

    `max_batch_size` 0 takes no batches; without `dynamic` each request is one by itself.
    `preferred` are the batch sizes that are sent on as soon as they are reached, `threads` those of
    one execution (0: the backend's own choice), `accelerator` an execution accelerator's name.
    """

    max_batch_size: int = 0
    dynamic: bool = False
    queue_delay_us: int = 0
    preferred: tuple[int, ...] = ()
    instances: int = 1
    threads: int = 0
    accelerator: str = ""

    @property
    def largest(self) -> int:
        """How many rows the server puts together at most."""
        return max(1, self.max_batch_size) if self.dynamic else 1

    @property
    def sent_at(self) -> int:
        """The rows at which a batch waits for no further ones."""
        return min(self.preferred[0], self.largest) if self.preferred else self.largest

    def __str__(self) -> str:
        parts = [f"batch {self.max_batch_size}" if self.max_batch_size else "no batches"]
        if self.queue_delay_us:
            parts.append(f"delay {self.queue_delay_us / 1000:g} ms")
        if self.preferred:
            parts.append(f"preferred {', '.join(map(str, self.preferred))}")
        parts.append(f"{self.instances} instance{'' if self.instances == 1 else 's'}")
        if self.threads:
            parts.append(f"{self.threads} thread{'' if self.threads == 1 else 's'}")
        if self.accelerator:
            parts.append(self.accelerator)
        return ", ".join(parts)

    def to_document(self) -> dict[str, Any]:
        """The JSON form."""
        return {**asdict(self), "preferred": list(self.preferred)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Configuration:
        """The inverse of `to_document`; raises KeyError or TypeError on anything else."""
        return cls(**{**document, "preferred": tuple(document["preferred"])})


def configuration_of(
    profile: ServingProfile, framework: str, parameters: Mapping[str, str], *, batched: bool
) -> Configuration:
    """How a version is served now.

    Args:
        profile: with the version's overrides, on the server's hardware.
        parameters: the version's own, which the profile's go before.
        batched: whether the model takes batches at all.
    """
    batching = profile.dynamic_batching if batched and profile.max_batch_size else None
    name = THREAD_PARAMETER.get(framework, "")
    said = {**parameters, **profile.parameters}.get(name, "0")
    return Configuration(
        max_batch_size=profile.max_batch_size if batched else 0,
        dynamic=batching is not None,
        queue_delay_us=batching.max_queue_delay_microseconds if batching else 0,
        preferred=tuple(sorted(batching.preferred_batch_size)) if batching else (),
        instances=profile.instance_group[0].count,
        threads=int(said) if said.isascii() and said.isdigit() else 0,
        accelerator=_accelerator(profile),
    )


def overrides_for(
    wanted: Configuration, present: Configuration, profile: ServingProfile, framework: str
) -> dict[str, Any]:
    """What is said otherwise than the profile, so that it serves as wanted; nothing else of it.

    Args:
        profile: that `present` was read from; what is not tuned stays as it is there.
    """
    found: dict[str, Any] = {}
    if wanted.max_batch_size != present.max_batch_size:
        found["max_batch_size"] = wanted.max_batch_size
    if batching := _batching(wanted, present):
        found["dynamic_batching"] = batching
    elif wanted.dynamic and not present.dynamic:
        found["dynamic_batching"] = {}
    if wanted.instances != present.instances:
        first = profile.instance_group[0].model_copy(update={"count": wanted.instances})
        found["instance_group"] = [_as_written(first.model_dump(mode="json", by_alias=True))]
    name = THREAD_PARAMETER.get(framework)
    if name and wanted.threads != present.threads:
        found["parameters"] = {name: str(wanted.threads) if wanted.threads else None}
    if wanted.accelerator != present.accelerator:
        found["optimization"] = {"execution_accelerators": _accelerators(wanted.accelerator)}
    return found


def changed_words(wanted: Configuration, present: Configuration) -> list[tuple[str, str, str]]:
    """(what, before, after) of every dimension that differs, as people read it."""
    rows = []
    for name, word in WORDS.items():
        before, after = getattr(present, name), getattr(wanted, name)
        if before != after:
            rows.append((word, _said(name, before), _said(name, after)))
    return rows


def _batching(wanted: Configuration, present: Configuration) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if not wanted.dynamic:
        return found
    if wanted.queue_delay_us != present.queue_delay_us:
        found["max_queue_delay_microseconds"] = wanted.queue_delay_us
    if wanted.preferred != present.preferred:
        found["preferred_batch_size"] = list(wanted.preferred) or None
    return found


ON_GPUS = frozenset({"tensorrt", "cuda"})


def _accelerator(profile: ServingProfile) -> str:
    chosen = profile.optimization and profile.optimization.execution_accelerators
    if not chosen:
        return ""
    named = [*chosen.gpu_execution_accelerator, *chosen.cpu_execution_accelerator]
    return named[0].name if named else ""


def _accelerators(name: str) -> dict[str, Any] | None:
    if not name:
        return None
    where = "gpu_execution_accelerator" if name in ON_GPUS else "cpu_execution_accelerator"
    return {where: [{"name": name}]}


def _as_written(group: dict[str, Any]) -> dict[str, Any]:
    """Without what is left out anyway."""
    return {key: value for key, value in group.items() if value not in (None, [], {}, (), False)}


def _said(name: str, value: Any) -> str:
    if name == "queue_delay_us":
        return f"{value / 1000:g} ms"
    if name == "preferred":
        return ", ".join(map(str, value)) or "none"
    if name == "threads":
        return str(value) if value else "the backend's"
    return str(value) or "none"
