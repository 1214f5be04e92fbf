"""Scores and categories against what they are defined as."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from backends.transform.nereid_transforms.spec import SpecError
from backends.transform.nereid_transforms.transform import RowError
from tests.support.transforms import ran, step, texts

SCORES = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.just(5)),
    elements=st.floats(-50, 50, width=32) | st.just(np.inf) | st.just(1.0),
)
FINITE = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 4), st.just(5)), elements=st.floats(-1e4, 1e4, width=32)
)
LABELS = ["a", "b", "c", "d", "ü"]


@given(FINITE, st.sampled_from([0.5, 1.0, 3.0]))
def test_softmax_gives_shares_in_the_order_of_the_scores(x: np.ndarray, t: float) -> None:
    found = ran("softmax", {"temperature": t}, x)
    assert np.allclose(found.sum(-1), 1, atol=1e-5)
    assert (found >= 0).all()
    wide = x.astype(np.float64) / t
    wanted = np.exp(wide - np.logaddexp.reduce(wide, axis=-1, keepdims=True))
    assert np.allclose(found, wanted, atol=1e-5)


@given(SCORES, st.integers(1, 5))
def test_top_k_is_the_head_of_a_sorted_row(x: np.ndarray, k: int) -> None:
    options, outputs = {"k": k, "labels": LABELS}, ["values", "indices", "labels"]
    values, indices, labels = ran("top_k", options, x, outputs=outputs)
    for row, value, index, label in zip(x, values, indices, labels, strict=True):
        # Of equals the first comes first.
        wanted = sorted(range(5), key=lambda i: (-row[i], i))[:k]
        assert index.tolist() == wanted
        assert value.tolist() == [row[i] for i in wanted]
        assert label.tolist() == [LABELS[i] for i in wanted]


@given(SCORES)
def test_argmax_is_the_first_of_top_k(x: np.ndarray) -> None:
    [index, label] = ran("argmax", {"labels": LABELS}, x, outputs=["index", "label"])
    [_, best] = ran("top_k", {"k": 1}, x, outputs=["values", "indices"])
    assert np.array_equal(index, best)
    assert label.tolist() == [[LABELS[i]] for i in index[:, 0]]


def test_nan_is_never_the_best() -> None:
    x = np.array([[np.nan, 1, 2], [3, np.nan, np.nan]], np.float32)
    assert ran("argmax", {}, x, outputs=["index"])[0].tolist() == [[2], [0]]
    _, indices = ran("top_k", {"k": 2}, x, outputs=["values", "indices"])
    assert indices.tolist() == [[2, 1], [0, 1]]
    grid = np.stack([x, x], 1)
    assert ran("argmax", {}, grid, outputs=["index"])[0].tolist() == [[2, 2], [0, 0]]


def test_labels_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"nul\r\neins\r\n")
    files = {"labels.txt": tmp_path / "labels.txt"}
    options = {"k": 1, "labels": {"file": "labels.txt"}}
    scores = np.array([[0.1, 0.9]], np.float32)
    [_, _, label] = ran("top_k", options, scores, outputs=["v", "i", "l"], files=files)
    assert label.tolist() == [["eins"]]
    with pytest.raises(SpecError, match=r"the file 'labels.txt' is not beside the transform"):
        ran("top_k", options, scores, outputs=["v", "i", "l"])
    with pytest.raises(SpecError, match="there are 2 labels for 3 classes"):
        step("top_k", options, {"x": ("FP32", [3])}, ["v", "i", "l"], files)


def test_a_threshold_is_reached_from_itself_on() -> None:
    x = np.array([[0.4, 0.5], [0.6, np.nan]], np.float64)
    assert ran("threshold", {"at": 0.5}, x).tolist() == [[False, True], [True, False]]
    named = ran("threshold", {"at": [0.4, 0.9], "labels": ["no", "yes"]}, x)
    assert named.tolist() == [["yes", "no"], ["yes", "no"]]


def test_a_category_is_its_place_and_the_unknown_come_last() -> None:
    options = {"vocabulary": ["red", "green", ""]}
    assert ran("category", options, texts("green", "", "blue")).tolist() == [[1], [2], [3]]
    numbers = np.array([[7, 5], [9, 7]], np.int32)
    assert ran("category", {"vocabulary": [5, 7]}, numbers).tolist() == [[1, 0], [2, 1]]
    with pytest.raises(RowError, match="'blue' is not in the vocabulary"):
        ran("category", options | {"unknown": "error"}, texts("red", "blue"))


def test_a_vocabulary_in_a_file_may_be_of_numbers(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("10\n20\n")
    files = {"words.txt": tmp_path / "words.txt"}
    options = {"vocabulary": {"file": "words.txt"}}
    assert ran("category", options, np.array([[20]], np.int64), files=files).tolist() == [[1]]
    assert ran("category", options, texts("20"), files=files).tolist() == [[1]]


@given(st.lists(st.text(max_size=8), min_size=1, max_size=5), st.integers(1, 1000))
def test_a_bucket_can_be_computed_anywhere(words: list[str], buckets: int) -> None:
    found = ran("hash_bucket", {"buckets": buckets, "salt": "s"}, texts(*words))
    for word, bucket in zip(words, found[:, 0].tolist(), strict=True):
        digest = hashlib.blake2b(word.encode(), digest_size=8, key=b"s").digest()
        assert bucket == int.from_bytes(digest, "little") % buckets
    number = ran("hash_bucket", {"buckets": buckets}, np.array([[42]], np.uint8))
    assert np.array_equal(number, ran("hash_bucket", {"buckets": buckets}, texts("42")))


def test_how_much_a_caller_makes_of_classes_has_an_end() -> None:
    """A row of any length is the caller's: a few megabytes would be terabytes."""
    made = step("one_hot", {"classes": 1 << 20}, {"input": ("INT64", [-1])})
    with pytest.raises(RowError, match="4096 values of 1048576 classes are more than"):
        made.run(["output"], {"input": np.zeros((2, 2048), np.int64)})


