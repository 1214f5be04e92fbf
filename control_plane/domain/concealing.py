"""What opens a door does not stand in a log, whoever put it where it does not belong.

People paste tokens into addresses, headers and names; what complains about those would write them
down. Ours are known by how they begin, others by where they stand.
"""

from __future__ import annotations

import re

_CONCEALED = (
    # Of ours: API tokens, and what webhooks are signed with.
    (re.compile(r"\b(nrd_)[A-Za-z0-9_-]{8,}"), r"\1…"),
    (re.compile(r"\b(whsec_)[A-Za-z0-9+/=_-]{8,}"), r"\1…"),
    # What a header says after its scheme, in whatever form it is quoted.
    (re.compile(r"(?i)(\bauthorization\b['\"]?\s*[:=,]?\s*['\"]?\w+\s+)[^\s'\"]+"), r"\1…"),
    (re.compile(r"(?i)(\bbearer\s+)[A-Za-z0-9._~+/=-]{12,}"), r"\1…"),
    # The password of a URL.
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@'\"]*:)[^\s/@'\"]+(?=@)"), r"\1…"),
)


def concealed(text: str) -> str:
    """The text without the secrets that can be told by their looks.

    >>> concealed("Not Found: /api/v1/models/nrd_Zm9vYmFyYmF6cXV4/")
    'Not Found: /api/v1/models/nrd_…/'
    >>> concealed("no answer from redis://:hunter2@127.0.0.1:6379/0")
    'no answer from redis://:…@127.0.0.1:6379/0'
    """
    for pattern, shown in _CONCEALED:
        text = pattern.sub(shown, text)
    return text
