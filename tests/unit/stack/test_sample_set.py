"""What samples are made of, as their files say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from control_plane.domain.names import is_public_name
from nereid.inference import Answer
from stack.sample_set import SampleSet, read_sample_sets
from stack.samples import SAMPLES, WrongAnswerError, _check

GOOD: dict[str, Any] = {
    "title": "Texts",
    "models": [{"name": "texts", "file": "model.onnx"}],
    "endpoints": [{"name": "texts", "arms": [{"model": "texts", "weight": 100}]}],
    "asks": [{"endpoint": "texts", "inputs": {"x": {"bytes": "x.txt"}}, "expect": {"y": "right"}}],
}


def written(folder: Path, **changes: Any) -> list[SampleSet]:
    (folder / "texts").mkdir()
    (folder / "texts" / "sample.yaml").write_text(yaml.safe_dump({**GOOD, **changes}))
    return read_sample_sets(folder)


def test_every_sample_of_the_checkout_names_files_that_are_there() -> None:
    sets = read_sample_sets(SAMPLES)
    assert [one.folder.name for one in sets] == sorted(one.folder.name for one in sets)
    assert {"digits", "formats", "multimodal", "rows", "windows", "wine"} == {
        one.folder.name for one in sets
    }
    for one in sets:
        for version in one.models:
            for file in filter(None, (version.file, *version.files, version.metrics)):
                assert (one.folder / file).is_file(), file
        for profile in one.profiles:
            assert one.document(profile.file)
        for file in one.pipelines:
            assert is_public_name(one.document(file)["name"])
        for ask in one.asks:
            assert one.tensors(ask).keys() == ask.inputs.keys()
            assert ask.endpoint in {endpoint.name for endpoint in one.endpoints}


def test_files_are_sent_as_bytes_and_values_as_numbers(tmp_path: Path) -> None:
    asks = [{"endpoint": "texts", "inputs": {"x": {"bytes": "x"}, "n": {"values": "n.json"}}}]
    [one] = written(tmp_path, asks=asks)
    (one.folder / "x").write_bytes(b"\x89PNG")
    (one.folder / "n.json").write_text('{"n": [[1, 2]]}')
    tensors = one.tensors(one.asks[0])
    assert tensors["x"].tolist() == [[b"\x89PNG"]]
    assert (tensors["n"].tolist(), tensors["n"].dtype) == ([[1, 2]], np.float32)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"models": [{"name": "texts"}]}, "texts: name a file"),
        ({"models": [{"name": "texts", "file": "a", "files": ["b"]}]}, "texts: name a file"),
        ({"endpoints": [{"name": "texts", "arms": []}]}, "at least 1"),
        ({"endpoints": [{"name": "texts", "arms": [{"weight": 1}]}]}, "a model or a pipeline"),
        ({"asks": [{"endpoint": "texts", "inputs": {"x": {}}}]}, "bytes of a file, or values"),
        ({"model": []}, "Extra inputs"),
    ],
)
def test_what_is_no_sample(tmp_path: Path, changes: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        written(tmp_path, **changes)


@pytest.mark.parametrize(
    ("output", "wanted"),
    [
        ([[b"7", b"1"]], "7"),
        ([[b'{"cultivar": "class_1"}']], "class_1"),
        ([[0.1, 0.9]], 1),
        ([7], 7),
    ],
)
def test_a_right_answer_is_taken_and_a_wrong_one_is_not(output: Any, wanted: Any) -> None:
    kind = object if isinstance(wanted, str) else None
    answer = Answer({"y": np.array(output, kind)}, "texts.v1.aaaaaa", 0.001)
    _check("texts", "y", wanted, answer)
    other = "x" if isinstance(wanted, str) else 8
    with pytest.raises(WrongAnswerError, match=f"endpoint texts .* not {other}"):
        _check("texts", "y", other, answer)
