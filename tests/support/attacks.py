"""Names that mean harm, wherever something takes a name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import quote

TEXTS = (
    "..",
    "../../etc/passwd",
    "..\\..\\windows",
    "a/b",
    "/etc/passwd",
    "C:evil",
    "nul\0byte",
    "line\r\nSet-Cookie: a=b",
    "line\nx-injected: 1",
    "tab\there",
    "\x1b[2J",
    "\x7f",
    " spaced ",
    "--help",
    "-rf",
    "$(touch /tmp/x)",
    "`id`",
    "; rm -rf /",
    "a;b",
    "{{7*7}}",
    "{% include '/etc/passwd' %}",
    "${7*7}",
    "%s%n%x",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' OR '1'='1",
    "a'; DROP TABLE audit_auditevent; --",
    "__proto__",
    "Constructor",
    "__class__",
    "digits\u202egnp",
    "\u0434igits",  # a Cyrillic letter that looks like ours
    "di\u200bgits",
    "\uff44igits",
    "digits\u0301",
    "\U0001f4a9",
    "digits.v1.234270",
    "-1000000000",
    "*",
    "?x=1",
    "#x",
    "%2e%2e%2f",
    "http://169.254.169.254/latest/meta-data/",
    "x" * 64,
    "x" * 3000,
)
"""None is a public name, whatever it looks like."""

BYTES = ("%ff", "%c0%ae%c0%ae", "%ed%a0%80", "%f4%90%80%80")
"""As they stand in an address: no UTF-8, overlong, a lone surrogate, beyond Unicode."""


def in_addresses() -> list[str]:
    """All of them, as one part of an address."""
    return [*(quote(text, safe="") for text in TEXTS), *BYTES, "%252e%252e", "a%2fb"]


def some(all_of_them: Sequence[str], place: int, count: int) -> Iterator[str]:
    """A few of them, so that neighbouring places together meet all."""
    for i in range(count):
        yield all_of_them[(place * count + i) % len(all_of_them)]
