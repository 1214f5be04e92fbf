"""Many models at once, for benchmarks and tests of long lists; none of them has a file."""

from __future__ import annotations

import hashlib

from django.db import transaction

from control_plane.domain.violations import ConflictError
from control_plane.registry.models import Alias, Artifact, Model, ModelVersion, VersionState

PREFIX = "seeded-"
TEAMS = ("vision", "speech", "search", "ads", "fraud")
BATCH = 2_000
ARTIFACTS = 50
REJECTED_IN = 100
"""Of so many models one has a version that was rejected."""

SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
    "batched": True,
}


def seed(*, models: int, versions: int) -> tuple[int, int]:
    """Adds that many models with that many versions each; returns how many rows of both.

    Names are `seeded-00001` and on; the same call makes the same rows. It writes past the
    services: no audit event tells of rows that nobody made.

    Raises:
        ConflictError: there are seeded models already.
    """
    if Model.objects.filter(name__startswith=PREFIX).exists():
        raise ConflictError(f"there are models named {PREFIX}… already: seed an empty registry")
    with transaction.atomic():
        artifacts = Artifact.objects.bulk_create(
            [Artifact(sha256=_digest(i), size=10_000 * (i + 1)) for i in range(ARTIFACTS)],
            ignore_conflicts=True,
        )
        rows = Model.objects.bulk_create(
            [_model(number) for number in range(1, models + 1)], batch_size=BATCH
        )
        for first in range(0, len(rows), BATCH):
            _add_versions(rows[first : first + BATCH], versions, artifacts)
    return len(rows), len(rows) * versions


def _add_versions(models: list[Model], versions: int, artifacts: list[Artifact]) -> None:
    rows = [
        _version(model, number, artifacts[(i + number) % len(artifacts)])
        for i, model in enumerate(models)
        for number in range(1, versions + 1)
    ]
    made = ModelVersion.objects.bulk_create(rows, batch_size=BATCH)
    newest = [version for version in made if version.number == versions]
    aliases = [
        Alias(model=version.model, name="champion", version=version, updated_by="seed")
        for version in newest
    ]
    Alias.objects.bulk_create(aliases, batch_size=BATCH)


def _model(number: int) -> Model:
    team = TEAMS[number % len(TEAMS)]
    return Model(
        name=f"{PREFIX}{number:05}",
        description=f"Model {number} of the team {team}, made to fill a long list.",
        owner=f"person-{number % 200}",
        tags={"team": team, "tier": str(number % 3)},
        created_by="seed",
    )


def _version(model: Model, number: int, artifact: Artifact) -> ModelVersion:
    accuracy = round(0.80 + number / 200, 4)
    nth = int(model.name.removeprefix(PREFIX))
    rejected = number == 2 and nth % REJECTED_IN == 0
    tags = {"stage": "live" if number % 2 else "trial"}
    return ModelVersion(
        model=model,
        number=number,
        framework="onnx",
        artifact=artifact,
        filename="model.onnx",
        profile="realtime",
        state=VersionState.REJECTED if rejected else VersionState.READY,
        state_reason="the runtime cannot load it: opset 99 is unknown" if rejected else "",
        signature=SIGNATURE,
        tags=tags | ({"incident": "4711"} if rejected else {}),
        metrics={"accuracy": accuracy, "holdout": {"accuracy": round(accuracy - 0.01, 4)}},
        provenance={"git_commit": f"{number:07x}", "run_id": f"run-{number}"},
        created_by=f"person-{nth % 200}",
    )


def _digest(i: int) -> str:
    return hashlib.sha256(f"{PREFIX}{i}".encode()).hexdigest()
