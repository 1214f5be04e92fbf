"""PromQL in a template: which placeholders it has, and what stands for them in a run.

A template asks for both arms with one text, so what tells them apart are placeholders. Their values
are names that Nereid gave (letters, digits, `.`, `_`, `-`), which no quoting can be broken with.
Where Prometheus is, a template cannot say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from control_plane.domain.routing.policy import SECOND

PLACEHOLDERS = {
    "endpoint": "the endpoint's name",
    "arm": "the physical model, as the label `arm` of Nereid's own metrics has it",
    "model": "the arm's model or pipeline",
    "version": "the arm's version or revision",
    "window": "how long a block is, such as 60s",
}
OF_ARMS = frozenset({"arm", "model", "version"})
"""Those that differ between the arms."""

_PLACE = re.compile(r"\{\{\s*([a-z_]*)\s*\}\}")
_PHYSICAL = re.compile(r"(?P<model>[^.]+)\.v(?P<version>[0-9]+)\..+")


@dataclass(frozen=True)
class Asked:
    """Of whom a query asks: an arm of an endpoint, and blocks of `block` microseconds."""

    endpoint: str
    arm: str
    block: int


def placeholders(query: str) -> set[str]:
    """The names in double braces.

    >>> sorted(placeholders('sum(orders_total{arm="{{arm}}", shop="{{ endpoint }}"})'))
    ['arm', 'endpoint']
    """
    return set(_PLACE.findall(query))


def query_problem(query: str, *, compared: bool) -> str:
    """Why a query cannot be asked, in words; empty when it can."""
    found = placeholders(query)
    if unknown := sorted(found - PLACEHOLDERS.keys()):
        known = ", ".join(f"{{{{{name}}}}}" for name in PLACEHOLDERS)
        return f"there is no {{{{{unknown[0]}}}}}; a query may have {known}"
    if compared and not found & OF_ARMS:
        return (
            "it asks the same of both arms, so they could never differ: put {{arm}}, or {{model}} "
            "and {{version}}, where the arm stands"
        )
    return ""


def filled(query: str, asked: Asked) -> str:
    """The query as it is asked of one arm.

    >>> filled('x{arm="{{arm}}"}[{{window}}]', Asked("digits", "digits.v2.bb2a8c", 60_000_000))
    'x{arm="digits.v2.bb2a8c"}[60s]'
    >>> filled("{{model}}/{{version}}", Asked("digits", "digits.v2.bb2a8c", 60_000_000))
    'digits/2'
    """
    parts = _PHYSICAL.fullmatch(asked.arm)
    values = {
        "endpoint": asked.endpoint,
        "arm": asked.arm,
        "model": parts["model"] if parts else "",
        "version": parts["version"] if parts else "",
        "window": f"{max(1, round(asked.block / SECOND))}s",
    }
    return _PLACE.sub(lambda place: values[place[1]], query)
