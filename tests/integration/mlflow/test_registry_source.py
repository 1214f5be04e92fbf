"""Versions from MLflow's registry: a real tracking server, fetched from as a worker does."""

from __future__ import annotations

import contextlib
import logging
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from control_plane import wiring
from control_plane.adapters.any_source import AnySource
from control_plane.adapters.artifacts import FileArtifactStore
from control_plane.adapters.mlflow.server import MlflowServer
from control_plane.adapters.mlflow.sources import MlflowSources
from control_plane.adapters.sources import FsspecSources
from control_plane.domain.violations import InvalidInputError, NotAllowedError
from control_plane.ports.sources import SourceFailedError, SourceRefusedError
from control_plane.registry.fetching import add_from_source, fetch_version
from control_plane.registry.models import Model, ModelVersion
from control_plane.registry.services import VersionMetadata
from tests.support.fakes import FakeClock, FakeQueue
from tests.support.mlflow_server import INSTALLED, TrackingServer

pytestmark = pytest.mark.skipif(
    not INSTALLED, reason="no MLflow: tests/support/install_mlflow.sh installs it"
)


@pytest.fixture
def sources() -> Iterator[Callable[..., AnySource]]:
    """Makes sources of a tracking server, with roots."""
    servers = contextlib.ExitStack()

    def make(uri: str, *roots: str) -> AnySource:
        files = FsspecSources(roots)
        server = servers.enter_context(contextlib.closing(MlflowServer(uri)))
        return AnySource(files, MlflowSources(server, files))

    with servers:
        yield make


Make = Callable[..., AnySource]


@pytest.fixture
def add(
    transactional_db: None, mlflow: TrackingServer, sources: Make
) -> Callable[..., ModelVersion]:
    Model.objects.create(name="digits")

    def add(source: str, framework: str | None = None, **said: Any) -> ModelVersion:
        return add_from_source(
            model_name="digits",
            source=source,
            filename="",
            metadata=VersionMetadata(framework=framework or "onnx", **said),
            actor="ada",
            sources=sources(mlflow.uri),
            queue=FakeQueue(),
            framework_given=framework is not None,
        )

    return add


@pytest.fixture
def fetch(tmp_path: Path, mlflow: TrackingServer, sources: Make) -> Callable[..., ModelVersion]:
    clock = FakeClock()
    clock.pass_time(days=10_000)

    def fetch(version: ModelVersion, **limits: int) -> ModelVersion:
        fetch_version(
            version_id=version.id,
            sources=sources(mlflow.uri),
            store=FileArtifactStore(tmp_path),
            inspector=wiring.inspector(),
            clock=clock,
            queue=FakeQueue(),
            **limits,
        )
        version.refresh_from_db()
        return version

    return fetch


def test_an_alias_is_settled_at_once_and_the_run_comes_along(
    add: Callable[..., ModelVersion],
    fetch: Callable[..., ModelVersion],
    logged: dict[str, Any],
    mlflow: TrackingServer,
) -> None:
    version = add("models:/digits@champion")
    assert (version.source, version.framework) == ("models:/digits/1", "")
    assert version.provenance == {"mlflow_alias": "champion"}
    fetch(version)
    assert (version.state, version.framework) == ("validating", "onnx")
    assert version.filename == "model.onnx"
    assert version.signature["inputs"][0]["shape"] == [-1, 64]
    assert version.metrics["accuracy"] > 0.8
    assert version.metrics["holdout"] == {"loss": 0.25}
    provenance = version.provenance
    assert provenance["run_id"] == logged["run_id"]
    assert (provenance["git_commit"], provenance["author"]) == ("9f2c1a7b", "ada")
    assert provenance["mlflow_model"] == "models:/digits/1"
    assert provenance["mlflow_source"].startswith("models:/m-")
    stored = next(mlflow.artifacts.glob(f"**/{provenance['mlflow_source'][8:]}/**/model.onnx"))
    assert version.artifact.size == stored.stat().st_size


