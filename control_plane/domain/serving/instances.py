"""Instance groups: how many copies of a model work at once, and on what."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge
from pydantic import Field

from control_plane.domain.serving.section import (
    Flag,
    Natural,
    Natural32,
    Natural64,
    Positive,
    Section,
    Word,
)


class Resource(Section):
    """What an execution takes of a resource; needs a server with `--rate-limit`."""

    name: Word = Field(description="A word of your own; models share resources by it.")
    count: Annotated[Natural32, Ge(1)] = Field(1, description="How much of it one execution takes.")
    # `global` is a word of Python: the field is spelled as Triton does by its alias.
    shared: Flag = Field(
        False, alias="global", description="One pool for all devices and not one for each."
    )


class RateLimiter(Section):
    """When an instance may run beside others."""

    resources: tuple[Resource, ...] = Field(
        (), description="All of them have to be free before an instance executes."
    )
    priority: Natural32 = Field(
        0,
        description="Instances with a lower number go first; 2 gets half the turns of 1. "
        "0 counts as 1.",
    )

    def values(self, **chosen: Any) -> dict[str, Any]:
        # A count that is left out is 0 to Triton, and then nothing is limited.
        taken = [{"count": one.count, **one.values()} for one in self.resources]
        found = super().values(exclude={"resources"}, **chosen)
        return found | ({"resources": taken} if taken else {})


class SecondaryDevice(Section):
    """A device beside the first, as NVIDIA's DLA cores are."""

    kind: Literal["KIND_NVDLA"] = Field("KIND_NVDLA", description="There is one kind.")
    device_id: Natural64 = Field(0, description="Which of them.")


class InstanceGroup(Section):
    """Copies of the model on one kind of device."""

    name: Word | None = Field(None, description="What the server's log calls it.")
    count: Positive = Field(
        1,
        description="Copies on each device. Each has its own memory and threads: more than the "
        "cores can feed makes all of them slower.",
    )
    kind: Literal["KIND_CPU", "KIND_GPU", "KIND_MODEL"] | None = Field(
        None,
        description="Where they run. Left out: on the GPU where the server has one, else on the "
        "CPU. KIND_MODEL leaves it to the backend.",
    )
    gpus: tuple[Natural, ...] = Field((), description="GPUs by number; left out: all of them.")
    secondary_devices: tuple[SecondaryDevice, ...] = Field(
        (), description="Devices that a TensorRT plan uses beside the GPU."
    )
    profile: tuple[Word, ...] = Field(
        (), description="Optimisation profiles of a TensorRT plan, by number."
    )
    passive: Flag = Field(
        False, description="Loaded, and not run by requests; for a backend that runs it itself."
    )
    host_policy: Word | None = Field(
        None, description="The name of a host policy that the server was started with (NUMA)."
    )
    rate_limiter: RateLimiter | None = None

    def values_on(self, accelerator: str) -> dict[str, Any]:
        """On a server that has GPUs ("gpu") or none ("cpu"): there, all runs on the CPU. On "any"
        the kind stays as it is said."""
        if accelerator == "any":
            said = self.values(exclude={"secondary_devices", "count", "rate_limiter"})
            return {"count": self.count, **said, **self._secondary(), **self._limits()}
        kind = self.kind or ("KIND_GPU" if accelerator == "gpu" else "KIND_CPU")
        if kind == "KIND_GPU" and accelerator != "gpu":
            kind = "KIND_CPU"
        found: dict[str, Any] = {"count": self.count, "kind": kind}
        if kind == "KIND_GPU":
            found |= self.values(include={"gpus"})
            found |= self._secondary()
        alike = {"name", "profile", "passive", "host_policy"}
        return found | self.values(include=alike) | self._limits()

    def _limits(self) -> dict[str, Any]:
        return {"rate_limiter": self.rate_limiter.values()} if self.rate_limiter else {}

    def _secondary(self) -> dict[str, Any]:
        devices = [one.values(exclude_defaults=False) for one in self.secondary_devices]
        return {"secondary_devices": devices} if devices else {}


def groups_on(groups: tuple[InstanceGroup, ...], accelerator: str) -> list[dict[str, Any]]:
    """The instance groups for one kind of server.

    Where there is no GPU, groups for it give way to those for the CPU if there are any, and
    else run there: the model is served either way.
    """
    if accelerator == "cpu" and any(group.kind != "KIND_GPU" for group in groups):
        groups = tuple(group for group in groups if group.kind != "KIND_GPU")
    return [group.values_on(accelerator) for group in groups]
