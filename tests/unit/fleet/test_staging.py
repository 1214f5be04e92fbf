"""A publication that fails half-way leaves nothing, and says why."""

from __future__ import annotations

import io
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from control_plane.adapters.artifacts import FileArtifactStore
from control_plane.adapters.repository import DiskRepository
from control_plane.domain.planning.plan import ModelDirectory
from control_plane.fleet.loading import PrepareFailedError
from control_plane.ports.repository import ArtifactDamagedError
from tests.unit.fleet.test_agent import BOTH, ONE, Node, roll

WEIGHTS = b"w" * (1 << 20)


def big(store: FileArtifactStore) -> ModelDirectory:
    sha256, _ = store.add(io.BytesIO(WEIGHTS))
    return ModelDirectory(
        name="big.v1.aaaaaa",
        variants={"cpu": {"backend": "onnxruntime", "max_batch_size": 0}},
        links={"1/model.onnx": sha256},
        texts={},
    )


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The kernel takes no larger file from this process, as a disk that is full takes none."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def everything_in(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_a_disk_that_is_full_leaves_nothing_half_written(tmp_path: Path) -> None:
    store = FileArtifactStore(tmp_path / "artifacts")
    model, root = big(store), tmp_path / "repository"
    repository = DiskRepository(root, store)
    with files_of_at_most(len(WEIGHTS) // 2), pytest.raises(OSError, match="too large"):
        repository.publish(model, "cpu")
    assert everything_in(root) == []
    assert list(repository.names()) == []
    repository.publish(model, "cpu")
    assert (root / model.name / "1" / "model.onnx").read_bytes() == WEIGHTS


def test_an_artifact_that_was_cut_off_is_not_served(tmp_path: Path) -> None:
    store = FileArtifactStore(tmp_path / "artifacts")
    model, root = big(store), tmp_path / "repository"
    artifact = store.path(model.links["1/model.onnx"])
    artifact.chmod(0o644)
    os.truncate(artifact, 1000)
    with pytest.raises(ArtifactDamagedError, match="has 1000 bytes of another content"):
        DiskRepository(root, store).publish(model, "cpu")
    assert everything_in(root) == []


def test_the_endpoint_is_told_which_artifact_is_damaged_and_goes_on(tmp_path: Path) -> None:
    node = Node(tmp_path)
    roll(node, ONE)
    new = BOTH.models[1]
    artifact = node.store.path(next(iter(new.links.values())))
    artifact.chmod(0o644)
    artifact.write_bytes(b"")
    with pytest.raises(PrepareFailedError, match="is damaged here"):
        node.agent.prepare(BOTH)
    assert node.generation() == "1"
    assert new.name not in node.repository.names()
    assert list((node.root / "repository" / ".staging").iterdir()) == []


def test_what_a_process_that_died_had_staged_is_swept_and_what_another_stages_stays(
    tmp_path: Path,
) -> None:
    repository = DiskRepository(tmp_path, FileArtifactStore(tmp_path / "artifacts"))
    dead, ours = "big.v1.aaaaaa-1999999999-ab", f"big.v1.aaaaaa-{os.getpid()}-cd"
    for name in (dead, ours, "big.v1.aaaaaa-ef"):
        (tmp_path / ".staging" / name).mkdir(parents=True)
    assert sorted(repository.clear_staging()) == [dead, "big.v1.aaaaaa-ef"]
    assert [path.name for path in (tmp_path / ".staging").iterdir()] == [ours]


def test_the_sweep_follows_no_link(tmp_path: Path) -> None:
    repository = DiskRepository(tmp_path / "models", FileArtifactStore(tmp_path / "artifacts"))
    elsewhere, staging = tmp_path / "elsewhere", tmp_path / "models" / ".staging"
    (elsewhere / "somebodys-1999999999-ab").mkdir(parents=True)
    staging.mkdir(parents=True)
    (staging / "a-link").symlink_to(elsewhere)
    (staging / "leads-nowhere").symlink_to(tmp_path / "gone")
    assert sorted(repository.clear_staging()) == ["a-link", "leads-nowhere"]
    assert list(staging.iterdir()) == []
    staging.rmdir()
    staging.symlink_to(elsewhere)
    assert repository.clear_staging() == ()
    assert [path.name for path in elsewhere.iterdir()] == ["somebodys-1999999999-ab"]
