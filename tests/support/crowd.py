"""A registry and a fleet as they look after a year: long names, long words, things that went wrong.

`python -m tests.support.crowd`, in the environment of a control plane's process, writes rows past
the services; what serves for real is pushed and deployed by whoever calls this.
"""

from __future__ import annotations

import hashlib
import os
from datetime import datetime, timedelta
from typing import Any

MODELS = 70
GUARDED = "digits-behind-four-eyes"
"""An endpoint that serves, where there is one: a change of it is asked for."""

LONG = "warehouse-damage-detection-night-shift-eu-central-distilled-int8"[:63].rstrip("-")
AWAY = "rack-17-node-04-of-the-old-hall-with-a-long-name"
SIGNATURE = {
    "inputs": [
        {"name": "input_image_tensor_normalised", "datatype": "FP32", "shape": [-1, 3, 224, 224]},
        {"name": "mask", "datatype": "BOOL", "shape": [-1, 1]},
    ],
    "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 1000]}],
    "batched": True,
}
WORDS = """Finds damaged goods on pictures of the **night shift**.

## How it was trained

1. Pictures of *four* warehouses, labelled twice; see `datasets/damage/2026-05/README.md`.
2. Distilled from the large one, then quantised: `python -m quantise --calibrate 512 --per-channel`.

| data set | accuracy | remarks |
| --- | --- | --- |
| holdout-2026-north-and-central-europe | 0.981 | as in production, with motion blur and glare |
| adversarial | 0.742 | prints of boxes held before the camera |

> Do not use it for daylight: [the daylight model](https://example.com/models/daylight) is for that.

```
nereid deploy damage damage@champion=90 damage@challenger=10 --sticky header:x-tenant-id
```
"""
REASON = (
    "the runtime cannot load it: [ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an "
    "implementation for QLinearConvTransposeWithAVeryLongOperatorNameThatNobodyWraps(21) node with "
    "name '/backbone/stage4/block2/conv3/QLinearConv_quant_dequant_fused_0'"
)


