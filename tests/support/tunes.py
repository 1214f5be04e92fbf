"""Tunes as records, for who only looks at them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from tests.support.perf import measure, perf_run
from tests.support.tuning import PRESENT, digits_space


def tune_record(state: str = "succeeded", store: Any = None, **more: Any) -> Any:
    """A tune of version 1 of `digits`, or of what `more` says, with four trials.

    Args:
        store: the telemetry that its trials' figures are written to; None: there are none.
    """
    from control_plane.domain.tuning.read_request import read_tune
    from control_plane.tuning.models import Tune

    now, name = timezone.now(), more.pop("name", "digits")
    asked = {
        "target": {"model": name, "version": 1},
        "server": "local",
        "latency_limit": "20ms",
        "max_concurrency": 8,
        **more.pop("request", {}),
    }
    over = state in ("succeeded", "failed", "cancelled")
    space = digits_space(most_rows=8)
    tune = Tune.objects.create(
        name=name,
        number=1,
        objective="throughput",
        request=read_tune(asked).to_document(),
        space=space.to_document(),
        profile={"max_batch_size": 16, "dynamic_batching": {}},
        framework="onnx",
        cores=4,
        asked_by="ada",
        **{
            "server_name": "local",
            # Its result is written below, and the database wants one of whoever succeeded.
            "state": "failed" if state == "succeeded" else state,
            "reason": "nothing else is likely to be more than 3 % better",
            "started_at": now - timedelta(minutes=4),
            "finished_at": now if over else None,
            **more,
        },
    )
    _add_trials(tune, name, store)
    if state == "succeeded":
        tune.state, tune.result = state, _result(tune, store)
        tune.save()
    return tune


def _add_trials(tune: Any, name: str, store: Any) -> None:
    from dataclasses import replace

    from control_plane.domain.tuning.configuration import overrides_for

    two = replace(PRESENT, instances=2, queue_delay_us=200)
    for number, (kind, configuration, base_us) in enumerate(
        (
            ("baseline", PRESENT, 1400.0),
            ("calibration", PRESENT, 700.0),
            ("seed", two, 900.0),
            ("search", replace(two, max_batch_size=8), 1000.0),
        ),
        start=1,
    ):
        run = perf_run(name=name)
        if store is not None:
            measure(run, store, base_us)
        served = tune.served
        tune.trials.create(
            number=number,
            kind=kind,
            configuration=configuration.to_document(),
            overrides=overrides_for(configuration, PRESENT, served, "onnx"),
            loads=[1, 2, 4, 8],
            why="may be better, with a probability of 12 % by the model",
            state="measured",
            run=run,
        )


def _result(tune: Any, store: Any) -> dict[str, Any]:
    """What the tune itself would make of its trials; without figures, what it might have."""
    from control_plane.domain.tuning.result import result_of
    from control_plane.domain.tuning.searching import model_of
    from control_plane.tuning.tune_selectors import study_of

    if store is None:
        return {"chosen": None, "overrides": {}, "changes": [], "front": [], "remarks": []}
    trials = study_of(tune, store)
    request, space = tune.asked, tune.searched
    model = model_of(request, space, tune.cores, trials)
    found = result_of(request, space, trials, tune.served, tune.framework, model)
    assert found is not None
    return found