def test_what_the_caller_said_goes_first(
    add: Callable[..., ModelVersion], fetch: Callable[..., ModelVersion], logged: dict[str, Any]
) -> None:
    said = {"metrics": {"f1": 0.5}, "provenance": {"run_id": "mine"}}
    version = fetch(add("models:/digits/1", **said))
    assert version.metrics == {"f1": 0.5}
    assert version.provenance["run_id"] == "mine"
    assert version.provenance["git_commit"] == "9f2c1a7b"


def test_external_data_comes_along(
    add: Callable[..., ModelVersion], fetch: Callable[..., ModelVersion], logged: dict[str, Any]
) -> None:
    version = fetch(add("models:/large/1"))
    assert version.state == "validating", version.state_reason
    paths = [file.path for file in version.files.all()]
    assert "model.onnx" in paths
    assert len(paths) == 2, "MLflow keeps weights beside the graph"
    assert version.filename == "model.tar"


def test_what_is_joined_is_a_tar_that_anybody_reads(
    mlflow: TrackingServer, logged: dict[str, Any], tmp_path: Path, sources: Make
) -> None:
    copies = []
    for _ in range(2):
        with sources(mlflow.uri).open("models:/large/1") as found:
            copies.append(found.stream.read())
            assert len(copies[-1]) == found.size
    assert copies[0] == copies[1], "the same files are the same version"
    (tmp_path / "model.tar").write_bytes(copies[0])
    with tarfile.open(tmp_path / "model.tar") as archive:
        assert archive.getnames()[0] == "model.onnx"


def test_what_cannot_be_named_or_served_is_refused_in_words(
    add: Callable[..., ModelVersion], fetch: Callable[..., ModelVersion], logged: dict[str, Any]
) -> None:
    for source, words in {
        "models:/digits@challenger": "alias challenger not found",
        "models:/digits/7": "version=7",
        "models:/nothing/1": "nothing",
        "models:/digits/latest": "latest",
        "models:/digits/Production": "stage",
        "models:/digits": "names no version",
        "models://profile@host/digits/1": "models:/NAME",
        "models:/../1/1": "NAME",
        "runs:/0123/model": "register",
    }.items():
        with pytest.raises(InvalidInputError, match=words):
            add(source)
    text = fetch(add("models:/text/1"))
    assert text.state == "rejected"
    assert "readme.txt" in text.state_reason
    assert "ONNX" in text.state_reason
    with pytest.raises(NotAllowedError, match="pytorch"):
        add("models:/digits/1", framework="pytorch")


def test_there_is_an_end_to_what_is_fetched(
    add: Callable[..., ModelVersion], fetch: Callable[..., ModelVersion], logged: dict[str, Any]
) -> None:
    version = fetch(add("models:/digits/1"), max_bytes=100)
    assert version.state == "rejected"
    assert "NEREID_MAX_UPLOAD_BYTES" in version.state_reason


def test_artifacts_that_lie_elsewhere_need_a_root(
    mlflow: TrackingServer, logged: dict[str, Any], sources: Make
) -> None:
    refused = pytest.raises(SourceRefusedError, match="below no root")
    with refused, sources(mlflow.uri).open("models:/kept/1"):
        pass
    with sources(mlflow.uri, f"file://{mlflow.home}").open("models:/kept/1") as found:
        assert (found.stream.read(), found.filename) == (b"a model", "only.onnx")


def test_a_server_that_is_away_is_tried_again(sources: Make) -> None:
    away = sources("http://127.0.0.1:9")
    with pytest.raises(SourceFailedError, match="does not answer"):
        away.settle("models:/digits@champion")


def test_secrets_stay_out_of_words(caplog: pytest.LogCaptureFixture) -> None:
    server = MlflowServer("http://127.0.0.1:9", token="very-secret")
    caplog.set_level(logging.DEBUG)
    with contextlib.closing(server), pytest.raises(SourceFailedError) as failed:
        MlflowSources(server, FsspecSources([])).settle("models:/digits/1")
    assert "very-secret" not in f"{failed.value} {server!r} {caplog.text}"
