"""Labels of servers: what their nodes and people say of them, for placements to choose by."""

from __future__ import annotations

import re
from collections.abc import Mapping

from control_plane.domain.stored_json import pointer_part
from control_plane.domain.violations import Violation

KEY_RULE = "1 to 63 of a-z 0-9 . _ / -, the first and the last a letter or digit"
VALUE_RULE = "at most 63 of A-Z a-z 0-9 . _ -, the first and the last a letter or digit"
MOST = 32

BUILT_IN = ("server", "accelerator", "hardware", "lab")
"""Labels that every server has of itself: nobody sets them."""

_KEY = re.compile(r"[a-z0-9]([a-z0-9._/-]{0,61}[a-z0-9])?", re.ASCII)
_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?", re.ASCII)


def key_problem(key: object) -> str:
    """Why that is no label's name, in words; empty when it is one."""
    if isinstance(key, str) and _KEY.fullmatch(key):
        return ""
    return f"{key!r:.80}: a label's name has {KEY_RULE}"


def value_problem(value: object) -> str:
    """Why that is no label's value, in words; empty when it is one."""
    if isinstance(value, str) and _VALUE.fullmatch(value):
        return ""
    return f"{value!r:.80}: a label's value has {VALUE_RULE}"


def check_labels(labels: Mapping[str, object], where: str) -> list[Violation]:
    """What is wrong with labels that somebody wants to set."""
    found = []
    for key, value in labels.items():
        if problem := key_problem(key):
            found.append(Violation(f"{where}/{pointer_part(str(key))}", "invalid_label", problem))
        elif key in BUILT_IN:
            detail = f"every server has the label {key} of itself: it cannot be set"
            found.append(Violation(f"{where}/{key}", "built_in", detail))
        elif problem := value_problem(value):
            found.append(Violation(f"{where}/{pointer_part(key)}", "invalid_label", problem))
    if len(labels) > MOST:
        found.append(Violation(where, "too_many", f"{len(labels)} labels; at most {MOST}"))
    return found


def parse_labels(text: str) -> dict[str, str]:
    """Labels as a setting writes them.

    Raises:
        ValueError: with what is wrong.

    >>> parse_labels("zone=a, tier=gpu")
    {'zone': 'a', 'tier': 'gpu'}
    """
    labels: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"{part!r}: a label is written name=value")
        if key in labels:
            raise ValueError(f"the label {key} is named twice")
        labels[key] = value
    if found := check_labels(labels, ""):
        raise ValueError("; ".join(one.detail for one in found))
    return labels


def in_words(labels: Mapping[str, str]) -> str:
    """
    >>> in_words({"zone": "a", "tier": "gpu"})
    'tier=gpu, zone=a'
    """
    return ", ".join(f"{key}={labels[key]}" for key in sorted(labels))
