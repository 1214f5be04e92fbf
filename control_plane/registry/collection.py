"""Collecting what nothing refers to any more in the artifact store."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet

from control_plane.ports.clock import Clock
from control_plane.ports.repository import ArtifactMissingError, ArtifactStore
from control_plane.registry.artifacts import lock_artifact, may_drop_files
from control_plane.registry.models import Artifact

GRACE = timedelta(hours=1)
"""A file that somebody has just sent (anew) stays this long: its version is on its way."""


def collect_artifacts(*, store: ArtifactStore, clock: Clock) -> int:
    """Drops the files that no version refers to; returns how many.

    Whoever uploads the same content meanwhile is safe: taking a file in makes it young again, and
    claiming it takes the lock that is held here. While a backup is under way nothing is dropped: it
    copies what a look at the database named, after that look.
    """
    store.clear_cut_off()
    candidates = set(_unreferenced().values_list("sha256", flat=True))
    present = set(store.digests())
    known = set(Artifact.objects.values_list("sha256", flat=True))
    found = sorted(candidates | (present - known))
    return sum(_collect(sha256, store, clock) for sha256 in found)


def _collect(sha256: str, store: ArtifactStore, clock: Clock) -> bool:
    with transaction.atomic():
        if not may_drop_files():
            return False
        lock_artifact(sha256)
        try:
            if clock.now() - store.taken_at(sha256) < GRACE:
                return False
        except ArtifactMissingError:
            pass  # the row alone is left
        rows = Artifact.objects.filter(sha256=sha256)
        if rows.exists() and not _unreferenced().filter(sha256=sha256).exists():
            return False
        rows.delete()
        store.discard(sha256)
        return True


def _unreferenced() -> QuerySet[Artifact]:
    return Artifact.objects.filter(versions=None, file_of=None, golden_of=None)
