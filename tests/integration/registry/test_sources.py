"""Files that lie elsewhere: what may be named, and how they come here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from control_plane import wiring
from control_plane.adapters.artifacts import FileArtifactStore
from control_plane.adapters.sources import FsspecSources
from control_plane.ports.sources import SourceFailedError, SourceRefusedError
from control_plane.registry.fetching import (
    MAX_ATTEMPTS,
    add_from_source,
    fetch_version,
    release_fetches,
    sweep_fetches,
)
from control_plane.registry.models import Model, ModelVersion
from control_plane.registry.services import VersionMetadata
from tests.integration.api.conftest import SAMPLES
from tests.support.buckets import bucket_server
from tests.support.fakes import FakeClock, FakeQueue

ONNX = SAMPLES / "v1/model.onnx"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A store that speaks S3, with one model in it."""
    with bucket_server("models") as server:
        for key in ("team/digits/model.onnx", "secret/model.onnx"):
            server.client.put_object(Bucket="models", Key=key, Body=ONNX.read_bytes())
        yield server.address


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "allowed"
    root.mkdir()
    (root / "model.onnx").write_bytes(ONNX.read_bytes())
    (tmp_path / "secret.onnx").write_bytes(b"secret")
    (root / "link.onnx").symlink_to(root / "model.onnx")
    (root / "out.onnx").symlink_to(tmp_path / "secret.onnx")
    (root / "folder").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    return root


@pytest.mark.parametrize("name", ["model.onnx", "link.onnx"])
def test_a_file_below_a_root_is_read(root: Path, name: str) -> None:
    sources = FsspecSources([f"file://{root}/"])
    with sources.open(f"file://{root}/{name}") as found:
        assert found.stream.read() == ONNX.read_bytes()
        assert (found.size, found.filename) == (ONNX.stat().st_size, "model.onnx")


def test_nothing_else_is(root: Path) -> None:
    sources = FsspecSources([f"file://{root}"])
    for source in (
        f"file://{root}/../secret.onnx",
        f"file://{root}/%2e%2e/secret.onnx",
        f"file://{root}/out.onnx",
        f"file://{root}/folder/secret.onnx",
        f"file://{root}2/model.onnx",
        f"file://{root}",
        f"file://{root}/pipe",
        f"file://{root}/nothing",
        f"file://{root}/model.onnx?x=1",
        f"file://elsewhere{root}/model.onnx",
        "file:///etc/passwd",
        "file:model.onnx",
        "s3://models/model.onnx",
        "http://169.254.169.254/latest",
        "models.onnx",
        "s3://[x",
    ):
        with pytest.raises(SourceRefusedError), sources.open(source):
            pass
    with pytest.raises(SourceRefusedError, match="NEREID_SOURCE_ROOTS"):
        FsspecSources([]).settle(f"file://{root}/model.onnx")


def test_a_bucket_below_its_prefix(s3: str) -> None:
    sources = FsspecSources(["s3://models/team"], s3)
    with sources.open("s3://models/team/digits/model.onnx") as found:
        assert found.stream.read() == ONNX.read_bytes()
        assert found.size == ONNX.stat().st_size
    for source in (
        "s3://models/secret/model.onnx",
        "s3://models/team/../secret/model.onnx",
        "s3://models/teammates/model.onnx",
        "s3://other/team/model.onnx",
        "s3://models/team/nothing",
        "s3://models/team/digits",
        "s3://models/team",
    ):
        with pytest.raises(SourceRefusedError), sources.open(source):
            pass


def test_a_store_that_does_not_answer_is_tried_again() -> None:
    sources = FsspecSources(["s3://models/team"], "http://127.0.0.1:9")
    failed = pytest.raises(SourceFailedError)
    with failed, sources.open("s3://models/team/digits/model.onnx"):
        pass


class Fetching:
    """A registry with its sources, and a clock after the rows."""

    def __init__(self, root: Path, s3: str) -> None:
        self.sources = FsspecSources([f"file://{root}", "s3://models/team"], s3)
        self.queue, self.clock = FakeQueue(), FakeClock()
        self.clock.pass_time(days=10_000)
        self.store = FileArtifactStore(root.parent / "artifacts")
        Model.objects.create(name="digits")

    def add(self, source: str, **said: Any) -> ModelVersion:
        return add_from_source(
            model_name="digits",
            source=source,
            filename="",
            metadata=VersionMetadata(**said),
            actor="ada",
            sources=self.sources,
            queue=self.queue,
        )

    def fetch(self, version: ModelVersion) -> ModelVersion:
        fetch_version(
            version_id=version.id,
            sources=self.sources,
            store=self.store,
            inspector=wiring.inspector(),
            clock=self.clock,
            queue=self.queue,
        )
        version.refresh_from_db()
        return version


