"""How long requests wait: the queueing formulas that the performance model is made of.

Rates are requests per microsecond, times microseconds.
"""

from __future__ import annotations

from control_plane.domain.tuning.service_time import ServiceTime

NEARLY_FULL = 0.98
"""The utilisation from which on a queue counts as growing without end."""

_STEEP = 8
"""The power with which waits grow above that: finite, so that one instability is worse than
another and whoever searches knows where to go."""


def erlang_c(servers: int, offered: float) -> float:
    """The probability that an arrival waits in M/M/n: Erlang's C formula.

    C(n, A) = B / (1 - rho (1 - B)), with rho = A / n, and Erlang's B by its recursion
    B(0) = 1, B(k) = A B(k-1) / (k + A B(k-1)).

    Source: A. K. Erlang (1917); Kleinrock, Queueing Systems I, 3.5.

    >>> round(erlang_c(2, 1.0), 4)
    0.3333

    Args:
        offered: A = rate times service time, in Erlang; at or above `servers` everybody waits.
    """
    if offered >= servers:
        return 1.0
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = offered * blocked / (k + offered * blocked)
    return blocked / (1 - offered / servers * (1 - blocked))


def mean_wait(rate: float, service: float, servers: int = 1, variation: float = 0.0) -> float:
    """The mean time in the queue of M/G/n: Allen and Cunneen's approximation, exact for M/G/1.

    W = C(n, A) / (n / s - rate) (1 + variation) / 2; for one server that is Pollaczek and
    Khinchine's, and with `variation` 0 (every service takes as long) M/D/1.

    Source: A. O. Allen, Probability, Statistics and Queueing Theory, 2nd ed., 5.3.

    >>> mean_wait(0.5, 1.0)  # M/D/1 at rho 0.5: rho / (2 (1 - rho)) services
    0.5

    Args:
        variation: the squared coefficient of variation of the service time; 1: exponential.
    """
    load = rate * service / servers
    held = min(load, NEARLY_FULL)
    free = servers / service * (1 - held)
    wait = erlang_c(servers, held * servers) / free * (1 + variation) / 2
    return wait * max(1.0, load / NEARLY_FULL) ** _STEEP


def batch_latency(rate: float, service: ServiceTime) -> float:
    """The mean latency, wait and execution, of one server that takes all that waits as a batch.

    For Poisson arrivals and s(b) = t0 + alpha b the smaller of two bounds:
    f0 = (alpha + t0) / (2 (1 - l alpha)) (1 + 2 l t0 + (1 - l t0) / (1 + l alpha)),
    f1 = 3/2 t0 / (1 - l alpha) + alpha/2 (l alpha + 2) / (1 - l^2 alpha^2),
    the first near the truth with little traffic, the second with much.

    Source: Y. Inoue (2021), Queueing analysis of GPU-based inference servers with dynamic
    batching: a closed-form characterization, Performance Evaluation 147, theorem 2.

    >>> batch_latency(0.0, ServiceTime(100.0, 10.0))  # nobody else: one execution of one row
    110.0
    """
    alpha, fixed = service.row_us, service.fixed_us
    load = rate * alpha
    held = min(load, NEARLY_FULL)
    eff = held / alpha if alpha > 0 else rate
    low = (alpha + fixed) / (2 * (1 - held))
    low *= 1 + 2 * eff * fixed + (1 - eff * fixed) / (1 + held)
    high = 1.5 * fixed / (1 - held) + alpha / 2 * (held + 2) / (1 - held**2)
    # Below half the fixed time's load the second bound is no bound of a single row's execution.
    latency = max(min(low, high), service.of(1))
    return latency * max(1.0, load / NEARLY_FULL) ** _STEEP


def bounded_batch_latency(rate: float, service: ServiceTime, most: int) -> float:
    """As `batch_latency`, where a batch has at most `most` rows.

    What waits beyond a full batch waits as in D/1 with whole batches for customers, which come as
    Erlang's: the sum of `most` exponential times, whose squared coefficient of variation is
    1 / most, takes Allen and Cunneen's wait down to that part of M/D/1's. It is added as far as
    batches would be that large: without a bound they have b = l t0 / (1 - l alpha) rows, since
    b rows come while b are executed. Within 25 % of a simulation below a utilisation of 0.9.
    """
    full = service.of(most)
    if most == 1:
        return mean_wait(rate, full) + full
    gap = 1 - min(rate * service.row_us, NEARLY_FULL)
    filled = min(1.0, rate * service.fixed_us / gap / most)
    return batch_latency(rate, service) + filled * mean_wait(rate / most, full) / most
