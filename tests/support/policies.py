"""Policy documents for tests: any that a person may write, as a strategy."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from control_plane.domain.routing.policy import SLOTS

NAMES = ("stable", "candidate", "third", "fourth")

_texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
# What a form's field holds: one line, no spaces at its ends.
_lines = _texts.filter(str.isprintable).map(str.strip).filter(bool)
_durations = st.sampled_from(["250ms", "1.5s", "10s", "90s", "10m", "1h"])
_header_names = st.sampled_from(["x-user-id", "X-Tenant-Name", "x-request-class", "x-nereid-lane"])
_parameter_names = _texts.filter(bool).map(lambda text: f"p{text}")
_keys = _header_names.map("header:{}".format) | _parameter_names.map("parameter:{}".format)
_counts = st.integers(1, 1_000_000)
_millionths = st.integers(0, 10**9)
_numbers = _millionths.map(lambda n: n / 10**6)


def _object(required: dict[str, Any] | None = None, **optional: Any) -> Any:
    return st.fixed_dictionaries(required or {}, optional=optional)


_bounds = _object(
    attempts=_counts,
    failures=_counts,
    until=st.sampled_from(["2026-11-24T13:00:00Z", "2027-01-01T00:00:00.250+02:00"]),
).filter(bool)
_granted = st.builds(lambda bounds, grant: bounds | grant, _bounds, _object(grant=_lines))

_tests = _object(
    **{
        "equals": _texts,
        "in": st.lists(_texts | st.integers(0, 99) | st.booleans(), min_size=1, max_size=3),
        "prefix": _texts,
    }
).filter(bool)

_whens = st.dictionaries(_keys, _tests, min_size=1, max_size=3).filter(
    lambda when: len({key.lower() for key in when}) == len(when)
)

_breakers = st.none() | _object(
    consecutive_failures=st.integers(1, 99),
    failure_rate=st.sampled_from([0, 0.0125, 0.5, 1]),
    min_requests=_counts,
    window=_durations,
    open=st.sampled_from(["10ms", "1s", "30s"]),
    max_open=st.sampled_from(["30s", "1h"]),
    latency=_durations,
)

_rescues = st.none() | _object(
    enabled=st.booleans(), budget_percent=st.sampled_from([0, 12.5, 100]), floor=st.integers(0, 9)
)

_objectives = st.fixed_dictionaries(
    # Divided last: a sum of two decimals may need more places than either.
    {"alpha": _millionths.map(lambda n: (n + 500_000) / 10**6)},
    optional={"beta": _numbers, "gamma": _numbers, "delta": _numbers, "explore": st.just(0.02)},
)


@st.composite
def splits(draw: st.DrawFn, count: int) -> list[int]:
    """So many weights in parts per 10,000, together all of them."""
    cuts = draw(st.lists(st.integers(0, SLOTS), min_size=count - 1, max_size=count - 1))
    return [b - a for a, b in pairwise([0, *sorted(cuts), SLOTS])]


@st.composite
def documents(draw: st.DrawFn, arms: int = len(NAMES), *, grants: bool = False) -> dict[str, Any]:
    """A valid policy document over versions 1 to `arms` of `digits`.

    With `grants` its allowances may have words of their own.
    """
    count = draw(st.integers(1, arms))
    names = NAMES[:count]
    primary = draw(st.integers(0, count - 1))
    adaptive = draw(st.booleans())
    document: dict[str, Any] = {
        "arms": [
            draw(_arm(names, i, i == primary, weight / 100, _granted if grants else _bounds))
            for i, weight in enumerate(draw(splits(count)))
        ]
    }
    if adaptive:
        document |= {"mode": "adaptive", "objective": draw(_objectives)}
    others = [name for i, name in enumerate(names) if i != primary]
    rule = _object({"when": _whens, "arm": st.sampled_from(names)})
    shadow = _object({"percent": st.sampled_from([0, 0.01, 20, 100])}, max_in_flight=_small)
    shadowed = draw(st.lists(st.sampled_from(others), unique=True)) if others else []
    parts = _object(
        rules=st.lists(rule, max_size=3),
        shadow=st.tuples(*(shadow.map(lambda s, a=arm: {**s, "arm": a}) for arm in shadowed)).map(
            list
        ),
        confidence=st.none()
        | _object(
            {"output": st.just("logits")}, scores=st.sampled_from(["probabilities", "logits"])
        ),
        breaker=_breakers,
        rescue=_rescues,
        slow_start=st.none()
        | _object(window=_durations, aggression=st.sampled_from([0.5, 1, 1.25])),
        sequences=_object(on_change=st.sampled_from(["finish", "cut"]), idle=_durations),
        **({} if adaptive else {"sticky": _stickies}),
    )
    return document | draw(parts)


_small = st.integers(1, 99)
_stickies = st.none() | _object({"key": _keys | st.just("sequence")}, salt=_texts)


@st.composite
def _arm(
    draw: st.DrawFn,
    names: tuple[str, ...],
    i: int,
    primary: bool,
    weight: float,
    allowances: Any,
) -> dict[str, Any]:
    others = [name for name in names if name != names[i]]
    overflow = st.none() | st.sampled_from(others) if others else st.none()
    optional = {
        "cost": _numbers,
        "accuracy": st.sampled_from([0, 0.981, 1]),
        "capacity": _counts,
        "max_in_flight": _counts,
        "timeout": _durations,
        "overrides": st.sampled_from(
            [
                {"metric_tags": {"lane": "a\n ü"}},
                {"model_warmup": None, "dynamic_batching": {"max_queue_delay_microseconds": 7}},
            ]
        ),
        "overflow": overflow,
    }
    if not primary:
        optional["allowance"] = allowances
    return {
        "name": names[i],
        "model": "digits",
        "version": i + 1,
        "weight": weight,
        "primary": primary,
        **draw(st.fixed_dictionaries({}, optional=optional)),
    }
