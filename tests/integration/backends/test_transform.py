"""The Python-based transform backend, in a real Triton."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException

from nereid.samples import load_sample
from tests.support import models
from tests.support.transforms import png, texts
from tests.support.triton import RunningTriton, running_triton, tensor

SAMPLES = Path("model_repository/samples/digits")
# From what an application sends to what a model of a table takes, in one fixed order of columns.
CUSTOMERS = """
inputs: [{name: customer, datatype: BYTES, dims: [1]}]
steps:
  - op: parse_json
    inputs: customer
    outputs: [age, income, city, since]
    options:
      fields:
        age: {path: /person/age, datatype: FP32}
        income: {datatype: FP32, default: .nan}
        city: {datatype: BYTES, default: ""}
        since: {datatype: BYTES, default: "2020-01-01"}
  - {op: concat, inputs: [age, income], outputs: numbers}
  - {op: fill_missing, inputs: numbers, outputs: filled, options: {value: [0, 3000]}}
  - op: standard_scale
    inputs: filled
    outputs: scaled
    options: {mean: [40, 3000], std: [10, 1000]}
  - {op: category, inputs: city, outputs: place, options: {vocabulary: {file: cities.txt}}}
  - {op: one_hot, inputs: place, outputs: where, options: {classes: 3}}
  - {op: date_features, inputs: since, outputs: month, options: {features: [month]}}
  - {op: concat, inputs: [scaled, where, month], outputs: features}
