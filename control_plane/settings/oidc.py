"""Signing in with an identity provider (OpenID Connect), and whether passwords do too.

Half of it is refused when the control plane starts: somebody who set an issuer means to use it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ImproperlyConfigured

from control_plane.domain.access import Role
from control_plane.domain.identity import AdmissionRules

ISSUER = "NEREID_OIDC_ISSUER"
SECRET = "NEREID_OIDC_CLIENT_SECRET"  # noqa: S105 - the variable's name
ROLES = "NEREID_OIDC_ROLES"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class OidcSettings:
    """One provider, as the environment describes it."""

    issuer: str
    name: str  # on the button
    client_id: str
    client_secret: str = field(repr=False)
    scopes: str
    session_s: int
    rules: AdmissionRules

    @property
    def origin(self) -> str:
        parts = urlsplit(self.issuer)
        return f"{parts.scheme}://{parts.netloc}"


def oidc(environment: Mapping[str, str]) -> OidcSettings | None:
    """What the environment says of a provider; None where it says nothing.

    Raises:
        ImproperlyConfigured: it says half, or what cannot be.
    """
    given = {name: value for name, value in environment.items() if name.startswith("NEREID_OIDC_")}
    given = {name: value for name, value in given.items() if value}
    if not given:
        return None
    if ISSUER not in given:
        raise ImproperlyConfigured(
            f"{sorted(given)[0]} is set and {ISSUER} is not: name the provider's address, or set "
            "none of NEREID_OIDC_…"
        )
    issuer = _issuer(given[ISSUER])
    return OidcSettings(
        issuer=issuer,
        name=given.get("NEREID_OIDC_NAME") or urlsplit(issuer).netloc,
        client_id=_needed(given, "NEREID_OIDC_CLIENT_ID"),
        client_secret=_secret(given),
        scopes=_scopes(given.get("NEREID_OIDC_SCOPES") or "openid profile email"),
        session_s=_seconds(given, "NEREID_OIDC_SESSION_S", 12 * 3600),
        rules=AdmissionRules(
            roles=_roles(_needed(given, ROLES)),
            groups_claim=given.get("NEREID_OIDC_GROUPS_CLAIM") or "groups",
            email_domains=_domains(given),
        ),
    )


def password_login(environment: Mapping[str, str], provider: OidcSettings | None) -> bool:
    """Whether people may come in by password: `NEREID_PASSWORD_LOGIN`, on unless it says off.

    Raises:
        ImproperlyConfigured: it says neither, or nobody could come in at all.
    """
    said = (environment.get("NEREID_PASSWORD_LOGIN") or "on").lower()
    if said not in ("on", "off"):
        raise ImproperlyConfigured(f"NEREID_PASSWORD_LOGIN={said}: it is on or off")
    if said == "off" and provider is None:
        raise ImproperlyConfigured(
            f"NEREID_PASSWORD_LOGIN is off and {ISSUER} is not set: nobody could come in"
        )
    return said == "on"


def public_url(environment: Mapping[str, str]) -> str:
    """The console's address as browsers know it (`NEREID_PUBLIC_URL`); empty: as they asked.

    Raises:
        ImproperlyConfigured: it is no origin.
    """
    said = (environment.get("NEREID_PUBLIC_URL") or "").rstrip("/")
    parts = urlsplit(said)
    if said and (
        parts.scheme not in ("http", "https") or not parts.netloc or _more_than_origin(parts)
    ):
        raise ImproperlyConfigured(
            f"NEREID_PUBLIC_URL={said}: an origin without a path, such as https://nereid.example.com"
        )
    return said


def _more_than_origin(parts: SplitResult) -> bool:
    return bool(parts.path or parts.query or parts.fragment or "@" in parts.netloc)


def _issuer(text: str) -> str:
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        host = None
    if host and "@" in parts.netloc:
        # Without the text itself: there may be a password in it.
        raise ImproperlyConfigured(
            f"{ISSUER} has a user in it, and it is shown to whoever signs in"
        )
    if not host or parts.query or parts.fragment or parts.scheme not in ("http", "https"):
        raise ImproperlyConfigured(
            f"{ISSUER}={text}: an address such as https://id.example.com/realms/main"
        )
    if parts.scheme == "http" and host not in LOOPBACK:
        raise ImproperlyConfigured(
            f"{ISSUER}={text}: it begins with https://, or whoever is between could sign in as "
            "anybody; http:// is for a provider on this machine"
        )
    return text.removesuffix("/.well-known/openid-configuration")


def _needed(given: Mapping[str, str], name: str) -> str:
    if value := given.get(name):
        return value
    hint = ': which group is which role, as JSON: {"ml-team": "publisher"}' if name == ROLES else ""
    raise ImproperlyConfigured(f"{ISSUER} is set and {name} is not{hint}")


def _secret(given: Mapping[str, str]) -> str:
    path = given.get(f"{SECRET}_FILE")
    if not path:
        return _needed(given, SECRET)
    if SECRET in given:
        raise ImproperlyConfigured(f"{SECRET} and {SECRET}_FILE are both set: set one")
    try:
        text = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{SECRET}_FILE={path} cannot be read: {error}") from None
    if not text:
        raise ImproperlyConfigured(f"{SECRET}_FILE={path} is empty")
    return text


def _scopes(text: str) -> str:
    scopes = text.replace(",", " ").split()
    if "openid" not in scopes:
        raise ImproperlyConfigured(f"NEREID_OIDC_SCOPES={text}: `openid` has to be among them")
    return " ".join(scopes)


def _domains(given: Mapping[str, str]) -> frozenset[str]:
    """The domains whose addresses are let in; empty where it is not set: all."""
    said = given.get("NEREID_OIDC_EMAIL_DOMAINS")
    if said is None:
        return frozenset()
    parts = [part.strip().lower().removeprefix("@") for part in said.split(",")]
    domains = [part for part in parts if part]
    # Commas alone would let everybody in.
    if not domains or not all(re.fullmatch(r"[^\s@*]+", domain) for domain in domains):
        raise ImproperlyConfigured(
            f"NEREID_OIDC_EMAIL_DOMAINS={said}: domains with commas between, such as "
            "example.com,example.org; for all, leave it out"
        )
    return frozenset(domains)


def _seconds(given: Mapping[str, str], name: str, default: int) -> int:
    said = given.get(name) or str(default)
    if not (said.isascii() and said.isdecimal() and 60 <= int(said) <= 366 * 86400):
        raise ImproperlyConfigured(f"{name}={said}: seconds, from 60 to a year")
    return int(said)


def _roles(text: str) -> dict[str, frozenset[Role]]:
    example = '{"ml-team": "publisher", "platform": ["operator", "admin"], "*": "viewer"}'
    known = ", ".join(Role)
    try:
        document = json.loads(text)
    except ValueError:
        raise ImproperlyConfigured(f"{ROLES} is no JSON; it looks like {example}") from None
    if not isinstance(document, dict) or not document:
        raise ImproperlyConfigured(f"{ROLES} is no object of groups; it looks like {example}")
    found = {}
    for group, said in document.items():
        roles = said if isinstance(said, list) else [said]
        if wrong := [role for role in roles if role not in list(Role)]:
            raise ImproperlyConfigured(f"{ROLES}: {group!r} is {wrong[0]!r}: a role is {known}")
        found[str(group)] = frozenset(Role(role) for role in roles)
    return found
