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

from control_plane.adapters.mlflow import server as of_server
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
    """What the server says by path: a document, bytes, a status with a location and what is
    said to be zipped, or a list of pieces that drip."""
    return {f"{API}/model-versions/get": VERSION}


@pytest.fixture
def sources(answers: Answers) -> Iterator[MlflowSources]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = answers.get(urlsplit(self.path).path, (404, ""))
            if isinstance(said, list) and said and isinstance(said[0], bytes):
                self.drip(said)
                return
            status, where = said[:2] if isinstance(said, tuple) else (200, "")
            zipped = isinstance(said, tuple) and len(said) == 3
            body = (
                said[2]
                if zipped
                else said
                if isinstance(said, bytes)
                else json.dumps(said).encode()
            )
            self.send_response(status)
            if where:
                self.send_header("Location", where)
            if zipped:
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        def drip(self, pieces: list[bytes]) -> None:
            """Says one piece after the other, until nobody listens."""
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                for piece in pieces:
                    self.wfile.write(piece)
                    left.wait(0.05)

        def log_message(self, *_: object) -> None:
            pass

    left = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    client = MlflowServer(f"http://127.0.0.1:{server.server_port}")
    with contextlib.closing(client):
        yield MlflowSources(client, FsspecSources(["file:///srv/models"]))
    left.set()
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
        (b"[" * 200_000, SourceFailedError),
        ({"model_version": {"version": "../3"}}, SourceFailedError),
        ({"model_version": {"version": "3" * 2000}}, SourceFailedError),
        ({"model_version": {"version": "\u0663"}}, SourceFailedError),
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


def test_a_document_that_drips_has_an_end(
    answers: Answers, sources: MlflowSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_server, "DOCUMENT_S", 0.3)
    answers[f"{API}/model-versions/get"] = [b" "] * 60 + [json.dumps(VERSION).encode()]
    with pytest.raises(SourceFailedError, match=r"has not said all of it after 0\.3 s"):
        sources.settle("models:/digits/3")


def test_a_file_that_drips_has_an_end(
    answers: Answers, sources: MlflowSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_server, "FILE_S", 0.3)
    kept_at(answers, "mlflow-artifacts:/1/model.onnx")
    answers[f"{FILES}/1/model.onnx"] = [b"x"] * 60
    with (
        sources.open("models:/digits/3") as found,
        pytest.raises(SourceFailedError, match=r"0\.3 s"),
    ):
        found.stream.read(1 << 20)


def test_what_cannot_be_decoded_is_no_answer(answers: Answers, sources: MlflowSources) -> None:
    answers[f"{API}/model-versions/get"] = (200, "", b"this is no gzip")
    with pytest.raises(SourceFailedError, match=r"gzip|decompress"):
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


@pytest.mark.parametrize("size", [-1, -7, "many", 1.5, [1], "9" * 30])
def test_a_size_that_is_none(answers: Answers, sources: MlflowSources, size: Any) -> None:
    kept_at(answers, "mlflow-artifacts:/1/m", {"MLmodel": 10, "model.onnx": 4, "weights": size})
    answers[f"{FILES}/1/m/MLmodel"] = b"flavors: {onnx: {data: model.onnx}}"
    answers[f"{FILES}/1/m/model.onnx"] = b"onnx"
    answers[f"{FILES}/1/m/weights"] = b"1234"
    failed = pytest.raises(SourceFailedError, match="gave 'weights' no size")
    with failed, sources.open("models:/digits/3"):
        pass


def test_what_the_registry_cannot_keep_is_not_told(
    answers: Answers, sources: MlflowSources
) -> None:
    said = {**VERSION["model_version"], "source": "a\0b", "run_id": "r" * 300}
    answers[f"{API}/model-versions/get"] = {"model_version": said}
    answers[f"{API}/runs/get"] = {"run": {"data": {}}}
    kept_at(answers, "mlflow-artifacts:/1/model.onnx")
    answers[f"{FILES}/1/model.onnx"] = b"onnx"
    with sources.open("models:/digits/3") as found:
        assert found.told.provenance == {
            "mlflow_model": "models:/digits/3",
            "mlflow_artifacts": "mlflow-artifacts:/1/model.onnx",
        }


def test_a_folder_that_climbs(answers: Answers, sources: MlflowSources) -> None:
    kept_at(answers, "mlflow-artifacts:/1/m", {"MLmodel": 10})
    answers[f"{FILES}/1/m/MLmodel"] = b"flavors: {pytorch: {model_data: ../../secret}}"
    with pytest.raises(SourceRefusedError, match="no plain path"), sources.open("models:/d/3"):
        pass