outputs: [features]
"""
BATCHES = """
max_batch_size: 16
dynamic_batching { max_queue_delay_microseconds: 200000 preferred_batch_size: [8] }
input { name: "png" data_type: TYPE_STRING dims: [1] }
output { name: "image" data_type: TYPE_FP32 dims: [1, 8, 8] }
"""
# A row that is a single value, in and out.
SCALARS = """
inputs: [{name: x, datatype: INT64, dims: []}]
steps: [{op: add, inputs: x, outputs: y, options: {value: 1}}]
outputs: [y]
"""
UNBATCHED = """
input { name: "x" data_type: TYPE_INT64 dims: [-1] }
output { name: "y" data_type: TYPE_INT64 dims: [-1] }
"""


def served(repository: Path, name: str, spec: str | Path, config: str = "") -> Path:
    """A served transform; the folder of its version."""
    folder = models.model_directory(repository, name, f'backend: "transform"\n{config}')
    if isinstance(spec, Path):
        shutil.copy(spec, folder / "transform.yaml")
    else:
        (folder / "transform.yaml").write_text(spec)
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[RunningTriton]:
    with running_triton("transform") as running:
        repository = running.repository
        served(repository, "pictures", SAMPLES / "from_png.transform.yaml", BATCHES)
        served(repository, "top3", SAMPLES / "top3.transform.yaml")
        served(repository, "scalars", SCALARS)
        served(repository, "alone", SCALARS, UNBATCHED)
        customers = served(repository, "customers", CUSTOMERS)
        (customers / "cities.txt").write_text("Köln\nBonn\n")
        with ThreadPoolExecutor() as pool:  # each starts a Python of its own
            list(pool.map(running.load, sorted(path.name for path in repository.iterdir())))
        yield running


@pytest.fixture(scope="module")
def client(server: RunningTriton) -> grpcclient.InferenceServerClient:
    return server.grpc_client()


def drawn(index: int, factor: int) -> tuple[bytes, np.ndarray]:
    """A digit of the sample as a PNG file, each pixel `factor` squared, and what it stands for."""
    pixels = load_sample("digits").image(index).pixels
    bytes_ = np.rint(pixels * 255).astype(np.uint8)
    return png(bytes_.repeat(factor, 0).repeat(factor, 1)), bytes_.astype(np.float32) / 255


def test_bytes_of_pictures_become_what_a_model_takes(client) -> None:
    made = [drawn(index, factor) for index, factor in enumerate((1, 4, 5))]
    answer = client.infer("pictures", [tensor("png", texts(*(file for file, _ in made)))])
    image = answer.as_numpy("image")
    assert image.shape == (3, 1, 8, 8)
    for got, (_, wanted) in zip(image, made, strict=True):
        assert np.allclose(got[0], wanted, atol=1e-6)


def test_scores_become_labels(client) -> None:
    logits = np.zeros((2, 10), np.float32)
    logits[0, [7, 4]] = 3, 2
    logits[1, [0, 9]] = 1, 5
    answer = client.infer("top3", [tensor("logits", logits)])
    assert answer.as_numpy("digit").tolist() == [[b"7", b"4", b"0"], [b"9", b"0", b"1"]]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    wanted = -np.sort(-shares, axis=1)[:, :3]
    assert np.allclose(answer.as_numpy("probability"), wanted, atol=1e-6)


def test_json_becomes_scaled_features(client) -> None:
    customers = [
        {"person": {"age": 50}, "income": 4000, "city": "Bonn", "since": "2024-07-31"},
        {"person": {"age": 35.5}, "city": "Ulm"},
    ]
    answer = client.infer("customers", [tensor("customer", texts(*map(json.dumps, customers)))])
    wanted = [[1, 1, 0, 1, 0, 7], [-0.45, 0, 0, 0, 1, 1]]
    assert np.allclose(answer.as_numpy("features"), wanted, atol=1e-6)


def test_a_transform_says_its_own_configuration(server: RunningTriton) -> None:
    _, config = server.call("/v2/models/top3/config")
    assert config["max_batch_size"] == 64
    assert "dynamic_batching" in config
    assert [(t["name"], t["data_type"], t["dims"]) for t in config["output"]] == [
        ("digit", "TYPE_STRING", [3]),
        ("probability", "TYPE_FP32", [3]),
    ]


@pytest.mark.parametrize(("model", "shape"), [("scalars", (3, 1)), ("alone", (3,))])
def test_a_row_may_be_a_single_value(client, model: str, shape: tuple[int, ...]) -> None:
    given = np.array([1, 2, 3], np.int64).reshape(shape)
    answer = client.infer(model, [tensor("x", given)])
    assert np.array_equal(answer.as_numpy("y"), given + 1)


def test_one_bad_request_of_a_batch_fails_alone(server: RunningTriton) -> None:
    results: dict[int, object] = {}
    file, wanted = drawn(3, 2)

    def ask(index: int) -> None:
        mine = grpcclient.InferenceServerClient(server.options.grpc)
        given = texts(b"no picture" if index % 4 == 3 else file)
        try:
            results[index] = mine.infer("pictures", [tensor("png", given)]).as_numpy("image")
        except InferenceServerException as error:
            results[index] = error
        finally:
            mine.close()

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, result in results.items():
        if index % 4 == 3:
            assert isinstance(result, InferenceServerException)
            assert result.status() == "StatusCode.INVALID_ARGUMENT"
            assert "step 1 (decode_image) of 'png': 10 bytes that are neither" in str(result)
        else:
            assert np.allclose(result[0, 0], wanted, atol=1e-6)
    _, stats = server.call("/v2/models/pictures/stats")
    batches = {each["batch_size"] for each in stats["model_stats"][0]["batch_stats"]}
    assert max(batches) > 1, "nothing was batched"


@pytest.mark.parametrize(
    ("spec", "config", "says"),
    [
        (SCALARS.replace("op: add", "op: ad"), "", "step 1 (ad): there is no op 'ad'"),
        (SCALARS, BATCHES, "the transform has no input 'png', only ['x']"),
        (
            SCALARS,
            UNBATCHED.replace("TYPE_INT64", "TYPE_INT32"),
            "input 'x' is INT64[] in the transform, and TYPE_INT32 [-1] in its configuration",
        ),
    ],
)
def test_what_cannot_be_loaded_says_why(
    server: RunningTriton, spec: str, config: str, says: str
) -> None:
    served(server.repository, "wrong", spec, config)
    with pytest.raises(RuntimeError):
        server.load("wrong")
    assert says in server.log.read_text()
