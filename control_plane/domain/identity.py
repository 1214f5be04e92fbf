"""What an identity provider says of a person, and which roles that gives.

The provider's claims are a JSON object whose signature, issuer, audience and nonce were checked
before it comes here (`ports.identity`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from control_plane.domain.access import Role

EVERYBODY = "*"
"""In place of a group's name: whoever the provider lets in."""

MAX_SUBJECT = 255
MAX_USERNAME = 150
# Names that the audit record has for other than people.
RESERVED = frozenset({"anonymous", "bootstrap", "nereid", "worker"})


class NotAdmittedError(Exception):
    """The provider knows the person, and they may not come in; the message says why."""


@dataclass(frozen=True)
class Person:
    """Who the provider says has signed in."""

    issuer: str
    subject: str
    username: str  # what they would like to be called; empty: it does not say
    name: str
    email: str
    email_verified: bool
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True)
class AdmissionRules:
    """Who may come in by a provider, and as what.

    Args:
        roles: group -> the roles of its members; `*` is everybody.
        groups_claim: where the groups stand; dots lead into objects (`realm_access.roles`).
        email_domains: lower case; only addresses of these that the provider has verified are let
            in. Empty: whoever the provider lets in.
    """

    roles: Mapping[str, frozenset[Role]] = field(default_factory=dict)
    groups_claim: str = "groups"
    email_domains: frozenset[str] = frozenset()

    @property
    def managed(self) -> frozenset[Role]:
        """The roles that groups say: nobody has one of these without such a group."""
        return frozenset(role for roles in self.roles.values() for role in roles)

    def roles_of(self, person: Person) -> frozenset[Role]:
        """The roles that the person's groups give."""
        held = person.groups | {EVERYBODY}
        return frozenset(role for group in held for role in self.roles.get(group, ()))

    def check(self, person: Person) -> None:
        """
        Raises:
            NotAdmittedError: they have no verified address in one of the domains.
        """
        if not self.email_domains:
            return
        allowed = ", ".join(sorted(self.email_domains))
        if person.email.rpartition("@")[2].lower() not in self.email_domains:
            shown = person.email or "no address at all"
            raise NotAdmittedError(f"only addresses of {allowed} are let in, and yours is {shown}")
        if not person.email_verified:
            raise NotAdmittedError(
                f"only addresses of {allowed} are let in, and the provider does not say that "
                f"{person.email} was verified"
            )


def claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name; where there is none of it, dots in the name lead into objects.

    >>> claim({"realm_access": {"roles": ["ops"]}}, "realm_access.roles")
    ['ops']
    """
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def read_person(claims: Mapping[str, Any], issuer: str, groups_claim: str) -> Person:
    """The person of these claims.

    Raises:
        NotAdmittedError: they have no subject, without which nobody can be known again.
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not _usable(subject):
        raise NotAdmittedError("the provider does not say who you are: `sub` is missing or bad")
    email = _text(claims, "email", 254)
    return Person(
        issuer=issuer,
        subject=subject,
        username=_text(claims, "preferred_username", 255) or email,
        name=_text(claims, "name", 150),
        email=email if re.fullmatch(r"[^@\s]+@[^@\s]+", email) else "",
        email_verified=claims.get("email_verified") is True,
        groups=_groups(claim(claims, groups_claim)),
    )


def usernames(person: Person) -> Iterator[str]:
    """Names that the person could have here, the best first; endless.

    Of ASCII alone, so that none looks like another's and is not.

    >>> first = usernames(Person("https://id", "7", "Zoé Ada", "", "", False))
    >>> next(first), next(first)
    ('Zoe-Ada', 'Zoe-Ada-2')
    """
    plain = unicodedata.normalize("NFKD", person.username).encode("ascii", "ignore").decode()
    base = re.sub(r"[^A-Za-z0-9_.@+-]+", "-", plain).strip("-.")[: MAX_USERNAME - 12] or "person"
    if base.lower() not in RESERVED:
        yield base
    number = 2
    while True:
        yield f"{base}-{number}"
        number += 1


def _usable(subject: str) -> bool:
    return 0 < len(subject) <= MAX_SUBJECT and subject.isprintable()


def _text(claims: Mapping[str, Any], name: str, longest: int) -> str:
    value = claims.get(name)
    text = value if isinstance(value, str) else ""
    return "".join(c for c in text if c.isprintable()).strip()[:longest]


def _groups(value: Any) -> frozenset[str]:
    """A list of names; one name alone is a list of it."""
    several: Iterable[Any] = value if isinstance(value, list) else [value]
    # A group that is really called so is not everybody.
    return frozenset(one for one in several if isinstance(one, str) and one != EVERYBODY)
