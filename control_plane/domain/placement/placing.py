"""Which servers an endpoint is placed on, decided from values, and in words why.

The rules, the first before the next:

1. What is there stays there as long as it may: nothing moves without a reason. The reasons are a
   server that is being drained, labels that no longer fit, fewer replicas, a spread that is
   required.
2. Nothing new comes to a server that is cordoned or drained, whose labels do not fit, that lacks a
   backend or the memory, or, where others could be chosen, that is away.
3. Of those that are left the places are filled one by one: where the spread label has the fewest;
   then where the least memory is left with it (best fit: large holes are kept for large models);
   then where the fewest endpoints are; then by name.
4. Nobody leaves before another can take the place: what should go and cannot stays, and is told.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from control_plane.domain.placement.memory import Room
from control_plane.domain.placement.wanted import Wanted


class Standing(StrEnum):
    """What a server is to an endpoint."""

    PLACED = "placed"
    LEAVING = "leaving"
    HELD = "held"
    SPARE = "spare"
    REFUSED = "refused"


@dataclass(frozen=True)
class Candidate:
    """A server as the rules see it; `lacks` is what the endpoint's models miss there, in words."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    alive: bool = True
    cordoned: bool = False
    draining: bool = False
    lacks: str = ""
    rooms: tuple[Room, ...] = ()
    endpoints: int = 0


@dataclass(frozen=True)
class Said:
    """One server's part, and why."""

    server: str
    standing: Standing
    reason: str


@dataclass(frozen=True)
class Placing:
    """Where the endpoint shall be, every server's part, and what is not as wanted, if anything."""

    servers: tuple[str, ...]
    said: tuple[Said, ...]
    problem: str = ""


def place(candidates: Iterable[Candidate], wanted: Wanted, present: Iterable[str]) -> Placing:
    """Where the endpoint shall be, from where it is.

    Args:
        present: the names of the servers that it is placed on by now.
    """
    known = sorted(candidates, key=lambda one: one.name)
    there = frozenset(present)
    here = [one for one in known if one.name in there]
    elsewhere = [one for one in known if one.name not in there]
    going = {one.name: why for one in here if (why := _why_go(one, wanted))}
    refused = {one.name: why for one in elsewhere if (why := _why_not(one, wanted))}
    kept = _kept([one for one in here if one.name not in going], wanted)
    free = [one for one in elsewhere if one.name not in refused]
    chosen = {one.name: one for one in _filled(kept, free, wanted)}
    held = _held([one for one in here if one.name not in chosen], len(chosen), wanted)
    found = _Found(wanted, there, chosen, held, going, refused)
    said = tuple(_said(one, found) for one in known)
    return Placing(tuple(sorted(chosen.keys() | held)), said, _problem(found, said))


def _why_go(one: Candidate, wanted: Wanted) -> str:
    """Why what is there should go, in words; empty when it may stay."""
    return "is being drained" if one.draining else wanted.unmet(one.labels)


def _why_not(one: Candidate, wanted: Wanted) -> str:
    """Why nothing new may come there, in words; empty when it may."""
    if unmet := wanted.unmet(one.labels):
        return unmet
    if one.draining:
        return "is being drained"
    if one.cordoned:
        return "is cordoned: nothing new is placed there"
    if one.lacks:
        return one.lacks
    # Where every server is meant, one that is away is waited for; of several, another is taken.
    if wanted.replicas is not None and not one.alive:
        return "is away: nothing is heard of its node"
    return "; ".join(filter(None, (room.lack for room in one.rooms)))


def _kept(stayers: Sequence[Candidate], wanted: Wanted) -> list[Candidate]:
    """Of those that may stay, as many as are wanted: those that lie apart best."""
    return list(stayers) if wanted.replicas is None else _taken([], stayers, wanted, _stays)


def _filled(chosen: list[Candidate], free: Sequence[Candidate], wanted: Wanted) -> list[Candidate]:
    if wanted.replicas is None:
        return [*chosen, *free]
    return _taken(chosen, free, wanted, _fit)


