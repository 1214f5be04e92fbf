"""How often one caller may ask: the limits, and where the counts are kept."""

from __future__ import annotations

from collections.abc import Mapping

from django.core.exceptions import ImproperlyConfigured
from limits import parse

# Above what a control plane of one machine can answer to one caller, and far above what a person
# or a client that waits for a rollout asks: it is a loop gone wild that meets them.
DEFAULTS = {
    "callers": ("NEREID_THROTTLE_CALLERS", "12000/minute"),
    "anonymous": ("NEREID_THROTTLE_ANONYMOUS", "1200/minute"),
    "guesses": ("NEREID_THROTTLE_GUESSES", "300/minute"),
    "logins": ("NEREID_THROTTLE_LOGINS", "20/minute"),
    "writes": ("NEREID_THROTTLE_WRITES", "3000/minute"),
    "denials": ("NEREID_THROTTLE_DENIALS", "20/minute"),
}


def throttles(environment: Mapping[str, str]) -> dict[str, str]:
    """The limits by name, as `limits` writes them; one that is `off` is left out.

    Raises:
        ImproperlyConfigured: a limit cannot be read.
    """
    found = {}
    for name, (variable, default) in DEFAULTS.items():
        said = environment.get(variable) or default
        if said == "off":
            continue
        try:
            parse(said)
        except ValueError:
            raise ImproperlyConfigured(
                f"{variable}={said}: a limit looks like 600/minute, or is off"
            ) from None
        found[name] = said
    return found


def store(environment: Mapping[str, str]) -> str:
    """Where all the processes count together: `NEREID_THROTTLE_STORE`, else a Redis-like broker.

    With another broker, or none, each process counts for itself.
    """
    said = environment.get("NEREID_THROTTLE_STORE")
    broker = environment.get("CELERY_BROKER_URL", "")
    return said or (broker if broker.startswith(("redis://", "rediss://")) else "memory://")


def trusted_proxies(environment: Mapping[str, str]) -> int:
    """How many proxies in front of us add the caller's address to X-Forwarded-For.

    Raises:
        ImproperlyConfigured: it is no count.
    """
    said = environment.get("NEREID_TRUSTED_PROXIES") or "0"
    if not said.isdecimal():
        raise ImproperlyConfigured(f"NEREID_TRUSTED_PROXIES={said}: how many, as a number")
    return int(said)
