"""How a version is served: the values a serving profile holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_BATCHING = {
    "max_queue_delay_microseconds",
    "preferred_batch_size",
    "priority_levels",
    "default_priority_level",
}


@dataclass(frozen=True)
class ServingProfile:
    """Batching and instances for one kind of traffic.

    `max_batch_size` in requests' rows, `max_queue_delay_microseconds` in microseconds;
    `parameters` are the backend's own (NVIDIA's names). Priorities go from 1, the highest, to
    `priority_levels` (0: there are none).
    """

    name: str
    max_batch_size: int
    description: str = ""
    dynamic_batching: bool = True
    max_queue_delay_microseconds: int = 0
    preferred_batch_size: tuple[int, ...] = ()
    priority_levels: int = 0
    default_priority_level: int = 0
    instance_count: int = 1
    parameters: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_values(cls, name: str, values: Mapping[str, Any]) -> ServingProfile:
        """A profile from its file's values.

        Raises:
            ValueError: an unknown key or a value out of range; the message names it.
        """
        known = {"description", "max_batch_size", "dynamic_batching", "instance_group"}
        if unknown := values.keys() - known - {"parameters"}:
            raise ValueError(f"profile {name}: unknown key {sorted(unknown)[0]!r}")
        batching = values.get("dynamic_batching")
        if unknown := (batching or {}).keys() - _BATCHING:
            raise ValueError(f"profile {name}: unknown key dynamic_batching.{sorted(unknown)[0]}")
        profile = cls(
            name=name,
            max_batch_size=int(values.get("max_batch_size", 0)),
            description=str(values.get("description", "")),
            dynamic_batching=batching is not None,
            max_queue_delay_microseconds=int(
                (batching or {}).get("max_queue_delay_microseconds", 0)
            ),
            preferred_batch_size=tuple((batching or {}).get("preferred_batch_size", ())),
            priority_levels=int((batching or {}).get("priority_levels", 0)),
            default_priority_level=int((batching or {}).get("default_priority_level", 0)),
            instance_count=int(values.get("instance_group", {}).get("count", 1)),
            parameters=dict(values.get("parameters", {})),
        )
        if profile.max_batch_size < 0 or profile.instance_count < 1:
            raise ValueError(f"profile {name}: max_batch_size >= 0 and count >= 1 are needed")
        if any(not 0 < size <= profile.max_batch_size for size in profile.preferred_batch_size):
            raise ValueError(f"profile {name}: preferred_batch_size beyond max_batch_size")
        levels, default = profile.priority_levels, profile.default_priority_level
        if not (levels == default == 0 or 1 <= default <= levels):
            raise ValueError(f"profile {name}: default_priority_level is from 1 to priority_levels")
        return profile
