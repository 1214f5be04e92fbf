"""Which headers reach the router: Triton forwards only those that its pattern takes in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

FORWARDED = r"x-(nereid|tenant|user|request)-.*"

NEVER_FORWARDED = ("authorization", "proxy-authorization", "cookie", "set-cookie")

SETTING = "NEREID_FORWARD_HEADERS"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}", re.ASCII)


@dataclass(frozen=True)
class ForwardedHeaders:
    """What the operator lets through beside our own: regular expressions on whole names."""

    additions: tuple[str, ...] = ()

    @classmethod
    def of(cls, setting: str) -> ForwardedHeaders:
        """From the setting's text, comma-separated.

        Raises:
            ValueError: one is no regular expression.
        """
        additions = tuple(part.strip() for part in setting.split(",") if part.strip())
        for addition in additions:
            try:
                _pattern(addition)
            except re.error as error:
                raise ValueError(f"{SETTING}: {addition!r}: {error}") from error
        return cls(additions)

    def refusal(self, name: str) -> str:
        """Why a policy cannot look at this header, and what to do; empty when it can."""
        if not _TOKEN.fullmatch(name):
            return f"{name[:80]!r} is not the name of a header"
        if name.lower() in NEVER_FORWARDED:
            return (
                f"the header {name!r} is never forwarded to models, whatever {SETTING} says: "
                "send what identifies the caller in a header such as x-user-id"
            )
        if any(_pattern(p).fullmatch(name) for p in (FORWARDED, *self.additions)):
            return ""
        return (
            f"the header {name!r} does not reach the router: use one that begins with x-nereid-, "
            f"x-tenant-, x-user- or x-request-, or add it to {SETTING} and start the stack again"
        )


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)