@pytest.fixture
def fetching(transactional_db: None, root: Path, s3: str) -> Fetching:
    return Fetching(root, s3)


@pytest.mark.parametrize("where", ["file", "s3"])
def test_a_worker_fetches_it_and_it_is_validated(
    fetching: Fetching, root: Path, where: str
) -> None:
    address = "s3://models/team/digits" if where == "s3" else f"file://{root}"
    version = fetching.add(f"{address}/model.onnx", metrics={"accuracy": 0.9})
    assert (version.state, version.artifact, version.filename) == ("uploading", None, "model.onnx")
    assert fetching.queue.fetches == [version.id]
    fetching.fetch(version)
    assert (version.state, version.state_reason) == ("validating", "")
    assert version.signature["inputs"][0]["name"] == "image"
    assert fetching.store.path(version.artifact_id).read_bytes() == ONNX.read_bytes()
    assert fetching.queue.validations == [version.id]
    fetching.fetch(version)
    assert fetching.queue.validations == [version.id], "a second message changes nothing"


def test_what_is_no_model_or_another_one_is_rejected_in_words(
    fetching: Fetching, root: Path
) -> None:
    (root / "bad.onnx").write_bytes(b"no model")
    bad = fetching.fetch(fetching.add(f"file://{root}/bad.onnx"))
    assert (bad.state, bad.artifact) == ("rejected", None)
    assert "not an ONNX file" in bad.state_reason
    other = fetching.fetch(fetching.add(f"file://{root}/model.onnx", sha256="0" * 64))
    assert "sha256" in other.state_reason
    away = fetching.fetch(fetching.add(f"file://{root}/out.onnx"))
    assert "below no root" in away.state_reason
    assert list(fetching.store.digests()) == []


def test_one_that_fails_is_tried_again_but_not_for_ever(fetching: Fetching, root: Path) -> None:
    version = fetching.add("s3://models/team/digits/model.onnx")
    fetching.sources = FsspecSources(["s3://models/team"], "http://127.0.0.1:9")
    fetching.fetch(version)
    assert version.state == "uploading"
    assert "attempt 1 of 3" in version.state_reason
    assert sweep_fetches(clock=fetching.clock, queue=fetching.queue) == 1
    ModelVersion.objects.update(validation_attempts=MAX_ATTEMPTS - 1)
    assert fetching.fetch(version).state == "rejected"


def test_a_worker_that_starts_takes_up_what_a_killed_one_left(
    fetching: Fetching, root: Path
) -> None:
    version = fetching.add(f"file://{root}/model.onnx")
    ModelVersion.objects.update(validating_since=fetching.clock.now())
    assert fetching.fetch(version).state == "uploading", "it is another worker's"
    assert release_fetches(queue=fetching.queue) == 1
    assert fetching.fetch(version).state == "validating"


class Odd:
    """Sources that fail in a way that nobody thought of, or with words that no table holds."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def settle(self, source: str) -> Any:
        raise self._error

    def open(self, source: str, *, framework: str = "") -> Any:
        raise self._error


def test_what_nobody_thought_of_is_an_attempt_too(fetching: Fetching, root: Path) -> None:
    version = fetching.add(f"file://{root}/model.onnx")
    fetching.sources = Odd(KeyError("size"))
    for attempt in range(1, MAX_ATTEMPTS + 1):
        with pytest.raises(KeyError):
            fetching.fetch(version)
        version.refresh_from_db()
        assert "KeyError" in version.state_reason, attempt
    assert (version.state, version.validating_since) == ("rejected", None)


def test_a_reason_that_no_table_holds_is_kept_as_well_as_it_can_be(
    fetching: Fetching, root: Path
) -> None:
    version = fetching.add(f"file://{root}/model.onnx")
    fetching.sources = Odd(SourceRefusedError("no \0 and no \ud800" + "x" * 100_000))
    fetching.fetch(version)
    assert version.state == "rejected"
    assert version.state_reason.startswith("no \N{REPLACEMENT CHARACTER} and no ?xx")
