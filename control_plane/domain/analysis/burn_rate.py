"""Alerts on how fast an error budget burns.

An objective of 99.9 % leaves a budget of 0.1 % of the requests of 30 days. A burn rate of 1 spends
it in exactly that time: it is the share of failures within a window over the share that is allowed.
An alert fires when the rate is too high over a long window *and* over one of a twelfth of it, so
that it fires for what matters and stops soon after it is over.

Source: Google, "The Site Reliability Workbook" (2018), chapter 5, "Multiwindow, multi-burn-rate
alerts", table 5-8: 2 % of the budget in an hour (14.4 times) and 5 % in six hours (6 times) page
somebody, 10 % in three days (1 time) opens a ticket; and the same 10 % within a day (3 times), as
the chapter's example has it beside those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

PERIOD = timedelta(days=30)


class Severity(StrEnum):
    """Who is told."""

    PAGE = "page"
    TICKET = "ticket"


@dataclass(frozen=True)
class Rule:
    """One alert: `budget` of the budget within `long` is too fast."""

    severity: Severity
    budget: float
    long: timedelta
    short: timedelta

    @property
    def burn_rate(self) -> float:
        """How many times too fast that is.

        Worked example: 2 % of 30 days' budget in an hour is 0.02 * 720 = 14.4.
        """
        return self.budget * (PERIOD / self.long)


RULES = (
    Rule(Severity.PAGE, 0.02, timedelta(hours=1), timedelta(minutes=5)),
    Rule(Severity.PAGE, 0.05, timedelta(hours=6), timedelta(minutes=30)),
    Rule(Severity.TICKET, 0.10, timedelta(days=1), timedelta(hours=2)),
    Rule(Severity.TICKET, 0.10, timedelta(days=3), timedelta(hours=6)),
)

WINDOWS = tuple(sorted({window for rule in RULES for window in (rule.long, rule.short)}))
"""The windows that have to be counted."""


@dataclass(frozen=True)
class Alert:
    """A rule that fires, with the burn rate of both windows."""

    rule: Rule
    long: float
    short: float

    @property
    def reason(self) -> str:
        """What it says, in words."""
        long, short = window_words(self.rule.long), window_words(self.rule.short)
        return (
            f"over the last {long} the error budget burns {self.long:.3g} times "
            f"as fast as it may, over the last {short} {self.short:.3g} times "
            f"(alert from {self.rule.burn_rate:.3g})"
        )


def burn_rate(of: int, failed: int, objective: float) -> float:
    """The burn rate of a window; 0 without requests.

    Worked example: 15 of 1,000 failed with an objective of 99.9 %: 0.015 / 0.001 = 15.
    """
    return failed / of / (1 - objective) if of else 0.0


def burning(objective: float, counted: Mapping[timedelta, tuple[int, int]]) -> tuple[Alert, ...]:
    """The alerts that fire.

    Args:
        objective: the share of requests that are to go well, above 0 and below 1.
        counted: window -> (requests, failed ones), of all `WINDOWS`.

    Raises:
        ValueError: the objective leaves no budget, or is none.
    """
    if not 0 < objective < 1:
        raise ValueError(f"{objective} is no objective: it is a share above 0 and below 1")
    found = []
    for rule in RULES:
        long, short = (burn_rate(*counted[w], objective) for w in (rule.long, rule.short))
        if min(long, short) >= rule.burn_rate:
            found.append(Alert(rule, long, short))
    return tuple(found)


def window_words(window: timedelta) -> str:
    """A window as people say it: 5 min, 6 h, 3 days."""
    minutes = round(window.total_seconds() / 60)
    if minutes < 60:
        return f"{minutes} min"
    days = minutes // (24 * 60)
    return f"{minutes // 60} h" if not days else "day" if days == 1 else f"{days} days"
