"""A policy document in words, for people at a terminal.

Written for documents as the server gives them, where every part that is in force stands; what a
part does not say is left out of its words, so that any server's documents can be shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Said:
    """One part of a policy: its name, what it says, and whether that is nothing."""

    label: str
    text: str
    off: bool = False


def policy_in_words(document: Document) -> list[Said]:
    """Everything but the split, part by part; parts that the document does not have are left
    out, and arms without limits."""
    said = []
    for part, (label, words) in _PARTS.items():
        if part not in document:
            continue
        text = words(document[part], document) if document[part] else ""
        said.append(Said(label, text or "off", off=not text))
    limits = ((str(arm.get("name")), _limits(arm)) for arm in document.get("arms") or ())
    return said + [Said(f"limits of {name}", text) for name, text in limits if text]


def _mode(mode: Any, document: Document) -> str:
    objective = document.get("objective") or {}
    weighed = [
        f"{name} {objective[key]:g}"
        for key, name in (
            ("alpha", "latency"),
            ("beta", "cost"),
            ("gamma", "load"),
            ("delta", "lost accuracy"),
        )
        if objective.get(key)
    ]
    explore = f", exploring with {_percent(objective.get('explore'))}" if weighed else ""
    return f"{mode}: {' + '.join(weighed)}{explore}" if weighed else str(mode)


def _sticky(sticky: Any, _: Document) -> str:
    salt = f", salt {sticky['salt']!r}" if sticky.get("salt") is not None else ""
    return f"by {_look(str(sticky.get('key')))}{salt}"


def _rules(rules: Any, _: Document) -> str:
    return "\n".join(f"{_when(rule.get('when') or {})} → {rule.get('arm')}" for rule in rules)


def _when(when: Document) -> str:
    return " and ".join(
        f"{_look(key)} {_TESTS.get(test, test)} {_values(values)}"
        for key, tests in when.items()
        for test, values in tests.items()
    )


_TESTS = {"equals": "is", "in": "is one of", "prefix": "begins with"}


def _values(values: Any) -> str:
    return ", ".join(map(str, values)) if isinstance(values, list) else repr(values)


def _look(key: str) -> str:
    source, _, name = key.partition(":")
    return f"{source} {name}".strip()


def _shadow(shadows: Any, _: Document) -> str:
    return "\n".join(
        f"{shadow.get('percent')} % copied to {shadow.get('arm')}"
        + (f", comparing {shadow['compare']}" if shadow.get("compare") else "")
        + (f", at most {shadow['max_in_flight']} in flight" if shadow.get("max_in_flight") else "")
        for shadow in shadows
    )


def _rescue(rescue: Any, _: Document) -> str:
    if not rescue.get("enabled", True):
        return ""
    budget = rescue.get("budget_percent", 20)
    return f"on, {budget} % of what is in flight, always {rescue.get('floor', 3)}"


def _confidence(confidence: Any, _: Document) -> str:
    return f"of {confidence.get('output')}, {confidence.get('scores', 'probabilities')}"


def _breaker(breaker: Any, _: Document) -> str:
    tests = []
    if breaker.get("consecutive_failures"):
        tests.append(f"{breaker['consecutive_failures']} in a row")
    if breaker.get("failure_rate"):
        tests.append(
            f"{_percent(breaker['failure_rate'])} of at least {breaker.get('min_requests')} "
            f"in {breaker.get('window')}"
        )
    slow = f"; slower than {breaker['latency']} is a failure" if breaker.get("latency") else ""
    closed = f"open for {breaker.get('open')} to {breaker.get('max_open')}"
    return f"{' or '.join(tests)}; {closed}{slow}"


def _slow_start(start: Any, _: Document) -> str:
    return f"over {start.get('window')}, aggression {start.get('aggression', 1):g}"


def _sequences(sequences: Any, _: Document) -> str:
    word = {"finish": "finish on their arm", "cut": "are cut"}.get(sequences.get("on_change"))
    return f"{word or sequences.get('on_change')} on a change, idle after {sequences.get('idle')}"


def _limits(arm: Document) -> str:
    said: list[str] = []
    if arm.get("max_in_flight"):
        said.append(f"at most {arm['max_in_flight']} in flight")
    if "overflow" in arm:
        said.append(f"more to {arm['overflow']}" if arm["overflow"] else "more is refused")
    said += _given(arm, ("timeout", "capacity", "accuracy", "cost"))
    if allowance := arm.get("allowance"):
        said.append(f"allowance {', '.join(_given(allowance, allowance))}")
    return ", ".join(said)


def _given(document: Document, names: Iterable[str]) -> list[str]:
    return [f"{name} {document[name]}" for name in names if document.get(name)]


def _percent(fraction: Any) -> str:
    return f"{100 * float(fraction or 0):.4g} %"


_PARTS: Mapping[str, tuple[str, Callable[[Any, Document], str]]] = {
    "mode": ("mode", _mode),
    "sticky": ("sticky", _sticky),
    "rules": ("rules", _rules),
    "shadow": ("shadow", _shadow),
    "confidence": ("confidence", _confidence),
    "rescue": ("rescue", _rescue),
    "breaker": ("breaker", _breaker),
    "slow_start": ("slow start", _slow_start),
    "sequences": ("sequences", _sequences),
}