def _taken(
    chosen: Sequence[Candidate],
    among: Sequence[Candidate],
    wanted: Wanted,
    fit: Callable[[Candidate], tuple[float | str, ...]],
) -> list[Candidate]:
    """Adds one after the other, each where the fewest lie, until there are enough."""
    taken, left = list(chosen), list(among)
    while len(taken) < (wanted.replicas or 0):
        crowd = Counter(_group(one, wanted) for one in taken)
        if wanted.spread and wanted.spread.required:
            left = [one for one in left if not crowd[_group(one, wanted)]]
        if not left:
            break
        best = min(left, key=lambda one: (crowd[_group(one, wanted)], *fit(one)))
        taken.append(best)
        left.remove(best)
    return taken


def _group(one: Candidate, wanted: Wanted) -> str:
    """The place that it lies in; those without the label lie in one."""
    return one.labels.get(wanted.spread.label, "") if wanted.spread else ""


def _stays(one: Candidate) -> tuple[float | str, ...]:
    """Who stays where fewer are wanted: what answers, and what is not about to be emptied."""
    return (not one.alive, one.cordoned, one.name)


def _fit(one: Candidate) -> tuple[float | str, ...]:
    """The smaller, the better: what would be left of the memory, tightest first."""
    left = [room.left for room in one.rooms if room.left is not None]
    return (min(left, default=math.inf), one.endpoints, one.name)


def _held(going: Sequence[Candidate], placed: int, wanted: Wanted) -> frozenset[str]:
    """Those that should go and whose place nobody takes yet: the drained ones last, and after them
    those that are away."""
    if wanted.replicas is None:
        missing = 0 if placed else len(going)
    else:
        missing = max(0, wanted.replicas - placed)
    order = sorted(going, key=lambda one: (not one.alive, one.draining, one.name))
    return frozenset(one.name for one in order[:missing])


def _said(one: Candidate, known: _Found) -> Said:
    """One server's part in words."""
    if one.name in known.chosen:
        anew = "" if one.name in known.present else " anew"
        return Said(one.name, Standing.PLACED, f"placed here{anew}")
    if one.name in known.present:
        why = known.going.get(one.name) or known.surplus(one)
        if one.name in known.held:
            return Said(one.name, Standing.HELD, f"{why}: stays until another can take its place")
        return Said(one.name, Standing.LEAVING, f"{why}: goes once the others serve")
    if refusal := known.refused.get(one.name):
        return Said(one.name, Standing.REFUSED, refusal)
    return Said(one.name, Standing.SPARE, known.surplus(one))


@dataclass(frozen=True)
class _Found:
    """What was found of all servers, to say it of each."""

    wanted: Wanted
    present: frozenset[str]
    chosen: Mapping[str, Candidate]
    held: frozenset[str]
    going: Mapping[str, str]
    refused: Mapping[str, str]

    def surplus(self, one: Candidate) -> str:
        """Why a server that might have it is not needed."""
        spread, replicas = self.wanted.spread, self.wanted.replicas
        if replicas is not None and len(self.chosen) >= replicas:
            return f"not needed: {_placed(len(self.chosen))}"
        if spread and spread.required:
            group = one.labels.get(spread.label)
            where = f"{spread.label} {group}" if group else f"those without {spread.label}"
            return f"{where} has one already"
        return "not needed"


def _problem(found: _Found, said: Sequence[Said]) -> str:
    """What is not as it was wanted; empty where it is."""
    placed, replicas = len(found.chosen), found.wanted.replicas
    if placed >= (1 if replicas is None else replicas):
        return ""
    if not said:
        return "no server is registered"
    why = "; ".join(
        f"{one.server}: {one.reason}" for one in said if one.standing is not Standing.PLACED
    )
    if replicas is None:
        return f"no server can take it: {why}"
    only = f"{placed} of {replicas} replicas can be placed"
    return f"{only}: {why}" if why else f"{only}: there are no more servers"


def _placed(count: int) -> str:
    return "1 replica is placed" if count == 1 else f"{count} replicas are placed"