@given(arrays.arrays(np.int64, (3, 2), elements=st.integers(-1, 4)))
def test_one_hot_rows_are_of_the_unit_matrix(x: np.ndarray) -> None:
    unit = np.vstack([np.eye(4), np.zeros((2, 4))])  # 4 and -1 have no place
    found = ran("one_hot", {"classes": 4, "unknown": "zeros"}, x)
    assert np.array_equal(found, unit[x])
    single = ran("one_hot", {"classes": 4, "unknown": "zeros"}, x[:, :1])
    assert np.array_equal(single, unit[x[:, 0]])


def test_a_class_that_is_none_is_refused() -> None:
    with pytest.raises(RowError, match="-1 is none of 4 classes, 0 to 3"):
        ran("one_hot", {"classes": 4}, np.array([[0], [-1]], np.int64))


@pytest.mark.parametrize(
    ("op", "options", "kind", "says"),
    [
        ("softmax", {}, ("INT64", [3]), "takes FP16 or FP32 or FP64: cast it first"),
        ("softmax", {"axis": 1}, ("FP32", [3]), "there is no axis 1"),
        ("softmax", {"temperature": 0}, ("FP32", [3]), "options temperature: "),
        ("top_k", {"k": 4}, ("FP32", [3]), "it has 3 classes, and the 4 best are wanted"),
        ("top_k", {"k": 1, "labels": ["a"]}, ("FP32", [3]), "1 labels for 3 classes"),
        ("argmax", {}, ("FP32", []), "at least one dimension"),
        ("category", {"vocabulary": ["a", "a"]}, ("BYTES", [1]), "has 'a' twice"),
        ("category", {"vocabulary": [1]}, ("BYTES", [1]), "write them in quotes"),
        ("category", {"vocabulary": ["a"]}, ("INT8", [1]), "more than whole numbers"),
        ("category", {"vocabulary": ["a", True]}, ("BYTES", [1]), "entry 2 is True and no text"),
        ("top_k", {"k": 1, "labels": [False]}, ("FP32", [1]), "write it in quotes"),
        ("top_k", {"k": 1, "labels": []}, ("FP32", [1]), "a list with an entry or more, or a file"),
        ("top_k", {"k": 1, "labels": {"file": "/etc/x"}}, ("FP32", [1]), "'/etc/x' names no file"),
        ("one_hot", {"classes": 3}, ("FP32", [1]), "cast it first"),
        ("hash_bucket", {"buckets": 0}, ("BYTES", [1]), "options buckets: "),
    ],
)
def test_what_cannot_be_is_refused_before_there_are_values(
    op: str, options: dict, kind: tuple, says: str
) -> None:
    with pytest.raises(SpecError) as error:
        step(op, options, {"x": kind})
    assert says in str(error.value)


def test_labels_that_nobody_gave_cannot_be_asked_for() -> None:
    with pytest.raises(SpecError, match=r"gives no 'labels' \(as 'l'\); it gives values, indices"):
        step("top_k", {"k": 1}, {"x": ("FP32", [3])}, ["v", "i", "l"])
