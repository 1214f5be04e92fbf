"""How much traffic a candidate may have at a moment: what the strategy `progressive` goes by.

The router stops a candidate that has spent its budget of failures (its allowance), whatever this
says. This keeps a rollout from running into that wall: the weight is such that the failures that
may come before anybody can act are a part of what is left, should the candidate be as bad as the
evidence still lets one fear.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

PART_AT_RISK = 0.25
"""The part of the budget that is left which may be lost before the next weight is in force."""

MAX_STEP = 2.0
"""A weight at most doubles at once: caches, batches and autoscalers follow that."""

_HALVINGS = 60


@dataclass(frozen=True)
class Pace:
    """The weight (a share of 1) that is allowed now, and why it is not more."""

    weight: float
    reason: str


def failure_bound(attempts: int, failures: int, confidence: float) -> float:
    """The failure rate that a candidate does not exceed, with this confidence, at any time.

    The upper end of Robbins' sequence for a rate: with a uniform prior, the mixture of likelihoods
    over the likelihood of p, B(f + 1, n - f + 1) / (p^f (1 - p)^(n - f)), reaches 1 / (1 -
    confidence) ever for the true p with a probability of at most 1 - confidence.

    Source: H. Robbins, "Statistical methods related to the law of the iterated logarithm", Ann.
    Math. Statist. 41 (1970); S. Howard et al., "Time-uniform, nonparametric, nonasymptotic
    confidence sequences", Ann. Statist. 49 (2021), section 3.2.

    Worked example: no failure in 100 attempts, confidence 0.95: 1 - (0.05 / 101)^(1/100) = 0.0733.
    """
    if attempts <= 0:
        return 1.0
    f, rest = failures, attempts - failures
    mixed = math.lgamma(f + 1) + math.lgamma(rest + 1) - math.lgamma(attempts + 2)
    enough = -math.log(1 - confidence)
    low, high = failures / attempts, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        likelihood = (f * math.log(middle) if f else 0.0) + (
            rest * math.log1p(-middle) if rest else 0.0
        )
        low, high = (low, middle) if mixed - likelihood >= enough else (middle, high)
    return high


def allowed_weight(
    *,
    weight: float,
    attempts: int,
    failures: int,
    budget_left: int,
    rate: float,
    reaction: float,
    confidence: float = 0.95,
) -> Pace:
    """The weight that is allowed now: w = c B / (r t u), at most twice the present one, at most 1.

    B are the failures left, c is `PART_AT_RISK`, r the endpoint's requests in a second, t the
    seconds until a new weight can be in force, and u the failure rate that the candidate does not
    exceed (`failure_bound`): r t w u failures may come in that time, which is c B.

    Worked example: 20 failures left, 200 requests in a second, 5 s, 1,000 attempts without a
    failure: u = 0.00986, w = 0.25 * 20 / (200 * 5 * 0.00986) = 0.507.

    Args:
        weight: the present one, 0 before the first.
    """
    if budget_left <= 0:
        return Pace(0.0, "the harm budget is spent")
    bound = failure_bound(attempts, failures, confidence)
    safe = PART_AT_RISK * budget_left / max(rate * reaction * bound, 1e-9)
    if weight and safe > MAX_STEP * weight < 1:
        return Pace(MAX_STEP * weight, f"at most {MAX_STEP:g} times the weight before")
    if safe >= 1:
        return Pace(1.0, f"the candidate fails at most {100 * bound:.3g} %")
    reason = (
        f"the candidate may fail up to {100 * bound:.3g} % of its requests as far as is known; at "
        f"{rate:.3g} requests in a second more weight could cost over "
        f"{PART_AT_RISK * budget_left:.3g} of the {budget_left} failures left within {reaction:g} s"
    )
    return Pace(safe, reason)
