"""Whether a server may be sent requests: what its node holds against what is wanted of it.

A balancer asks at every moment, also while the control plane is down: then what it said last
counts. A change under way takes nobody out; a server that slept through one stays out until it
has caught up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

SWITCHED_FOR = timedelta(seconds=5)
"""A generation that some server has switched to for so long, every server has to be at.

The servers of a fleet switch within moments of each other: none is taken out for these.
"""

WAITS_FOR_CHANGE_S = 30.0
"""How long a server that starts waits for a change under way: it may be held up elsewhere."""


@dataclass(frozen=True)
class WantedEndpoint:
    """Generations of one endpoint, as the control plane knows them; 0 where there is none.

    `settled` some server has switched to for longer than `SWITCHED_FOR`, `newest` some server has
    switched to, `intent` people want, where it can be carried out. `gone`: it is being deleted.
    `arriving`: it was never served here since it is meant for this server.
    """

    settled: int = 0
    newest: int = 0
    intent: int = 0
    gone: bool = False
    arriving: bool = False


@dataclass(frozen=True)
class Wanted:
    """What is wanted of one server. `draining` is why it gets no requests; empty: it does."""

    endpoints: Mapping[str, WantedEndpoint] = field(default_factory=dict)
    draining: str = ""

    def to_document(self) -> dict[str, Any]:
        """The JSON form, kept on the node's disk."""
        return {
            "draining": self.draining,
            "endpoints": {
                name: [one.settled, one.newest, one.intent, one.gone, one.arriving]
                for name, one in self.endpoints.items()
            },
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Wanted:
        """The inverse; raises KeyError, TypeError or ValueError on anything else."""
        return cls(
            endpoints={
                name: WantedEndpoint(int(settled), int(newest), int(intent), *map(bool, more))
                for name, (settled, newest, intent, *more) in document["endpoints"].items()
            },
            draining=str(document["draining"]),
        )


@dataclass(frozen=True)
class Heard:
    """What a node heard of the control plane.

    `since_start_s` counts from the first answer after the node's start, `ago_s` from the last one;
    both are None before there was any. `tried`: it was asked at least once.
    """

    wanted: Wanted | None
    tried: bool
    since_start_s: float | None
    ago_s: float | None


@dataclass(frozen=True)
class Held:
    """What there is on a server. `trouble` is why its Triton serves nothing now, in words;
    `lacking` what it should serve and does not, `serves` each endpoint's generation there."""

    trouble: str
    lacking: Sequence[str]
    serves: Mapping[str, int]


@dataclass(frozen=True)
class Verdict:
    """Whether requests may be sent, and why not (or what there is to say of it)."""

    ready: bool
    reason: str


def judge(held: Held, heard: Heard, *, caught_up: bool, trust_s: float | None = None) -> Verdict:
    """Whether this server may be sent requests.

    Args:
        caught_up: it has been ready since its node started.
        trust_s: how long it stays ready unheard of; None: as long as it holds everything.
    """
    if held.trouble:
        return Verdict(False, held.trouble)
    if held.lacking:
        return Verdict(False, f"not loaded: {_some(held.lacking)}")
    if not heard.tried:
        return Verdict(False, "starting: the control plane is being asked what is wanted")
    wanted = heard.wanted or Wanted()
    if wanted.draining:
        return Verdict(False, f"draining: {wanted.draining}")
    if trust_s is not None and (heard.ago_s is None or heard.ago_s > trust_s):
        return Verdict(False, f"nothing was heard of the control plane for {trust_s:.0f} s")
    if behind := _behind(held.serves, wanted, heard.since_start_s, caught_up=caught_up):
        return Verdict(False, _some(behind))
    if heard.since_start_s is None:
        return Verdict(True, "holds what was last wanted; the control plane does not answer")
    return Verdict(True, "holds everything that is wanted")


def _behind(
    serves: Mapping[str, int], wanted: Wanted, since_start_s: float | None, *, caught_up: bool
) -> list[str]:
    found = []
    for name, one in sorted(wanted.endpoints.items()):
        there = serves.get(name, 0)
        if one.gone:
            if there and not caught_up and since_start_s is not None:
                found.append(f"{name} was deleted, and is still there")
            continue
        if one.arriving and caught_up and not there:
            # It moves here, or is new: what is here already goes on being served meanwhile.
            continue
        least = max(one.settled, 0 if caught_up else one.newest)
        # What is only intended counts at the start, and not for ever.
        if not caught_up and since_start_s is not None and since_start_s < WAITS_FOR_CHANGE_S:
            least = max(least, one.intent)
        if there < least:
            found.append(f"{name} is at generation {there}, and {least} is wanted")
    return found


def _some(said: Sequence[str], most: int = 3) -> str:
    more = len(said) - most
    return "; ".join(said[:most]) + (f"; and {more} more" if more > 0 else "")
