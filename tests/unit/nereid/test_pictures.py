import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from nereid import NereidError, Tensor
from nereid.cli import render
from nereid.drawing import (
    Picture,
    bar,
    colour,
    enlarge,
    prediction_card,
    probability_bars,
    softmax,
    split_bar,
)
from nereid.inference import arm_title
from nereid.samples import load_sample
from nereid.tensors import load_inputs

CHECKOUT = Path(__file__).resolve().parents[3]
IMAGE = Tensor("image", "FP32", (-1, 1, 2, 2))


def drawn(renderable: object, *, colours: bool = False) -> str:
    file = io.StringIO()
    console = Console(
        file=file, width=100, force_terminal=colours, color_system="truecolor" if colours else None
    )
    console.print(renderable)
    return file.getvalue()


def test_without_colour_a_pixel_is_a_shade() -> None:
    assert drawn(Picture(np.array([[0.0, 1.0], [0.5, 0.25]], np.float32))) == "  ██\n▒▒░░\n"


def test_with_colour_a_cell_holds_two_pixels() -> None:
    text = drawn(Picture(np.zeros((8, 8), np.float32)), colours=True)
    assert text.count("▀") == 16 * 8
    assert len(text.splitlines()) == 8


def test_an_odd_picture_keeps_its_last_row() -> None:
    text = drawn(Picture(np.ones((3, 3), np.float32), scale=1), colours=True)
    assert len(text.splitlines()) == 2


def test_enlarging_keeps_flat_areas_flat_and_stays_in_range() -> None:
    assert np.allclose(enlarge(np.full((3, 3), 0.4, np.float32), 3), 0.4)
    sharp = enlarge(np.array([[0.0, 1.0]], np.float32), 2)
    assert sharp.shape == (2, 4)
    assert np.allclose(sharp[0], [0, 0.25, 0.75, 1])


def test_brighter_is_never_darker() -> None:
    shades = [sum(colour(value).triplet or ()) for value in np.linspace(-0.1, 1.1, 60)]
    assert shades == sorted(shades)


@pytest.mark.parametrize(
    ("fraction", "drawing"),
    [(0, "    "), (1, "████"), (0.5, "██  "), (0.0001, "▏   "), (2, "████"), (0.28, "█▏  ")],
)
def test_bars_are_exact_to_an_eighth(fraction: float, drawing: str) -> None:
    assert bar(fraction, 4).plain == drawing


@pytest.mark.parametrize("weights", [[90, 10], [99.99, 0.01], [100], [33, 33, 34], [0, 100]])
def test_a_split_fills_its_width_and_shows_every_share(weights: list[float]) -> None:
    text = split_bar(weights, 20)
    assert text.cell_len == 20
    assert sum(span.end > span.start for span in text.spans) == sum(w > 0 for w in weights)


def test_no_split_is_drawn_where_there_is_none() -> None:
    assert split_bar([], 5).plain == "·····"


def test_scores_become_probabilities_once() -> None:
    once = softmax(np.array([1.0, 2.0, 1000.0]))
    assert np.isclose(once.sum(), 1)
    assert np.allclose(softmax(once), once)


def test_the_likeliest_classes_come_first() -> None:
    lines = drawn(probability_bars("abcd", np.array([0.1, 0.6, 0.3, 0.0]), top=3)).splitlines()
    assert [line[0] for line in lines] == ["b", "c", "a"]
    assert "60.0%" in lines[0]


@pytest.mark.parametrize(("truth", "words"), [(1, "✓ right"), (0, "✗ wrong, it is a zero")])
def test_a_card_says_what_was_answered_and_whether_it_is_right(truth: int, words: str) -> None:
    card = prediction_card(
        title="digits",
        pixels=np.zeros((8, 8), np.float32),
        classes=("zero", "one"),
        scores=np.array([0.0, 5.0]),
        truth=truth,
        arm="digits:1",
        physical="digits.v1.9f2c1a",
        how="gRPC · 1.2 ms",
    )
    text = drawn(card)
    for part in ("It is a one", words, "99.3%", "answered by digits:1", "digits.v1.9f2c1a"):
        assert part in text


def test_the_sample_has_what_the_demonstration_needs() -> None:
    sample = load_sample("digits", CHECKOUT)
    assert sample.batch(0)["image"].shape == (1, 1, 8, 8)
    assert sample.batch(0)["image"].dtype == np.float32
    both = [i for i in sample.images if i.answers["1"] == i.answers["2"] == i.label]
    only_second = [i for i in sample.images if i.answers["1"] != i.label == i.answers["2"]]
    assert {image.label for image in both} == set(range(10))
    assert only_second
    assert sample.images[0].answers == {"1": 7, "2": 7}, "readiness asks about this one"
    accuracy = [
        json.loads((sample.folder / name / "metrics.json").read_text())["accuracy"]
        for name in ("v1", "v2")
    ]
    assert accuracy[0] < 0.92 < 0.97 <= accuracy[1]


@pytest.mark.parametrize("index", [-1, 16])
def test_an_image_that_is_not_there_is_refused(index: int) -> None:
    with pytest.raises(NereidError, match="images 0 to 15"):
        load_sample("digits", CHECKOUT).image(index)


def test_an_unknown_sample_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NereidError, match="no sample 'cats'"):
        load_sample("cats", tmp_path)


def test_the_arm_is_named_as_people_write_it() -> None:
    assert arm_title("digits.v12.9f2c1a") == "digits:12"
    assert arm_title("something-else") == "something-else"


@pytest.mark.parametrize(
    "document",
    [
        [[[[0, 1], [2, 3]]]],
        [[[0, 1], [2, 3]]],
        {"image": [[[0, 1], [2, 3]]]},
        {"inputs": [{"name": "image", "shape": [1, 1, 2, 2], "data": [0, 1, 2, 3]}]},
    ],
)
def test_a_json_input_is_fitted_to_the_model(document: object, tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    path.write_text(json.dumps(document))
    image = load_inputs(path, [IMAGE])["image"]
    assert (image.dtype, image.tolist()) == (np.float32, [[[[0, 1], [2, 3]]]])


def test_arrays_are_read_too(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.ones((1, 2, 2)))
    assert load_inputs(tmp_path / "in.npy", [IMAGE])["image"].shape == (1, 1, 2, 2)
    np.savez(tmp_path / "in.npz", image=np.ones((3, 1, 2, 2)))
    assert load_inputs(tmp_path / "in.npz", [IMAGE])["image"].shape == (3, 1, 2, 2)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[1, 2]", r"shape \[2\], wanted image FP32\[\?, 1, 2, 2\]"),
        ('{"picture": []}', "has picture, but the inputs are image"),
        ("{}", "nothing for image"),
        ('"text"', "neither a list nor an object"),
        ('[["a"]]', "does not fit"),
        ("[1", "cannot be read"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    path.write_text(text)
    with pytest.raises(NereidError, match=reason):
        load_inputs(path, [IMAGE])


def test_figures_are_printed_for_people() -> None:
    assert [render.size(n) for n in (0, 999, 3347, 41_492, 2_500_000)] == [
        "0 B",
        "999 B",
        "3.3 KB",
        "41.5 KB",
        "2.5 MB",
    ]
    assert [render.percent(w) for w in (90, 0.5, 33.33)] == ["90 %", "0.5 %", "33.33 %"]
    assert render.ago("soon") == "soon"
