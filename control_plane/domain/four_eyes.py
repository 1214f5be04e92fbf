"""The four-eyes rule: what one person asks for, another person lets through.

Pure: who asks, who decides and where the endpoint stands come in as values; what follows comes
out, with its reason in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

LIFT = "endpoints.lift_four_eyes"
"""To switch the rule off: of the roles only an admin may."""


class ChangeState(StrEnum):
    """Where a change that was asked for stands; only `pending` is not the end."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    SUPERSEDED = "superseded"


class Deed(StrEnum):
    """What a person does to a change that waits."""

    APPROVE = "approve"
    REJECT = "reject"
    WITHDRAW = "withdraw"


class Move(StrEnum):
    """What would change where an endpoint's requests go."""

    POLICY = "policy"
    ROLLBACK = "rollback"
    KILL = "kill"
    REMOVAL = "removal"
    ROLLOUT = "rollout"


class Ruling(StrEnum):
    """`go`: do it. `ask`: a second person decides. `already`: it is so, and nothing is done.
    `not_yours`: another person's to do. `conflict`: the present state forbids it."""

    GO = "go"
    ASK = "ask"
    ALREADY = "already"
    NOT_YOURS = "not_yours"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class Verdict:
    """What follows, and why."""

    ruling: Ruling
    reason: str


@dataclass(frozen=True)
class Person:
    """Somebody with a name; `key` stays theirs when they are renamed (None: gone)."""

    key: int | None
    name: str

    def is_same(self, other: Person) -> bool:
        """Either tells: neither a new name nor a new account of the old name is another person."""
        return self.name == other.name or (self.key is not None and self.key == other.key)


@dataclass(frozen=True)
class Change:
    """A policy that somebody asked for, at the generation it was based on."""

    endpoint: str
    number: int
    author: Person
    generation: int
    state: ChangeState = ChangeState.PENDING
    decided_by: Person | None = None

    def __str__(self) -> str:
        return f"change {self.number} of {self.endpoint}"


_DONE = {
    Deed.APPROVE: ChangeState.APPROVED,
    Deed.REJECT: ChangeState.REJECTED,
    Deed.WITHDRAW: ChangeState.WITHDRAWN,
}


def after(deed: Deed) -> ChangeState:
    """The state that a deed leads to."""
    return _DONE[deed]


def course(move: Move, *, four_eyes: bool, served: bool = True) -> Verdict:
    """Which way a move of traffic takes at an endpoint.

    The ways out stay open to one person: what is on fire cannot wait for a second one, and they
    lead nowhere new.

    Args:
        served: of a rollback, whether any server's router was ever on that revision.
    """
    if not four_eyes:
        return Verdict(Ruling.GO, "the endpoint has no four-eyes rule")
    if move is Move.KILL:
        return Verdict(Ruling.GO, "everything to the primary is a way out")
    if move is Move.ROLLBACK and served:
        return Verdict(Ruling.GO, "what served before is a way out")
    if move is Move.ROLLBACK:
        return Verdict(
            Ruling.CONFLICT,
            "this revision never served, so going there is no way back but a change, and the "
            "endpoint has the four-eyes rule: deploy its policy, and have another person approve",
        )
    if move is Move.REMOVAL:
        return Verdict(
            Ruling.CONFLICT,
            "the endpoint has the four-eyes rule, so nobody takes it from its callers, or makes "
            "it anew without the rule: an admin switches the rule off first",
        )
    return Verdict(Ruling.ASK, "the endpoint has the four-eyes rule: a second person approves")


def decide(change: Change, deed: Deed, person: Person, *, generation: int) -> Verdict:
    """Whether the person may do that to the change now.

    Args:
        generation: the endpoint's present one.
    """
    if change.state is not ChangeState.PENDING:
        return _decided(change, deed, person)
    own = person.is_same(change.author)
    if deed is Deed.WITHDRAW:
        if own:
            return Verdict(Ruling.GO, "")
        return Verdict(
            Ruling.NOT_YOURS,
            f"{change.author.name} asked for {change}, and nobody else withdraws it: reject it",
        )
    if own:
        return Verdict(Ruling.NOT_YOURS, _own(change, deed))
    if deed is Deed.APPROVE and (why := stale(change, generation)):
        return Verdict(Ruling.CONFLICT, why)
    return Verdict(Ruling.GO, "")


def stale(change: Change, generation: int) -> str:
    """Why a change that waits can no longer be approved; empty where it can."""
    if change.state is not ChangeState.PENDING or change.generation == generation:
        return ""
    return (
        f"{change} was asked for at generation {change.generation}, and the endpoint is at "
        f"{generation} by now, so it would undo what came between: reject or withdraw it, look "
        "at the present policy, and ask anew"
    )


def ask_again(pending: Change | None, author: Person, *, same: bool, generation: int) -> Verdict:
    """What becomes of the change that waits when somebody asks for one: an endpoint has one.

    `go`: what waits, if anything does, is superseded. `already`: it is this very change.

    Args:
        same: whether it is the same policy, with the same words.
    """
    if pending is None or stale(pending, generation):
        return Verdict(Ruling.GO, "")
    if not author.is_same(pending.author):
        return Verdict(
            Ruling.CONFLICT,
            f"{pending} waits, which {pending.author.name} asked for: approve or reject it first",
        )
    if same:
        return Verdict(Ruling.ALREADY, f"{pending} asks for this very policy")
    return Verdict(Ruling.GO, f"{author.name} asked for another one")


def _decided(change: Change, deed: Deed, person: Person) -> Verdict:
    if change.state is after(deed) and change.decided_by and person.is_same(change.decided_by):
        return Verdict(Ruling.ALREADY, f"{change} is {change.state}")
    who = change.decided_by.name if change.decided_by else "somebody"
    reason = f"{change} is {change.state} ({who}) and stays so"
    return Verdict(Ruling.CONFLICT, reason)


def _own(change: Change, deed: Deed) -> str:
    if deed is Deed.REJECT:
        return f"you asked for {change} yourself: withdraw it"
    return (
        f"you asked for {change} yourself, and the endpoint has the four-eyes rule: somebody else "
        "who may change it approves"
    )
