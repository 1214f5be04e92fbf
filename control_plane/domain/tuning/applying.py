"""A tune's overrides in an endpoint's policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from control_plane.domain.serving.overriding import composed
from control_plane.domain.violations import ConflictError


def with_overrides(
    policy: Mapping[str, Any], endpoint: str, version: tuple[str, int], overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """The policy's document, with the overrides laid over those of each arm of the version.

    Raises:
        ConflictError: no arm of the endpoint is that version.
    """
    found = False
    arms = []
    for arm in policy.get("arms") or ():
        if (arm.get("model"), arm.get("version")) == version:
            found = True
            arm = {**arm, "overrides": composed(arm.get("overrides") or {}, overrides)}
        arms.append(arm)
    if not found:
        model, number = version
        raise ConflictError(
            f"{model}:{number} is no arm of endpoint {endpoint}: deploy it there first, or keep "
            "what was found as a serving profile"
        )
    return {**policy, "arms": arms}
