"""Hardware profiles: what a model gets on a kind of machine where its serving profile is silent."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Le
from pydantic import Field

from control_plane.domain.serving.instances import InstanceGroup
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.serving.section import Natural, Positive, Section, Word

THREAD_PARAMETER = {
    "onnx": "intra_op_thread_count",
    "pytorch": "INTRA_OP_THREAD_COUNT",
    "openvino": "INFERENCE_NUM_THREADS",
    "tensorflow": "TF_NUM_INTRA_THREADS",
}
"""By framework: how its backend is told the threads of one execution."""

SILENT = (InstanceGroup(),)
"""The instance groups of a profile that says nothing of them."""


class HardwareProfile(Section):
    """What is known of a kind of machine before any model is on it."""

    name: Word = Field(exclude=True)
    description: str = Field("", description="Which machines are meant, in a sentence.")
    accelerator: Literal["cpu", "gpu"] = Field(description="Where models run there.")
    instances: Annotated[Positive, Le(64)] = Field(
        1, description="Copies of a model whose profile says no instance_group; for each GPU."
    )
    threads: Annotated[Natural, Le(256)] = Field(
        0, description="Of one execution, where neither profile nor version says; 0: the backend's."
    )


def fitted(
    profile: ServingProfile, framework: str, said: frozenset[str], hardware: HardwareProfile
) -> ServingProfile:
    """The serving profile on that hardware: what it is silent of is filled in.

    Args:
        said: the parameters that the version itself gives.
    """
    update: dict[str, object] = {}
    if profile.instance_group == SILENT and hardware.instances > 1:
        update["instance_group"] = (InstanceGroup(count=hardware.instances),)
    name = THREAD_PARAMETER.get(framework)
    if name and hardware.threads and name not in said and name not in profile.parameters:
        update["parameters"] = {**profile.parameters, name: str(hardware.threads)}
    return profile.model_copy(update=update) if update else profile
