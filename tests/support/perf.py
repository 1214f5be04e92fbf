"""Perf runs as records, for who only looks at them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone


def perf_run(state: str = "succeeded", **more: Any) -> Any:
    """A run of version 1 of `digits`, or of what `more` says; nothing of it is loaded."""
    from control_plane.domain.perf.read_request import read_request
    from control_plane.tuning.models import PerfRun
    from control_plane.tuning.targets import plan_of

    now = timezone.now()
    name = more.pop("name", "digits")
    asked = {
        "target": {"model": name, "version": 1},
        "server": "local",
        "latency_limit": "20ms",
        "input": "random",
        **more.pop("request", {}),
    }
    over = state in ("succeeded", "failed", "cancelled")
    return PerfRun.objects.create(
        name=name,
        request=read_request(asked).to_document(),
        asked_by="ada",
        **{
            "kind": "version",
            "number": 1,
            "physical": f"{name}.v1.9f2c1a"[:100],
            "plan": plan_of([]),
            "server_name": "local",
            "state": state,
            "reason": more.pop("reason", "every level was measured"),
            "started_at": now - timedelta(minutes=2),
            "finished_at": now if over else None,
            **more,
        },
    )


def measure(run: Any, store: Any, base_us: float = 900.0) -> None:
    """Writes what the run measured: more callers, more throughput, and in the end only waiting."""
    from control_plane.domain.perf.export import Measurement
    from control_plane.telemetry.perf import PerfLevel

    for position, callers in enumerate((1, 2, 4, 8)):
        mean = base_us * (1 + callers**2 / 16)
        figures = Measurement(
            requests=1000 * callers,
            throughput=round(callers * 1e6 / mean, 2),
            mean_us=mean,
            p50_us=round(mean * 0.9),
            p90_us=round(mean * 1.4),
            p95_us=round(mean * 1.7),
            p99_us=round(mean * 2.6),
            queue_us=round(mean * 0.25),
            compute_input_us=round(mean * 0.03),
            compute_infer_us=round(mean * 0.45),
            compute_output_us=round(mean * 0.05),
            network_us=round(mean * 0.18),
            client_us=3.0,
            spread=41.0 if callers == 8 else 3.0,
            batch=float(callers),
        )
        level = PerfLevel(position, float(callers), timezone.now(), figures, cpu=0.2 * callers / 2)
        store.write_perf_level(run.key, level, {"report.csv": b"\x1f\x8b"})
