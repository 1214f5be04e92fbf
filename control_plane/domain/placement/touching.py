"""Whether a change of servers can move an endpoint: if it cannot, its look may wait its turn."""

from __future__ import annotations

from collections.abc import Mapping

from control_plane.domain.placement.wanted import EVERYWHERE, Wanted


def is_touched(
    wanted: Wanted,
    on: frozenset[str],
    unsettled: bool,
    changed: Mapping[str, Mapping[str, str] | None],
) -> bool:
    """True where the rules of `placing` may say something else than they did.

    What is there stays there, so replicas that are placed as wanted mind only their own servers.

    Args:
        on: the servers that it is on, or leaves.
        unsettled: something of the placement is not as it was wanted, or was never decided.
        changed: server -> the labels that it has now; None: it was removed.

    >>> two = Wanted(replicas=2)
    >>> is_touched(two, frozenset("ab"), False, {"c": {}})
    False
    >>> is_touched(two, frozenset("ab"), False, {"b": {}})
    True
    """
    if not changed:
        return False
    if unsettled or wanted == EVERYWHERE or not on.isdisjoint(changed):
        return True
    if wanted.replicas is not None:
        return False
    return any(labels is not None and not wanted.unmet(labels) for labels in changed.values())
