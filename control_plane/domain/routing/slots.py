"""The slot table: which arm each of the 10,000 slots belongs to, changed as little as can be.

A sticky key has a slot for ever, so whoever's slot changes hands changes arms. An arm whose
weight does not fall keeps every slot it has; one whose weight falls gives up just the
difference: the primary its highest slots, any other its lowest. So a candidate that goes up
and comes down again leaves the table as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from control_plane.domain.routing.policy import SLOTS, RoutingPolicy

Key = tuple[str, int]
"""An arm's place: what it serves, which stays the same when an arm is named anew."""

Run = tuple[int, int]
"""(arm index, number of slots in a row)."""


def next_table(policy: RoutingPolicy, previous: Sequence[Key] = ()) -> tuple[Key, ...]:
    """The table for a policy, from the one before; without one, run after run.

    Raises:
        ValueError: the weights do not fill the slots.
    """
    weights = {arm.place: arm.weight for arm in policy.arms}
    if sum(weights.values()) != SLOTS:
        raise ValueError(f"weights must fill {SLOTS} slots")
    primary = policy.primary.place
    # The primary has the low slots, so that what it gives up is below what others have.
    order = [primary, *(key for key in weights if key != primary)]
    table: list[Key | None] = list(previous) or [None] * SLOTS
    kept = _kept(table, weights, primary)
    free = [slot for slot in range(SLOTS) if slot not in kept]
    for key in order:
        missing = weights[key] - sum(1 for slot in kept if table[slot] == key)
        for slot in free[:missing]:
            table[slot] = key
        del free[:missing]
    return tuple(key for key in table if key is not None)


def runs(table: Iterable[Key], policy: RoutingPolicy) -> tuple[Run, ...]:
    """The table run by run, with the arms' places in the policy.

    >>> from control_plane.domain.routing.policy import Arm
    >>> arms = (Arm("a", "m", 1, 5000, primary=True), Arm("b", "m", 2, 5000))
    >>> runs((("m", 1), ("m", 1), ("m", 2), ("m", 1)), RoutingPolicy(arms))
    ((0, 2), (1, 1), (0, 1))
    """
    index = {arm.place: i for i, arm in enumerate(policy.arms)}
    found: list[Run] = []
    for key in table:
        arm = index[key]
        if found and found[-1][0] == arm:
            found[-1] = (arm, found[-1][1] + 1)
        else:
            found.append((arm, 1))
    return tuple(found)


def table_of(found: Iterable[Run], keys: Sequence[Key]) -> tuple[Key, ...]:
    """The inverse of `runs`; `keys` are those of the arms in their places."""
    return tuple(keys[arm] for arm, count in found for _ in range(count))


def _kept(table: Sequence[Key | None], weights: Mapping[Key, int], primary: Key) -> frozenset[int]:
    """The slots that do not change hands."""
    held: dict[Key, list[int]] = {}
    for slot, key in enumerate(table):
        if key in weights and key is not None:
            held.setdefault(key, []).append(slot)
    kept: list[int] = []
    for key, slots in held.items():
        surplus = max(0, len(slots) - weights[key])
        kept += slots[: len(slots) - surplus] if key == primary else slots[surplus:]
    return frozenset(kept)
