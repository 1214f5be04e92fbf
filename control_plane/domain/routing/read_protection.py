"""What a policy document says about trouble and measure: breaker, slow start, rescue, objective."""

from __future__ import annotations

from control_plane.domain.routing.fields import Fields
from control_plane.domain.routing.policy import (
    MILLISECOND,
    SECOND,
    SLOTS,
    Breaker,
    Objective,
    Rescue,
    Sequences,
    SlowStart,
)

MAX_COUNT = 1_000_000
MIN_EXPLORE_PARTS = 10
"""A thousandth: where nothing explores, an arm that was slow once is never tried again."""

HOUR = 3600 * SECOND
DAY = 24 * HOUR


def read_breaker(document: Fields) -> Breaker | None:
    """The breaker: on where it is left out, off where it is null."""
    if not document.has("breaker"):
        return Breaker()
    raw = document.get("breaker")
    if raw is None:
        return None
    known = {
        "consecutive_failures",
        "failure_rate",
        "min_requests",
        "window",
        "open",
        "max_open",
        "latency",
    }
    fields = Fields(raw, f"{document.where}/breaker", document.found, "breaker", known)
    given = Breaker()
    opened = fields.duration("open", 10 * MILLISECOND, DAY) or given.open
    longest = fields.duration("max_open", 10 * MILLISECOND, DAY) or max(given.max_open, opened)
    breaker = Breaker(
        consecutive_failures=fields.whole(
            "consecutive_failures", given.consecutive_failures, 0, MAX_COUNT
        ),
        failure_parts=fields.parts("failure_rate", given.failure_parts),
        min_requests=fields.whole("min_requests", given.min_requests, 1, MAX_COUNT),
        window=fields.duration("window", 100 * MILLISECOND, HOUR) or given.window,
        open=opened,
        max_open=longest,
        latency=fields.duration("latency", 1, HOUR),
    )
    if breaker.max_open < breaker.open:
        fields.note("max_open", "range", "max_open is shorter than open: make it at least that")
    if not breaker.consecutive_failures and not breaker.failure_parts:
        detail = (
            "with consecutive_failures 0 and failure_rate 0 it never opens: write "
            '"breaker": null to have none'
        )
        fields.note("", "required", detail)
    return breaker


def read_slow_start(document: Fields) -> SlowStart | None:
    """The slow start, or None."""
    if document.get("slow_start") is None:
        return None
    where = f"{document.where}/slow_start"
    raw, known = document.get("slow_start"), {"window", "aggression"}
    fields = Fields(raw, where, document.found, "slow_start", known)
    given = SlowStart()
    return SlowStart(
        window=fields.duration("window", 10 * MILLISECOND, DAY) or given.window,
        aggression=fields.number("aggression", 0.01, 100) or given.aggression,
    )


def read_rescue(document: Fields) -> Rescue:
    """The rescue: on where it is left out, off where it is null."""
    if not document.has("rescue"):
        return Rescue()
    raw = document.get("rescue")
    if raw is None:
        return Rescue(enabled=False)
    known = {"enabled", "budget_percent", "floor"}
    fields = Fields(raw, f"{document.where}/rescue", document.found, "rescue", known)
    given = Rescue()
    return Rescue(
        enabled=fields.flag("enabled", given.enabled),
        budget_parts=fields.percent("budget_percent", "the budget", given.budget_parts),
        floor=fields.whole("floor", given.floor, 0, MAX_COUNT),
    )


def read_objective(document: Fields, least_explored: int = 0) -> Objective | None:
    """The objective of the adaptive mode; None in the weighted mode.

    Args:
        least_explored: parts per 10,000 that `explore` is at least.
    """
    mode = document.get("mode")
    raw = document.get("objective")
    if mode not in (None, "weighted", "adaptive"):
        document.note("mode", "invalid", "the mode is 'weighted' or 'adaptive'")
        return None
    if mode != "adaptive":
        if raw is not None:
            detail = "an objective is for the mode 'adaptive': set that mode, or leave this out"
            document.note("objective", "mode", detail)
        return None
    if raw is None:
        detail = (
            "the mode 'adaptive' needs what to weigh, such as "
            '{"alpha": 1, "beta": 0, "gamma": 1, "delta": 0, "explore": 0.02}'
        )
        document.note("objective", "required", detail)
        return None
    known = {"alpha", "beta", "gamma", "delta", "explore"}
    fields = Fields(raw, f"{document.where}/objective", document.found, "objective", known)
    before = len(fields.found)
    alpha, beta, gamma, delta = weights = [
        fields.number(name) or 0.0 for name in ("alpha", "beta", "gamma", "delta")
    ]
    explore = fields.parts("explore", Objective.explore_parts)
    if explore < least_explored:
        detail = (
            f"{explore / SLOTS:g} is less than {least_explored / SLOTS:g}: an arm that was slow "
            f"once would never be tried again; left out, it is {Objective.explore_parts / SLOTS:g}"
        )
        fields.note("explore", "range", detail)
    objective = Objective(alpha, beta, gamma, delta, explore)
    if len(fields.found) == before and not any(weights):
        fields.note("", "required", "at least one of alpha, beta, gamma and delta is above 0")
    return objective


def read_sequences(document: Fields) -> Sequences:
    """What a change means for live sequences."""
    if document.get("sequences") is None:
        return Sequences()
    where = f"{document.where}/sequences"
    raw, known = document.get("sequences"), {"on_change", "idle"}
    fields = Fields(raw, where, document.found, "sequences", known)
    given = Sequences()
    return Sequences(
        on_change=fields.choice("on_change", given.on_change),
        idle=fields.duration("idle", 100 * MILLISECOND, DAY) or given.idle,
    )
