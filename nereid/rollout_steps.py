"""Steps of a rollout, as people type them, to the words of its document.

    5                   setWeight 5 %
    analysis            by the template `default`
    analysis:mine,p99   by these templates
    pause               until somebody says to go on
    pause:60s           for a minute
    approval            until somebody approves
    shadow:20           copies of 20 % of the requests
    {"setRule": …}      anything, as JSON

Only what cannot be read is refused here; the rest is the server's to say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from nereid.policy import PolicySyntaxError

STRATEGIES = {
    "canary": "canary",
    "bluegreen": "blueGreen",
    "progressive": "progressive",
    "shadowfirst": "shadowFirst",
}
STEPPED = frozenset({"canary", "shadowFirst"})
"""Strategies with steps of one's own."""

_PERCENT = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]{1,2})?)%?")


def strategy_name(text: str) -> str:
    """The strategy's word, however its letters are cased: ``blue-green`` is ``blueGreen``.

    Raises:
        PolicySyntaxError: there is no such strategy.
    """
    found = STRATEGIES.get(text.lower().replace("-", "").replace("_", ""))
    if found is None:
        raise PolicySyntaxError(f"{text!r}: a strategy is {', '.join(STRATEGIES.values())}")
    return found


def parse_steps(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Every step of them.

    Raises:
        PolicySyntaxError: one cannot be read.
    """
    return [parse_step(text) for text in texts]


def parse_step(text: str) -> dict[str, Any]:
    """One step.

    >>> parse_step("25"), parse_step("pause:60s")
    ({'setWeight': 25}, {'pause': {'duration': '60s'}})

    Raises:
        PolicySyntaxError: it cannot be read.
    """
    if text.lstrip().startswith("{"):
        return _json(text)
    if match := _PERCENT.fullmatch(text):
        return {"setWeight": _number(match["number"])}
    word, colon, rest = text.partition(":")
    if word == "approval" and not colon:
        return {"approval": {}}
    if word == "pause" and (rest or not colon):
        return {"pause": {"duration": rest} if rest else {}}
    if word == "analysis" and (rest or not colon):
        return {"analysis": {"templates": rest.split(",")} if rest else {}}
    if word == "shadow" and (match := _PERCENT.fullmatch(rest)):
        return {"setShadow": _number(match["number"])}
    raise PolicySyntaxError(
        f"cannot read {text!r}: a step is a percent, analysis, analysis:TEMPLATE, pause, "
        "pause:60s, approval, shadow:PERCENT, or JSON"
    )


def _json(text: str) -> dict[str, Any]:
    try:
        step = json.loads(text)
    except ValueError as error:
        raise PolicySyntaxError(f"the step {text!r} is not JSON: {error}") from error
    assert isinstance(step, Mapping)  # noqa: S101 - it begins with a brace
    return dict(step)


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number
