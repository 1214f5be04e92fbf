"""What a tune measures next, and when it has measured enough: ask and tell, nothing is measured.

1. The present configuration, which everything is held against.
2. The service time of a few batch sizes: the analytical model (`performance_model`).
3. The model's optimum.
4. What the model is unsure of: where, for all that is known, something may be better than the best
   so far. A searcher proposes, the model judges; where nothing is likely to be better the search is
   over, however much of the budget is left.
5. What is to be chosen once more: of many measurements the best is also the luckiest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from control_plane.domain.tuning.configuration import Configuration
from control_plane.domain.tuning.pareto import ALIKE, best_of, chosen
from control_plane.domain.tuning.performance_model import PerformanceModel
from control_plane.domain.tuning.posterior import Judged, Posterior
from control_plane.domain.tuning.request import Objective, TuneRequest
from control_plane.domain.tuning.service_time import fit
from control_plane.domain.tuning.space import Space
from control_plane.domain.tuning.states import TrialKind
from control_plane.domain.tuning.study import Point, Trial, points_of

Place = tuple[Configuration, float]
Propose = Callable[[Sequence[Point]], Sequence[Place]]
"""What was measured -> where to look next (`ports.proposals`)."""

WORTH = 0.05
"""The probability of being better by more than `ALIKE` from which on something is measured."""

BASELINE_LOADS = 3
CALIBRATED = 4
CONFIRMATIONS = 2
FAILURES = 3
"""In a row: then it is the server, and not the configurations."""


@dataclass(frozen=True)
class Step:
    """The trial that is worth most now, why, and what the model expects of it."""

    kind: TrialKind
    configuration: Configuration
    loads: tuple[float, ...]
    why: str
    expected: Judged | None = None


@dataclass(frozen=True)
class End:
    """Why nothing more is measured; `failed`: there is no result."""

    reason: str
    failed: bool = False


def next_step(
    request: TuneRequest,
    space: Space,
    cores: int,
    trials: Sequence[Trial],
    elapsed_us: int,
    propose: Propose,
) -> Step | End:
    """The next trial after those that were, or the end.

    Args:
        cores: of the server, that its models may use.
        propose: asked only where something is worth measuring.
    """
    if not trials:
        why = "how it is served now: what everything is held against"
        return Step(TrialKind.BASELINE, space.present, _baseline_loads(request), why)
    if trials[0].failed and not trials[0].levels:
        return End(f"how it is served now cannot be measured: {trials[0].failed}", failed=True)
    if len(trials) > FAILURES and all(_is_lost(one) for one in trials[-FAILURES:]):
        return End(f"{FAILURES} trials in a row failed: {trials[-1].failed}", failed=True)
    over = elapsed_us >= request.time
    if not any(one.kind is TrialKind.CALIBRATION for one in trials):
        return _calibration(request, space) if not over else End("its time was over")
    model = model_of(request, space, cores, trials)
    points = points_of(request, trials)
    posterior = Posterior(request, model, points)
    if over:
        return End(f"its time is over after {len(trials)} trials")
    if len(trials) >= request.trials:
        return _confirmed(request, space, trials, points) or End(
            f"its {request.trials} trials are used up"
        )
    return _searched(request, space, trials, points, posterior, propose)


def _searched(
    request: TuneRequest,
    space: Space,
    trials: Sequence[Trial],
    points: Sequence[Point],
    posterior: Posterior,
    propose: Propose,
) -> Step | End:
    places = _open_places(request, space, trials, points)
    judged = posterior.judge(places, best_of(request, points))
    seeded = any(one.kind is TrialKind.SEED for one in trials)
    if judged and not seeded:
        best = max(judged, key=lambda one: one.hoped)
        if best.configuration != space.present:
            return _step(request, TrialKind.SEED, best, judged, "the model's optimum")
    worth = [one for one in judged if one.better >= WORTH]
    if not worth:
        sure = f"nothing else is likely to be more than {ALIKE:.0%} better"
        return _confirmed(request, space, trials, points) or End(sure)
    proposed = set(propose(points))
    named = [one for one in worth if (one.configuration, one.load) in proposed]
    best = max(named or worth, key=lambda one: one.gain)
    why = f"may be better, with a probability of {best.better:.0%} by the model"
    return _step(request, TrialKind.SEARCH, best, judged, why)


def _step(
    request: TuneRequest, kind: TrialKind, best: Judged, judged: Sequence[Judged], why: str
) -> Step:
    """One load, and of the same configuration the one beside it that is worth it, too: it is
    loaded only once for both."""
    order = {load: index for index, load in enumerate(request.loads)}
    at = order[best.load]
    beside = [
        one
        for one in judged
        if one.configuration == best.configuration
        and abs(order[one.load] - at) == 1
        and one.better >= WORTH
    ]
    loads = {best.load}
    if beside:
        loads.add(max(beside, key=lambda one: one.gain).load)
    return Step(kind, best.configuration, tuple(sorted(loads)), why, best)


def _open_places(
    request: TuneRequest, space: Space, trials: Sequence[Trial], points: Sequence[Point]
) -> list[Place]:
    """What was not measured, and has not failed."""
    lost = [one for one in trials if _is_lost(one) and one.kind is not TrialKind.CALIBRATION]
    failed = {one.configuration for one in lost}
    unusable = {one.configuration.accelerator for one in lost} - {space.present.accelerator}
    known = {(one.configuration, one.load) for one in points}
    # A list of loads ends above the limit: what comes after was judged by what came before.
    for trial in trials:
        if trial.levels and trial.kind is not TrialKind.CALIBRATION:
            most = max(level.load for level in trial.levels)
            known |= {(trial.configuration, load) for load in trial.loads if load > most}
    return [
        (configuration, load)
        for configuration in space.candidates()
        if configuration not in failed and configuration.accelerator not in unusable
        for load in request.loads
        if (configuration, load) not in known
    ]


def _confirmed(
    request: TuneRequest, space: Space, trials: Sequence[Trial], points: Sequence[Point]
) -> Step | None:
    """The second measurement of what is to be chosen; None: it was, or nothing changes."""
    best = chosen(request, space.present, points)
    if best is None or best.times > 1 or best.configuration == space.present:
        return None
    done = [one for one in trials if one.kind is TrialKind.CONFIRMATION]
    if len(done) >= CONFIRMATIONS or any(_is_lost(one) for one in done):
        return None
    why = "once more what is to be chosen: the best of many is also the luckiest"
    return Step(TrialKind.CONFIRMATION, best.configuration, (best.load,), why)


def _baseline_loads(request: TuneRequest) -> tuple[float, ...]:
    """A few of the loads, the highest among them; that of one caller the calibration has."""
    loads = request.loads
    if len(loads) <= BASELINE_LOADS:
        return loads
    step = (len(loads) - 1) / BASELINE_LOADS
    return tuple(loads[round(step * k)] for k in range(1, BASELINE_LOADS + 1))


def _calibration(request: TuneRequest, space: Space) -> Step:
    """Batch sizes far apart, on what is served now with room for all of them."""
    rows = request.measured.batch
    most = max(space.largest_batch, rows) if space.max_batch_sizes else rows
    sizes = {round(rows * (most / rows) ** (k / (CALIBRATED - 1))) for k in range(CALIBRATED)}
    configuration = space.present
    if space.max_batch_sizes and space.present.max_batch_size < most:
        configuration = space.made({"max_batch_size": most})
    why = "how long an execution takes, by its rows: s(b) = a + c b"
    return Step(TrialKind.CALIBRATION, configuration, tuple(float(s) for s in sorted(sizes)), why)


def model_of(
    request: TuneRequest, space: Space, cores: int, trials: Sequence[Trial]
) -> PerformanceModel:
    """The analytical model, fitted to the calibration.

    Where that failed, to the batches that were achieved when the present configuration was
    measured, which is rougher.
    """
    calibrated = next(one for one in trials if one.kind is TrialKind.CALIBRATION)
    levels = calibrated.levels or trials[0].levels
    points = []
    for level in levels:
        found = level.measurement
        rows = level.load if calibrated.levels else found.batch or 1.0
        points.append((rows, found.parts_us["compute_infer"] + _copies(found.parts_us)))
    first = levels[0].measurement
    parts = first.parts_us
    configuration = calibrated.configuration if calibrated.levels else space.present
    return PerformanceModel(
        service=fit(points),
        overhead_us=max(1.0, parts["network"] + parts["client"] + parts["rest"]),
        cores=max(1, cores),
        threads=configuration.threads,
        rows=request.measured.batch,
        paced=request.objective is Objective.LATENCY,
    )


def _copies(parts: dict[str, float]) -> float:
    return parts["compute_input"] + parts["compute_output"]


def _is_lost(trial: Trial) -> bool:
    return bool(trial.failed) and not trial.levels
