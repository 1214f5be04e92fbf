"""What a tune came to: what is chosen, held against what is there, with the evidence."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from control_plane.domain.serving.overriding import overridden
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.tuning.configuration import (
    Configuration,
    changed_words,
    overrides_for,
)
from control_plane.domain.tuning.pareto import ALIKE, best_of, chosen, front
from control_plane.domain.tuning.performance_model import PerformanceModel
from control_plane.domain.tuning.request import Objective, TuneRequest
from control_plane.domain.tuning.space import Space
from control_plane.domain.tuning.study import Point, Trial, points_of


def result_of(
    request: TuneRequest,
    space: Space,
    trials: Sequence[Trial],
    profile: ServingProfile,
    framework: str,
    model: PerformanceModel | None,
) -> dict[str, Any] | None:
    """The result as it is kept and shown; None where nothing was measured.

    Args:
        profile: how the version was served when the tune began.
        model: the analytical model, as it was calibrated.
    """
    points = points_of(request, trials)
    if not points:
        return None
    best = chosen(request, space.present, points)
    own = [one for one in points if one.configuration == space.present]
    before = best_of(request, own)
    wanted = best.configuration if best else space.present
    overrides = overrides_for(wanted, space.present, profile, framework)
    after = overridden(profile, overrides)
    return {
        "chosen": _point(best) if best else None,
        "present": _point(before) if before else None,
        "gain": _gain(request, before, best),
        "changes": [
            {"what": what, "before": old, "after": new}
            for what, old, new in changed_words(wanted, space.present)
        ],
        "overrides": overrides,
        "profile": after.to_document(),
        "diff": _diff(profile, after),
        "front": [_point(one) for one in front(points)],
        "remarks": _remarks(request, space.present, best, before),
        "measurements": sum(len(one.levels) for one in trials),
        "model": _model(model),
    }


def _point(point: Point) -> dict[str, Any]:
    return {
        "configuration": point.configuration.to_document(),
        "said": str(point.configuration),
        "load": point.load,
        "throughput": round(point.throughput, 2),
        "latency_us": round(point.latency_us, 1),
        "instances": point.cost,
        "within": point.within,
        "times": point.times,
        "trials": list(point.trials),
    }


def _gain(request: TuneRequest, before: Point | None, after: Point | None) -> float | None:
    """Percent more throughput, or less latency; None where one of them is not there."""
    if before is None or after is None:
        return None
    if request.objective is Objective.LATENCY:
        return round(100 * (1 - after.latency_us / before.latency_us), 1)
    return round(100 * (after.throughput / before.throughput - 1), 1)


def _diff(before: ServingProfile, after: ServingProfile) -> str:
    old, new = (
        json.dumps(one.to_document(), indent=2, sort_keys=True).splitlines()
        for one in (before, after)
    )
    lines = difflib.unified_diff(old, new, "as it is served", "tuned", n=2, lineterm="")
    return "\n".join(lines)


def _remarks(
    request: TuneRequest, present: Configuration, best: Point | None, before: Point | None
) -> list[str]:
    """What to know before it is applied."""
    if best is None:
        what = "keeps up with the rate" if request.rate else "is within the limit"
        return [f"nothing that was measured {what}: allow more, or serve on a faster machine"]
    found = []
    wanted = best.configuration
    if wanted == present:
        found.append(f"what is there is as good as anything within {ALIKE:.0%}: nothing to apply")
    if before is None:
        found.append("how it is served now is within the limit at none of the loads")
    if 0 < wanted.max_batch_size < present.max_batch_size:
        found.append(
            f"callers who send more than {wanted.max_batch_size} rows in one request are refused "
            f"(now: more than {present.max_batch_size})"
        )
    if wanted.instances > present.instances:
        found.append(
            f"{wanted.instances} copies of the model are in memory where there are "
            f"{present.instances} now"
        )
    if best.spread > 25:
        found.append("its windows lie far apart: measure it once more when the server is quiet")
    return found


def _model(model: PerformanceModel | None) -> Mapping[str, Any] | None:
    if model is None:
        return None
    return {
        "fixed_us": round(model.service.fixed_us, 2),
        "row_us": round(model.service.row_us, 3),
        "error": round(model.service.error, 4),
        "overhead_us": round(model.overhead_us, 1),
    }
