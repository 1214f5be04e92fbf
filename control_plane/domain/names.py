"""Names that people choose, and names that Nereid derives from them."""

from __future__ import annotations

import hashlib
import re

_PUBLIC = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")
TWIN = ".twin"
"""What the second physical instance of a version is called after its name."""

_PHYSICAL = re.compile(
    _PUBLIC.pattern + r"\.v[1-9][0-9]{0,8}\.[0-9a-f]{6}(?:" + re.escape(TWIN) + ")?"
)

PUBLIC_NAME_RULE = (
    "1 to 63 characters: lower-case letters, digits, '-' and '_', "
    "beginning and ending with a letter or digit"
)


def is_public_name(name: str) -> bool:
    """True when `name` may name a model, pipeline or endpoint.

    A public name holds no dot, so it can never be taken for a physical one.
    """
    return _PUBLIC.fullmatch(name) is not None


def physical_name(model: str, version: int, digest: str) -> str:
    """The Triton model name of one immutable (version, configuration) pair.

    Args:
        model: public name of the model.
        version: the version's number, from 1.
        digest: hex digest of artifact and configuration, at least 6 characters.

    >>> physical_name("digits", 3, "9f2c1a77")
    'digits.v3.9f2c1a'
    """
    return f"{model}.v{version}.{digest[:6]}"


def is_physical_name(name: str) -> bool:
    """True when `name` was made by `physical_name`, or is the twin of such a one.

    Only such models are ever unloaded and removed: a model repository may hold other
    people's models too.
    """
    return _PHYSICAL.fullmatch(name) is not None


def printable(name: str, most: int = 255) -> str:
    r"""A file's name as it can be stored and shown, where people may have named it anyhow.

    A disk takes names that are no UTF-8, which Python keeps as half surrogates; no database does.
    What is longer than `most` characters is cut, and marked so that it is no other's name.

    >>> printable("caf\udce9")
    'caf\\xe9'
    """
    raw = name.encode(errors="surrogateescape")
    text = raw.decode(errors="backslashreplace")
    if len(text) <= most:
        return text
    mark = "…" + hashlib.sha256(raw).hexdigest()[:8]
    return text[: most - len(mark)] + mark
