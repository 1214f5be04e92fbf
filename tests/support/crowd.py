"""A registry and a fleet as they look after a year: long names, long words, things that went wrong.

`python -m tests.support.crowd`, in the environment of a control plane's process, writes rows past
the services; what serves for real is pushed and deployed by whoever calls this.
"""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta
from typing import Any

MODELS = 70
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
    from datetime import UTC, datetime

    from django.contrib.auth.models import Group, User

    from control_plane.access.models import ApiToken, Grant

    person, made = User.objects.get_or_create(
        username="maximilian.featherstonehaugh",
        defaults={"email": "maximilian.featherstonehaugh@example.com", "is_staff": True},
    )
    if not made:
        return
    Group.objects.get_or_create(name="the people of the warehouses, central Europe")
    ApiToken.issue(user=person, name="nightly training of the warehouse models, cluster 3")
    Grant.objects.create(
        user=person, role="operator", kind="endpoint", name=LONG, created_by="admin"
    )
    ApiToken.objects.filter(user=person).update(last_used_at=datetime(2026, 1, 2, tzinfo=UTC))


if __name__ == "__main__":
    main()
