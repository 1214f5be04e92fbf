"""The samples' transforms around their models: what applications send becomes what people read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from backends.transform.nereid_transforms.files import Files
from backends.transform.nereid_transforms.transform import Transform
from nereid.samples import load_sample
from tests.support.transforms import png, texts

SAMPLES = Path("model_repository/samples")


def transform(place: str) -> Transform:
    path = SAMPLES / f"{place}.transform.yaml"
    return Transform.read(path.read_bytes(), Files.of_folder(path.parent))


def model(place: str) -> onnxruntime.InferenceSession:
    path = SAMPLES / place / "model.onnx"
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def test_pictures_of_digits_become_the_likeliest_digits() -> None:
    images = load_sample("digits").images
    # As a scanner has them: larger, and 8 by 8 again by the mean of each block.
    files = [np.rint(one.pixels * 255).astype(np.uint8).repeat(5, 0).repeat(5, 1) for one in images]
    [image] = transform("digits/from_png").run(["image"], {"png": texts(*map(png, files))})
    [logits] = model("digits/v2").run(["logits"], {"image": image})
    [digit, probability] = transform("digits/top3").run(
        ["digit", "probability"], {"logits": logits}
    )
    assert digit[:, 0].tolist() == [str(one.label) for one in images]
    assert (np.diff(probability, axis=1) <= 0).all()


def test_an_analysis_as_json_becomes_an_answer_as_json() -> None:
    asked = json.loads((SAMPLES / "wine" / "requests.json").read_text())
    given = texts(*(json.dumps(one["wine"]) for one in asked))
    [x] = transform("wine/from_json").run(["x"], {"wine": given})
    scale = json.loads((SAMPLES / "wine" / "scale.json").read_text())
    rows = [[one["wine"][name] for name in scale["columns"]] for one in asked]
    wanted = (np.array(rows) - scale["mean"]) / scale["deviation"]
    assert np.allclose(x, wanted, atol=1e-5)
    [shares] = model("wine").run(["probabilities"], {"x": x})
    [answer] = transform("wine/to_json").run(["answer"], {"probabilities": shares})
    read = [json.loads(one) for one in answer[:, 0]]
    assert [one["cultivar"] for one in read] == [f"class_{one['cultivar']}" for one in asked]
    for one, row in zip(read, shares, strict=True):
        assert one["all"] == pytest.approx(row, abs=1e-4)
        assert one["probability"] == max(one["all"])


def test_a_scan_and_the_pens_figures_become_one_request() -> None:
    asked = json.loads((SAMPLES / "multimodal" / "scans.json").read_text())
    pictures = texts(*(png(np.array(one["pixels"], np.uint8)) for one in asked))
    pens = texts(*(json.dumps({"ink": one["ink"]}) for one in asked))
    made = transform("multimodal/from_request")
    [scan, ink] = made.run(["scan", "ink"], {"picture": pictures, "pen": pens})
    [logits] = model("multimodal").run(["logits"], {"scan": scan, "ink": ink})
    assert logits.argmax(1).tolist() == [one["label"] for one in asked]
