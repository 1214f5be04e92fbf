"""`ports.proposals.Searcher` by Optuna: a tree-structured Parzen estimator with constraints.

Its study lives as long as one question: it is told all that was measured each time, so nothing of
it has to be kept, and any worker can go on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from control_plane.domain.tuning.pareto import score
from control_plane.domain.tuning.request import Objective, TuneRequest
from control_plane.domain.tuning.searching import Place
from control_plane.domain.tuning.space import Space
from control_plane.domain.tuning.study import KEPT_UP, Point

ASKED = 16
"""Places of one question; many of them are the same."""

_LOAD = "load"


class OptunaSearcher:
    """Asks Optuna's TPE, which has no prior idea of the machine: it doubts what the model holds."""

    def propose(
        self, request: TuneRequest, space: Space, points: Sequence[Point]
    ) -> Sequence[Place]:
        # Imported when it is needed: half a second that no web request is to pay.
        import optuna

        axes = {**space.axes(), _LOAD: request.loads}
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=len(points), n_startup_trials=4)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        spread: dict[str, Any] = {
            name: optuna.distributions.IntDistribution(0, len(values) - 1)
            for name, values in axes.items()
            if len(values) > 1
        }
        for point in points:
            known = _indices(space, axes, point)
            if known is not None:
                trial = optuna.trial.create_trial(
                    params={name: known[name] for name in spread},
                    distributions=spread,
                    value=score(request, point),
                    constraints={"limit": _over(request, point)},
                )
                study.add_trial(trial)
        asked = [study.ask(spread).params for _ in range(ASKED)] if spread else [{}]
        return list(dict.fromkeys(_place(space, axes, params) for params in asked))


def _over(request: TuneRequest, point: Point) -> float:
    """How far a point is above the limit, in logarithms; at most 0 where it is kept."""
    if request.objective is Objective.LATENCY:
        wanted = KEPT_UP * request.rate * request.measured.batch
        return math.log(wanted / max(point.throughput, 1e-9))
    if request.latency_limit is None:
        return 0.0
    return math.log(max(point.latency_us, 1e-9) / request.latency_limit)


def _indices(
    space: Space, axes: Mapping[str, Sequence[Any]], point: Point
) -> dict[str, int] | None:
    """Where a point lies on every axis; None: beside them, as the present configuration may."""
    one = point.configuration
    values = {
        "max_batch_size": one.max_batch_size,
        "queue_delay_us": one.queue_delay_us,
        "preferred": bool(one.preferred),
        "instances": one.instances,
        "threads": one.threads,
        "accelerator": one.accelerator,
        _LOAD: point.load,
    }
    if any(values[name] not in axis for name, axis in axes.items()):
        return None
    return {name: list(axis).index(values[name]) for name, axis in axes.items()}


def _place(space: Space, axes: Mapping[str, Sequence[Any]], params: Mapping[str, int]) -> Place:
    chosen = {name: axis[params.get(name, 0)] for name, axis in axes.items()}
    load = chosen.pop(_LOAD)
    return space.made(chosen), load
