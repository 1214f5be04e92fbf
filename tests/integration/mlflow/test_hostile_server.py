"""A tracking server that answers what it should not: nothing leads elsewhere, all has an end."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

from control_plane.adapters.mlflow.server import MAX_DOCUMENT_BYTES, MlflowServer
from control_plane.adapters.mlflow.sources import MlflowSources
from control_plane.adapters.sources import FsspecSources
from control_plane.ports.sources import SourceFailedError, SourceRefusedError

API = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
VERSION = {"model_version": {"name": "digits", "version": "3", "status": "READY", "source": "x"}}
Answers = dict[str, Any]


@pytest.fixture
def answers() -> Answers:
    """What the server says by path: a document, bytes, or a status with a location."""
    return {f"{API}/model-versions/get": VERSION}


@pytest.fixture
def sources(answers: Answers) -> Iterator[MlflowSources]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = answers.get(urlsplit(self.path).path, (404, ""))
            status, where = said if isinstance(said, tuple) else (200, "")
            body = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            if where:
                self.send_header("Location", where)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    client = MlflowServer(f"http://127.0.0.1:{server.server_port}")
    with contextlib.closing(client):
        yield MlflowSources(client, FsspecSources(["file:///srv/models"]))
    server.shutdown()
    thread.join()
    server.server_close()


def kept_at(answers: Answers, place: str, files: Answers | None = None) -> None:
    answers[f"{API}/model-versions/get-download-uri"] = {"artifact_uri": place}
    listed = [{"path": name, "file_size": size} for name, size in (files or {}).items()]
    answers[FILES] = {"files": listed}


@pytest.mark.parametrize(
    "place",
    [
        "mlflow-artifacts://elsewhere:5000/1/model",
        "mlflow-artifacts:/1/../../secret",
        "mlflow-artifacts:/1/%2e%2e/secret",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "/etc/passwd",
        "s3://bucket/model",
        "dbfs:/model",
        "models:/m-0123",
        "s3://[x",
        "",
    ],
)
def test_a_version_that_lies_elsewhere_is_refused(
    answers: Answers, sources: MlflowSources, place: str
) -> None:
    kept_at(answers, place)
    refused = pytest.raises(SourceRefusedError, match=r"^MLflow keeps|below no root")
    with refused, sources.open("models:/digits/3"):
        pass


def test_no_redirect_is_followed(answers: Answers, sources: MlflowSources) -> None:
    answers[f"{API}/model-versions/get"] = (302, "http://127.0.0.1:9/secret")
    with pytest.raises(SourceRefusedError, match="redirect"):
        sources.settle("models:/digits/3")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ([], SourceFailedError),
        (b"<html>", SourceFailedError),
        ({"model_version": {"version": "../3"}}, SourceFailedError),
        ({"model_version": {"version": "3", "status": "FAILED_REGISTRATION"}}, SourceRefusedError),
        (b" " * (MAX_DOCUMENT_BYTES + 1), SourceFailedError),
        ((401, ""), SourceRefusedError),
        ((500, ""), SourceFailedError),
    ],
)
def test_an_answer_that_is_none(
    answers: Answers, sources: MlflowSources, said: Any, error: type[Exception]
) -> None:
    answers[f"{API}/model-versions/get"] = said
    with pytest.raises(error):
        sources.settle("models:/digits/3")


def test_a_description_without_end(answers: Answers, sources: MlflowSources) -> None:
    kept_at(answers, "mlflow-artifacts:/1/model", {"MLmodel": 10})
    answers[f"{FILES}/1/model/MLmodel"] = b"#" * (1 << 20) + b"##"
    with pytest.raises(SourceRefusedError, match="larger than any"), sources.open("models:/d/3"):
        pass


@pytest.mark.parametrize("size", [3, 5])
def test_a_size_that_is_not_true(answers: Answers, sources: MlflowSources, size: int) -> None:
    kept_at(answers, "mlflow-artifacts:/1/m", {"MLmodel": 10, "model.onnx": 4, "weights": size})
    answers[f"{FILES}/1/m/MLmodel"] = b"flavors: {onnx: {data: model.onnx}}"
    answers[f"{FILES}/1/m/model.onnx"] = b"onnx"
    answers[f"{FILES}/1/m/weights"] = b"1234"
    failed = pytest.raises(SourceFailedError, match="weights is not as long")
    with sources.open("models:/digits/3") as found, failed:
        found.stream.read()


def test_a_folder_that_climbs(answers: Answers, sources: MlflowSources) -> None:
    kept_at(answers, "mlflow-artifacts:/1/m", {"MLmodel": 10})
    answers[f"{FILES}/1/m/MLmodel"] = b"flavors: {pytorch: {model_data: ../../secret}}"
    with pytest.raises(SourceRefusedError, match="no plain path"), sources.open("models:/d/3"):
        pass
