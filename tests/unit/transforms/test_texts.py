"""Texts as token numbers, against the library's own padding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from backends.transform.nereid_transforms.spec import SpecError
from backends.transform.nereid_transforms.transform import RowError
from tests.support.transforms import ran, step, texts

WORDS = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "the", "cat", "sat"]
ALL = ["ids", "mask", "type_ids"]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    own = tokenizer()
    own.enable_padding(pad_id=3, pad_token="[PAD]", length=16)  # it has its own, which is not ours
    own.save(str(tmp_path / "tokenizer.json"))
    return {"tokenizer.json": tmp_path / "tokenizer.json"}


def tokenizer() -> Tokenizer:
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    return made


@pytest.mark.parametrize("side", ["right", "left"])
def test_rows_are_filled_up_and_cut_as_the_library_does(files: dict, side: str) -> None:
    sentences = ["the cat sat", "", "the cat sat the cat sat", "dog"]
    options = {"file": "tokenizer.json", "max_length": 5, "pad_side": side}
    found = ran("tokenize", options, texts(*sentences), outputs=ALL, files=files)
    own = tokenizer()
    own.enable_truncation(5)
    own.enable_padding(length=5, pad_id=3, pad_token="[PAD]", direction=side)
    for i, wanted in enumerate(own.encode_batch(sentences)):
        rows = [value[i].tolist() for value in found]
        assert rows == [wanted.ids, wanted.attention_mask, wanted.type_ids]


def test_pairs_say_which_text_a_token_is_of(files: dict) -> None:
    made = step(
        "tokenize",
        {"file": "tokenizer.json", "max_length": 8, "datatype": "INT32", "pad_id": 0},
        {"text": ("BYTES", [1]), "pair": ("BYTES", [1])},
        ALL,
        files,
    )
    given = {"text": texts("the cat"), "pair": texts("sat")}
    ids, mask, type_ids = made.run(ALL, given)
    assert ids.dtype == np.int32
    assert ids.tolist() == [[1, 4, 5, 2, 6, 2, 0, 0]]
    assert mask.tolist() == [[1, 1, 1, 1, 1, 1, 0, 0]]
    assert type_ids.tolist() == [[0, 0, 0, 0, 1, 1, 0, 0]]


def test_rows_may_keep_their_own_length(files: dict) -> None:
    options = {"file": "tokenizer.json", "padding": "none", "special_tokens": False}
    [ids] = ran("tokenize", options, texts("the cat", "sat the"), outputs=["i"], files=files)
    assert ids.tolist() == [[4, 5], [6, 4]]
    with pytest.raises(RowError, match=r"different shapes \(\[1\] and \[2\]\): send each in"):
        ran("tokenize", options, texts("the cat", "sat"), outputs=["i"], files=files)


def test_a_text_that_is_too_long_may_be_refused(files: dict) -> None:
    options = {"file": "tokenizer.json", "max_length": 3, "truncation": False}
    assert ran("tokenize", options, texts("cat"), outputs=["i"], files=files)[0].shape == (1, 3)
    with pytest.raises(RowError, match="a text has 4 tokens, and 3 are taken"):
        ran("tokenize", options, texts("cat", "the cat"), outputs=["i"], files=files)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"file": "tokenizer.json"}, "say max_length, or padding: none"),
        ({"file": "other.json", "max_length": 4}, "'other.json' is not beside the transform"),
        ({"file": "../tokenizer.json", "max_length": 4}, "options file: "),
        ({"file": "broken.json", "max_length": 4}, "'broken.json' is no tokenizer"),
        ({"file": "tokenizer.json", "max_length": 1}, "adds 2 tokens, and max_length is 1"),
    ],
)
def test_what_cannot_be_is_refused_before_there_are_texts(
    files: dict, tmp_path: Path, options: dict, says: str
) -> None:
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(SpecError) as error:
        step(
            "tokenize",
            options,
            {"text": ("BYTES", [1])},
            ["i"],
            files | {"broken.json": tmp_path / "broken.json"},
        )
    assert says in str(error.value)