def main() -> None:
    """Adds the rows; what is there already stays."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "control_plane.settings")
    import django

    django.setup()
    _registry()
    _fleet()
    _people()
    _change()
    _profiles()
    _pipelines()
    _rollouts()
    _webhooks()
    _perf_runs()


def _perf_runs() -> None:
    """One that went well, beside an older one, one that is at it, and one that failed."""
    from control_plane import wiring
    from control_plane.fleet.models import Server
    from control_plane.registry.models import ModelVersion
    from control_plane.tuning.models import PerfRun
    from tests.support.perf import measure, perf_run, recording

    if PerfRun.objects.filter(name=LONG).exists():
        return
    version = ModelVersion.objects.get(model__name=LONG, number=1)
    for base_us in (1400.0, 900.0):
        measure(perf_run(name=LONG, version=version), wiring.telemetry(), base_us)
    progress = {"done": 2, "of": 7, "level": 24, "kind": "concurrency", "why": "between 16 and 32"}
    away = Server.objects.get(name=AWAY)
    running = perf_run(
        "running", name=LONG, server=away, server_name=AWAY, progress=progress, reason="measured"
    )
    measure(running, wiring.telemetry())
    perf_run("failed", name=LONG, reason=REASON)
    recording(name=LONG, endpoint=LONG)
    recording("failed", name="empty", endpoint=LONG, reason=REASON, requests=0, size=0)
    _tunes(version, wiring.telemetry())


def _tunes(version: Any, store: Any) -> None:
    """One that found something, one that is at it, and one that failed."""
    from tests.support.tunes import tune_record

    tune_record(name=LONG, version=version, store=store)
    tune_record("running", name=LONG, server_name=AWAY, store=store, reason="at work")
    tune_record("failed", name=LONG, reason=REASON, store=store)


def _registry() -> None:
    from control_plane.registry.models import Alias, Artifact, Model, ModelVersion

    artifact, _ = Artifact.objects.get_or_create(
        sha256=hashlib.sha256(b"crowd").hexdigest(), defaults={"size": 734_003_200}
    )
    for i in range(MODELS):
        name = f"model-{i:03}" if i else LONG
        model, made = Model.objects.get_or_create(
            name=name,
            defaults={
                "description": WORDS if i % 3 == 0 else f"Model {i}.",
                "owner": "the-team-that-looks-after-warehouses@example.com",
                "tags": {"team": "vision", "customer-facing": "", "cost-centre": "4711-0815"},
                "sla_p99_ms": 25.0,
                "sla_availability_percent": 99.95,
                "sla_required_qps": 1200.0,
                "created_by": "maximilian.featherstonehaugh",
            },
        )
        if not made:
            continue
        states = ("ready", "rejected", "archived", "uploading", "ready") if i < 3 else ("ready",)
        for number, state in enumerate(states, start=1):
            ModelVersion.objects.create(
                model=model,
                number=number,
                artifact=None if state == "uploading" else artifact,
                source="s3://models-eu-central-1/damage/2026-05-30/distilled/int8/model.onnx",
                **_version(state),
            )
        if i < 3:
            newest = model.versions.order_by("-number")[0]
            for alias in ("champion", "challenger", "the-one-before-the-summer-release"):
                Alias.objects.create(model=model, name=alias, version=newest, updated_by="ada")


def _version(state: str) -> dict[str, Any]:
    return {
        "framework": "onnx",
        "filename": "warehouse-damage-detection-distilled-int8-per-channel-2026-05-30.onnx",
        "profile": "realtime",
        "state": state,
        "state_reason": REASON if state in ("rejected", "archived") else "",
        "signature": None if state == "uploading" else SIGNATURE,
        "code": ["model.py", "libcustom_ops.so"] if state == "archived" else [],
        "description": WORDS if state == "ready" else "",
        "tags": {"stage": "trial", "reviewed": "", "incident": "INC-2026-000471"},
        "metrics": {
            "accuracy": 0.9812,
            "expected_calibration_error": 0.0213,
            "holdout-2026-north-and-central-europe": {"accuracy": 0.974, "loss": 0.0931},
        },
        "provenance": {
            "git_commit": hashlib.sha1(b"crowd", usedforsecurity=False).hexdigest(),
            "run_id": "mlflow/warehouse/0d9f3a7b1c2e4f5a6b7c8d9e0f1a2b3c",
            "training_data_digest": hashlib.sha256(b"data").hexdigest(),
            "author": "maximilian.featherstonehaugh@example.com",
        },
        "created_by": "maximilian.featherstonehaugh",
    }


def _fleet() -> None:
    from django.utils import timezone

    from control_plane.endpoints.models import Endpoint, Placement
    from control_plane.fleet.models import Server

    now = timezone.now()
    held = [
        {"name": "digits", "version": "1000000000", "state": "READY", "reason": ""},
        {"name": "digits.v1.695b0d", "version": "1", "state": "UNAVAILABLE", "reason": REASON},
    ]
    server, made = Server.objects.get_or_create(
        name=AWAY,
        defaults={
            "http": "triton-rack-17-node-04.inference.svc.cluster.local:8000",
            "grpc": "triton-rack-17-node-04.inference.svc.cluster.local:8001",
            "metrics": "http://triton-rack-17-node-04.inference.svc.cluster.local:8002/metrics",
            "triton_version": "2.51.0",
            "last_seen_at": now - timedelta(days=3),
            "held": held,
        },
    )
    for endpoint in Endpoint.objects.filter(deleted_at=None) if made else ():
        Placement.objects.get_or_create(
            server=server,
            endpoint=endpoint,
            defaults={
                "failed": endpoint.generation,
                "failure": REASON,
                "failed_at": now - timedelta(days=3),
                "observed_at": now - timedelta(days=3),
            },
        )


def _people() -> None:
    from datetime import UTC

    from django.contrib.auth.models import Group, User

    from control_plane.access.models import ApiToken, Grant, Identity

    person, made = User.objects.get_or_create(
        username="maximilian.featherstonehaugh",
        defaults={"email": "maximilian.featherstonehaugh@example.com", "is_staff": True},
    )
    if not made:
        return
    group, _ = Group.objects.get_or_create(name="the people of the warehouses, central Europe")
    person.groups.add(group)
    Identity.objects.create(
        user=person,
        issuer="https://login.example.com/realms/warehouses-eu-central",
        subject="f:6c1b2f0e-7d57-4a43-9d0e-0b8f2f6f4b1e:maximilian.featherstonehaugh",
        roles=["operator"],
    )
    ApiToken.issue(user=person, name="nightly training of the warehouse models, cluster 3")
    Grant.objects.create(
        user=person, role="operator", kind="endpoint", name=LONG, created_by="admin"
    )
    Grant.objects.create(group=group, role="publisher", kind="model", name=LONG, created_by="ada")
    ApiToken.objects.filter(user=person).update(last_used_at=datetime(2026, 1, 2, tzinfo=UTC))


def _change() -> None:
    """Through the services: what a change shows is compiled."""
    from control_plane import wiring
    from control_plane.endpoints.changes import put_policy
    from control_plane.endpoints.models import Endpoint
    from control_plane.endpoints.selectors import waiting_change

    endpoint = Endpoint.objects.filter(name=GUARDED, deleted_at=None).first()
    if endpoint is None or waiting_change(endpoint):
        return
    Endpoint.objects.filter(pk=endpoint.pk).update(four_eyes=True)
    policy = endpoint.policy
    first, second = policy["arms"][:2]
    arms = [{**first, "weight": 60}, {**second, "weight": 40}]
    put_policy(
        name=GUARDED,
        document={**policy, "arms": arms, "sticky": {"key": "header:x-user-id"}},
        actor="maximilian.featherstonehaugh",
        queue=wiring.queue(),
        print_config=wiring.print_config,
        reason="the candidate was better for a week: see the board of the night shift, page 12",
    )


def _rollouts() -> None:
    from tests.support.crowded_rollouts import add

    add(REASON)


def _profiles() -> None:
    """One of somebody's own, with a long name and everything that the linter can say of it."""
    from control_plane.registry.profile_edits import put_profile

    name = "patient-towards-callers-of-the-night-shift-in-two-regions"
    document = {
        "description": "Waits so that batches fill, for callers who read the answers tomorrow.",
        "max_batch_size": 32,
        "dynamic_batching": {"max_queue_delay_microseconds": 1000},
    }
    put_profile(name=name, document=document, actor="maximilian")
    queue = {"default_queue_policy": {"default_timeout_microseconds": 90_000}}
    batching = {"preferred_batch_size": [8, 16], "max_queue_delay_microseconds": 5000, **queue}
    limited = {"count": 64, "rate_limiter": {"resources": [{"name": "heavy"}]}}
    wordy = {**document, "dynamic_batching": batching, "instance_group": [limited]}
    put_profile(name=name, document=wordy, actor="maximilian")


