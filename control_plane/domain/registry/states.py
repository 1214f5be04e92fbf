"""The states of a version, which follows which, and what keeps one from being archived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from control_plane.domain.violations import ConflictError

SHOWN_PLACES = 3
"""Places named in an error; of more, their number."""


class VersionState(StrEnum):
    """Where a version is on its way; only `ready` serves."""

    UPLOADING = "uploading"
    VALIDATING = "validating"
    READY = "ready"
    REJECTED = "rejected"
    ARCHIVED = "archived"


FOLLOWS: dict[VersionState, tuple[VersionState, ...]] = {
    VersionState.UPLOADING: (VersionState.VALIDATING, VersionState.REJECTED),
    VersionState.VALIDATING: (VersionState.READY, VersionState.REJECTED),
    VersionState.READY: (VersionState.ARCHIVED,),
    VersionState.REJECTED: (VersionState.ARCHIVED,),
    # Checked anew: the runtime may have changed since it was ready.
    VersionState.ARCHIVED: (VersionState.VALIDATING,),
}
"""State -> the states that may come next."""


class IllegalTransitionError(ConflictError):
    """A version cannot go from its state to the one asked for; the message says why not."""


@dataclass(frozen=True)
class Transition:
    """A version's new state and the reason for it, in words."""

    state: VersionState
    reason: str


@dataclass(frozen=True)
class Place:
    """One endpoint that a version serves in, and the revision that says so.

    `share` is a percent. With `live` servers route to it; without, the revision is on its way.
    `pipeline` is the one that it is a step of, `digits-png:2`; empty where it is the arm itself.
    """

    endpoint: str
    revision: int
    arm: str
    share: float
    live: bool
    pipeline: str = ""

    def __str__(self) -> str:
        share = f"{self.share:.2f}".rstrip("0").rstrip(".")
        on_its_way = "" if self.live else ", on its way"
        within = f", in pipeline {self.pipeline}" if self.pipeline else ""
        return (
            f"endpoint {self.endpoint} (revision {self.revision}, arm {self.arm}{within}, "
            f"{share} %{on_its_way})"
        )


def moved(version: str, present: VersionState, to: VersionState, reason: str) -> Transition:
    """The step from one state to the next.

    Raises:
        IllegalTransitionError: `to` does not follow the present state.
    """
    if to in FOLLOWS[present]:
        return Transition(to, reason)
    if to == present:
        raise IllegalTransitionError(f"{version} is {present} already")
    follows = " or ".join(FOLLOWS[present])
    raise IllegalTransitionError(
        f"{version} is {present}: from there it becomes {follows}, not {to}"
    )


def archived(
    version: str,
    present: VersionState,
    reason: str,
    *,
    places: Sequence[Place],
    aliases: Sequence[str],
) -> Transition:
    """The step into the archive.

    Args:
        places: where the version serves.
        aliases: the aliases that point to it.

    Raises:
        IllegalTransitionError: it serves, an alias points to it, or its state has another next.
    """
    step = moved(version, present, VersionState.ARCHIVED, reason)
    check_unused(version, "archived", places, aliases)
    return step


def check_unused(version: str, verb: str, places: Sequence[Place], aliases: Sequence[str]) -> None:
    """Refuses to take away a version that somebody relies on; `verb` is what was asked for.

    Raises:
        IllegalTransitionError: it serves somewhere, or an alias points to it.
    """
    if places:
        raise IllegalTransitionError(
            f"{version} serves in {in_words(places)}, so it cannot be {verb}: "
            "take it out of the policy first, and wait until its servers have switched"
        )
    if aliases:
        names = ", ".join(f"@{alias}" for alias in aliases)
        pronoun = "it" if len(aliases) == 1 else "them"
        raise IllegalTransitionError(
            f"{version} is {names}, so it cannot be {verb}: point {pronoun} to another version "
            f"first, or remove {pronoun}"
        )


def in_words(places: Sequence[Place]) -> str:
    """The first three places, and how many more there are."""
    words = ", ".join(str(place) for place in places[:SHOWN_PLACES])
    more = len(places) - SHOWN_PLACES
    return f"{words} and {more} more" if more > 0 else words
