"""What nothing refers to any more goes, and nothing else."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from control_plane.adapters.artifacts import FileArtifactStore
from control_plane.ports.repository import ArtifactStore
from control_plane.registry.artifacts import intake
from control_plane.registry.collection import GRACE, collect_artifacts
from control_plane.registry.models import Artifact, Model, ModelVersion, VersionFile
from tests.support.buckets import BucketServer, bucket_server, bucket_store
from tests.support.fakes import FakeClock

pytestmark = pytest.mark.django_db


class At(FakeClock):
    """The clock at some moment."""

    def __init__(self, moment: datetime) -> None:
        self._now = moment


LATER = At(datetime.now(UTC) + 2 * GRACE)


@pytest.fixture(scope="module")
def server() -> Iterator[BucketServer]:
    with bucket_server("artifacts") as server:
        yield server


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, server: BucketServer, tmp_path: Path) -> ArtifactStore:
    if request.param == "folder":
        return FileArtifactStore(tmp_path)
    return bucket_store(server.address, tmp_path, place=f"s3://artifacts/{tmp_path.name}")


def kept(store: ArtifactStore, content: bytes) -> Artifact:
    sha256, size = store.add(io.BytesIO(content))
    return Artifact.objects.create(sha256=sha256, size=size)


def version_of(artifact: Artifact, **more: object) -> ModelVersion:
    return ModelVersion.objects.create(
        model=Model.objects.get_or_create(name="digits")[0],
        number=ModelVersion.objects.count() + 1,
        framework="onnx",
        artifact=artifact,
        filename="m",
        profile="realtime",
        **more,
    )


def test_what_a_version_uses_stays_and_goes_with_it(store: ArtifactStore) -> None:
    archive, member, golden, unused = (kept(store, c) for c in (b"a", b"m", b"g", b"u"))
    version = version_of(archive, golden=golden)
    VersionFile.objects.create(version=version, path="model.onnx", artifact=member)
    assert collect_artifacts(store=store, clock=LATER) == 1
    assert set(store.digests()) == {archive.sha256, member.sha256, golden.sha256}
    assert not Artifact.objects.filter(sha256=unused.sha256).exists()
    version.delete()
    assert collect_artifacts(store=store, clock=LATER) == 3
    assert (list(store.digests()), Artifact.objects.count()) == ([], 0)


def test_the_same_content_of_two_versions_is_one_file(store: ArtifactStore) -> None:
    artifact = kept(store, b"same")
    first, second = version_of(artifact), version_of(artifact)
    first.delete()
    assert collect_artifacts(store=store, clock=LATER) == 0
    second.delete()
    assert collect_artifacts(store=store, clock=LATER) == 1


def test_what_was_sent_just_now_waits_for_its_version(tmp_path: Path) -> None:
    store = FileArtifactStore(tmp_path)
    old = kept(store, b"again")
    os.utime(store.path(old.sha256), (0, 0))
    with intake(store) as files:  # somebody uploads the same content once more
        files.add(io.BytesIO(b"again"))
        assert collect_artifacts(store=store, clock=At(datetime.now(UTC))) == 0
        files.claim()
    version_of(old)
    assert collect_artifacts(store=store, clock=LATER) == 0


def test_files_without_a_row_and_rows_without_a_file_go_too(store: ArtifactStore) -> None:
    store.add(io.BytesIO(b"orphan"))
    Artifact.objects.create(sha256="0" * 64, size=1)
    assert collect_artifacts(store=store, clock=At(datetime.now(UTC))) == 1
    assert collect_artifacts(store=store, clock=LATER) == 1
    assert (list(store.digests()), Artifact.objects.count()) == ([], 0)
