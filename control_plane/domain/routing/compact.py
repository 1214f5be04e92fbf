"""The policy as the traffic backend reads it: a few lines of text (backends/traffic)."""

from __future__ import annotations

from collections.abc import Sequence

from control_plane.domain.routing.policy import SLOTS

FILE_NAME = "policy.txt"
PINNED_LIMIT = 1_000_000_000
"""The router's version that carries the policy; real versions stay below it."""


def compact_policy(
    *, endpoint: str, generation: int, arms: Sequence[tuple[str, int]], primary: str
) -> str:
    """The text of `policy.txt`.

    Args:
        endpoint: public name, the label of the router's metrics.
        generation: of the endpoint's intent; shown by the router, never acted on.
        arms: (physical model, weight in parts per 10,000) in the policy's order.
        primary: the physical model that requests fall back to.

    Raises:
        ValueError: the weights do not fill the slots, or `primary` is no arm.
    """
    if sum(weight for _, weight in arms) != SLOTS:
        raise ValueError(f"weights must fill {SLOTS} slots")
    if primary not in [physical for physical, _ in arms]:
        raise ValueError(f"primary {primary!r} is not an arm")
    lines = ["nereid-traffic 1", f"endpoint {endpoint}", f"generation {generation}"]
    lines += [f"arm {name}{' primary' if name == primary else ''}" for name, _ in arms]
    runs = [f"{index}:{weight}" for index, (_, weight) in enumerate(arms) if weight]
    lines.append("slots " + " ".join(runs))
    return "\n".join(lines) + "\n"
