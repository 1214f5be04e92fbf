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


def recording(state: str = "ready", **more: Any) -> Any:
    """A recording of `digits`, or of what `more` says; its file is nowhere."""
    from control_plane.tuning.models import Recording

    image = {"name": "image", "datatype": "FP32", "least": [1, 1, 8, 8], "most": [4, 1, 8, 8]}
    facts = {
        "requests": 120,
        "bytes": 61_440,
        "batched": True,
        "rows": {"mean": 2.0, "most": 4},
        "seconds": 31.5,
        "inputs": [{**image, "requests": 120}],
    }
    now = timezone.now()
    return Recording.objects.create(
        **{
            "name": "mondays",
            "endpoint": "digits",
            "server_name": "local",
            "most_requests": 200,
            "most_bytes": 16 << 20,
            "length_us": 600_000_000,
            "parts": 500,
            "batched": True,
            "state": state,
            "reason": "at its end" if state == "ready" else "being recorded",
            "requests": 120,
            "size": 71_000,
            "digest": "ab" * 32 if state == "ready" else "",
            "facts": facts if state == "ready" else {},
            "asked_by": "ada",
            "started_at": now,
            "ends_at": now + timedelta(minutes=10),
            **more,
        }
    )
