"""A fitted model on its way: what is sent of it, by both clients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from nereid import AsyncClient, Client, DifferentAnswersError
from tests.support.control_plane_answers import API, FakeServer, answer, model, problem, version
from tests.support.fitted import wine_pipeline
from tests.unit.nereid.test_pushing import EXAMPLE, metadata


def taking() -> FakeServer:
    return FakeServer(
        {
            "GET /models/digits/": answer(model()),
            "POST /models/digits/versions/": answer(version(2, "validating"), 202),
        }
    )


def file_of(server: FakeServer) -> Any:
    body = server.sent("POST", "/versions/").content
    [part] = [part for part in body.split(b"\r\n--") if b'filename="model.onnx"' in part]
    return onnx.load_from_string(part.split(b"\r\n\r\n", 1)[1])


def test_it_is_sent_as_onnx_with_examples_and_where_it_comes_from() -> None:
    fitted, x = wine_pipeline()
    server = taking()
    said: dict[str, Any] = {"golden": [EXAMPLE], "provenance": {"run_id": "a1", "classes": "mine"}}
    with Client(API, "nrd_test", transport=server.transport()) as client:
        client.push("digits", fitted, sample=x, metrics={"accuracy": 0.99}, **said)
    sent = metadata(server)
    assert sent["framework"] == "onnx"
    assert sent["metrics"] == {"accuracy": 0.99}
    assert sent["golden"][0] == EXAMPLE
    assert len(sent["golden"]) == 5
    assert sent["provenance"]["run_id"] == "a1"
    assert sent["provenance"]["classes"] == "mine", "what was said goes before what was found"
    assert sent["provenance"]["estimator"] == "Pipeline(StandardScaler, LogisticRegression)"
    assert [output.name for output in file_of(server).graph.output] == ["label", "probabilities"]


async def test_the_async_client_does_the_same() -> None:
    fitted, x = wine_pipeline()
    server = taking()
    async with AsyncClient(API, "nrd_test", transport=server.transport()) as client:
        await client.push("digits", fitted, sample=x)
    assert len(metadata(server)["golden"]) == 4
    assert file_of(server).graph.input[0].name == "x"


def test_what_answers_otherwise_is_not_sent_and_makes_no_model() -> None:
    fitted, x = wine_pipeline()
    fitted.predict_proba = lambda rows: np.full((len(rows), 3), 1 / 3)
    server = FakeServer({"GET /models/digits/": problem(404, "Not found")})
    with (
        Client(API, "nrd_test", transport=server.transport()) as client,
        pytest.raises(DifferentAnswersError, match="Nothing was pushed"),
    ):
        client.push("digits", fitted, sample=x, create=True)
    assert server.calls == []


def test_a_sample_is_of_a_fitted_model(tmp_path: Path) -> None:
    with Client(API, "nrd_test", transport=FakeServer({}).transport()) as client:
        with pytest.raises(ValueError, match="a sample goes with a fitted model"):
            client.push("digits", tmp_path / "model.onnx", sample=[[1.0]])
        with pytest.raises(ValueError, match="a sample goes with a fitted model"):
            client.push("digits", source="s3://bucket/model.onnx", sample=[[1.0]])
