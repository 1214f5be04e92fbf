"""How a physical model is served, of what its configuration says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from control_plane.domain.planning.model_config import Config


@dataclass(frozen=True)
class Setting:
    """How a physical model is served: `instances` on one server, `delay_us` that a batch waits."""

    max_batch_size: int = 0
    batches: bool = False
    delay_us: int = 0
    cached: bool = False
    instances: int = 1
    cpu: bool = True


NO_SETTING = Setting()


def setting_of(config: Config) -> Setting:
    """The setting of a compiled configuration."""
    batching: Any = config.get("dynamic_batching")
    groups = config.get("instance_group", ())
    return Setting(
        max_batch_size=int(config.get("max_batch_size", 0)),
        batches=batching is not None,
        delay_us=int((batching or {}).get("max_queue_delay_microseconds", 0)),
        cached=bool(config.get("response_cache", {}).get("enable")),
        instances=instances_of(config),
        cpu=not any(group.get("kind") == "KIND_GPU" for group in groups),
    )


def instances_of(config: Config) -> int:
    """How many work at once on one server, as planned; one where the plan leaves it open, and none
    of an ensemble, whose members work."""
    if config.get("platform") == "ensemble":
        return 0
    groups = config.get("instance_group", ())
    return max(1, sum(int(g.get("count", 1)) * max(1, len(g.get("gpus", ()))) for g in groups))