def _pipelines() -> None:
    """A cascade with a long name, and a graph around it with names as long."""
    from control_plane.registry.pipeline_edits import put_pipeline

    inner, outer = "digits-that-the-small-model-is-not-sure-of", "digits-of-the-night-shift-board"
    steps = [
        {"name": "a-small-model-for-most-of-them", "model": "digits", "version": 1},
        {"name": "a-larger-model-for-the-rest", "model": "digits", "version": 2},
    ]
    cascade = {"kind": "cascade", "confidence": {"output": "logits"}}
    document = {**cascade, "steps": [{**steps[0], "at_least": 0.9}, steps[1]]}
    put_pipeline(name=inner, document=document, actor="maximilian")
    document = {
        "description": "Both at once, and which of the two the cascade would have believed.",
        "steps": [
            {"pipeline": inner, "revision": 1},
            {**steps[1], "outputs": {"logits": "scores-of-the-larger-model-alone"}},
        ],
    }
    put_pipeline(name=outer, document=document, actor="maximilian")


def _webhooks() -> None:
    """One that fails and one that was switched off; neither is told of what really happens."""
    import uuid

    from django.utils import timezone

    from control_plane.webhooks.models import Webhook
    from control_plane.webhooks.secrets import new_key, seal

    if Webhook.objects.filter(name__startswith="warehouse-").exists():
        return
    now = timezone.now()
    failing = {"failures": 2, "failing_since": now - timedelta(minutes=40)}
    off = {
        "enabled": False,
        "disabled_by": "nereid",
        "disabled_reason": "no delivery was taken for three days; the last answer was 410 Gone",
    }
    for name, state in (("warehouse-night-shift-board", failing), ("warehouse-old-board", off)):
        key = uuid.uuid4()
        webhook = Webhook.objects.create(
            id=key,
            name=name,
            url=f"https://hooks.eu-central.example.com/services/T04711/B0815/{name}?shift=night",
            events=["revision.degraded", "endpoint.policy", "version.rejected"],
            names=["warehouse-night-shift"],  # nothing is called so
            secret=seal(key, new_key()),
            created_by="maximilian.featherstonehaugh",
            **state,
        )
        _deliveries(webhook, now)


def _deliveries(webhook: Any, now: datetime) -> None:
    import uuid

    from control_plane.domain.webhooks import payload
    from control_plane.domain.webhooks.catalogue import BY_NAME
    from control_plane.webhooks.models import Attempt, Delivery, State

    stories = (
        (State.DELIVERED, "", ((200, "", "ok"),)),
        (
            State.FAILED,
            "gave up after 3 attempts; the last one: answered 503",
            (
                (None, "the name hooks.eu-central.example.com has no address", ""),
                (None, "no answer within 10 s", ""),
                (
                    503,
                    "it answered 503, and only 2xx counts as delivered",
                    "<html><body><h1>503 Service Unavailable</h1></body></html>",
                ),
            ),
        ),
    )
    kind = BY_NAME["version.rejected"]
    for hours, (state, reason, attempts) in enumerate(stories, start=1):
        identity, at = f"evt_{uuid.uuid4().hex}", now - timedelta(hours=3 * hours)
        said = {"model": LONG, "version": 2, "actor": "nereid", "reason": REASON}
        delivery = Delivery.objects.create(
            webhook=webhook,
            event_id=identity,
            event=kind.name,
            body=payload.document(kind, identity, at, said),
            state=state,
            reason=reason,
            tries=len(attempts),
            created_at=at,
            ended_at=at + timedelta(minutes=len(attempts)),
        )
        for i, (status, error, answer) in enumerate(attempts):
            Attempt.objects.create(
                delivery=delivery,
                at=at + timedelta(minutes=i),
                duration_ms=10_000 if not status else 84,
                status=status,
                error=error,
                answer=answer,
            )


if __name__ == "__main__":
    main()
