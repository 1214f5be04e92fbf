"""Images against Pillow and plain slices."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from backends.transform.nereid_transforms import images
from backends.transform.nereid_transforms.spec import SpecError
from backends.transform.nereid_transforms.transform import RowError
from tests.support.transforms import png, ran, step, texts

PIXELS = arrays.arrays(
    np.uint8,
    st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3)),
    elements=st.integers(0, 255),
)


@given(PIXELS)
def test_a_png_file_comes_back_as_its_pixels(pixels: np.ndarray) -> None:
    assert np.array_equal(ran("decode_image", {}, texts(png(pixels)))[0], pixels)
    grey = ran("decode_image", {"mode": "grey"}, texts(png(pixels)))
    assert np.array_equal(grey[0, ..., 0], np.asarray(Image.fromarray(pixels).convert("L")))


def test_other_kinds_of_files_become_the_same_bytes() -> None:
    deep = Image.fromarray(np.array([[0, 256], [65_535, 1000]], np.uint16))
    palette = Image.fromarray(np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)).quantize(2)
    clear = Image.fromarray(np.array([[[9, 8, 7, 0]]], np.uint8))
    jpeg = Image.fromarray(np.full((8, 8, 3), 100, np.uint8))
    assert ran("decode_image", {"mode": "grey"}, texts(saved(deep)))[0, ..., 0].tolist() == [
        [0, 1],
        [255, 3],
    ]
    assert ran("decode_image", {}, texts(saved(palette))).tolist() == [[[[255, 0, 0], [0, 0, 255]]]]
    assert ran("decode_image", {}, texts(saved(clear))).tolist() == [[[[9, 8, 7]]]]
    assert abs(ran("decode_image", {}, texts(saved(jpeg, "JPEG"))).astype(int) - 100).max() <= 1


def saved(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def bomb(side: int) -> bytes:
    """A PNG of some bytes that says it is huge."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        (b"GIF89a", {}, "6 bytes that are neither a PNG nor a JPEG"),
        (b"", {}, "0 bytes"),
        (png(np.zeros((40, 40), np.uint8))[:-30], {}, "cannot be decoded"),
        (bomb(30_000), {}, "cannot be decoded: Image size"),
        (bomb(5_000), {}, "5000 x 5000 has more"),
        (png(np.zeros((4, 5), np.uint8)), {"max_pixels": 19}, "more than the 19 pixels"),
        (png(np.zeros((4, 5), np.uint8)), {"height": 5}, "is 5 x 4, and any x 5 is asked for"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_no_image_or_too_large_is_refused(content: bytes, options: dict, says: str) -> None:
    with pytest.raises(RowError, match=says):
        ran("decode_image", options, texts(content))


def test_images_of_one_batch_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_BATCH_PIXELS", 40)
    small = png(np.zeros((4, 5), np.uint8))
    assert len(ran("decode_image", {}, texts(small, small))) == 2
    with pytest.raises(RowError, match="have more than 40 pixels: send fewer at a time"):
        ran("decode_image", {}, texts(small, small, small))


@given(PIXELS, st.sampled_from(["nearest", "box", "bilinear", "bicubic", "lanczos"]))
def test_images_are_resized_as_pillow_does(pixels: np.ndarray, method: str) -> None:
    how = Image.Resampling[method.upper()]
    options = {"height": 3, "width": 4, "method": method}
    wanted = np.asarray(Image.fromarray(pixels).resize((4, 3), how))
    assert np.array_equal(ran("resize", options, pixels[None])[0], wanted)
    one = ran("resize", options, pixels[None, ..., :1].astype(np.float32))[0, ..., 0]
    plain = Image.fromarray(pixels[..., 0].astype(np.float32)).resize((4, 3), how)
    assert np.array_equal(one, np.asarray(plain))


def test_the_shorter_side_is_given_and_proportions_stay() -> None:
    wide = step("resize", {"shorter": 4}, {"x": ("UINT8", [8, 20, 3])})
    assert wide.outputs["output"].dims == (4, 10, 3)
    assert ran("resize", {"shorter": 4}, np.zeros((2, 20, 8, 1), np.uint8)).shape == (2, 10, 4, 1)


def test_parts_of_images_are_cut_out() -> None:
    x = np.arange(2 * 5 * 7 * 3, dtype=np.uint8).reshape(2, 5, 7, 3)
    assert np.array_equal(ran("center_crop", {"height": 3, "width": 4}, x), x[:, 1:4, 1:5])
    part = ran("crop", {"top": 2, "left": 0, "height": 3, "width": 2}, x)
    assert np.array_equal(part, x[:, 2:5, :2])
    assert np.array_equal(ran("to_chw", {}, x), np.moveaxis(x, 3, 1))


def test_channels_are_normalized_wherever_they_are() -> None:
    x = np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3)
    mean, std = np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.25, 2])
    options = {"mean": mean, "std": std, "scale": 1 / 255}
    wanted = (x / 255 - mean) / std
    assert np.allclose(ran("normalize", options, x), wanted, atol=1e-6)
    first = ran("normalize", options | {"axis": 0}, np.ascontiguousarray(np.moveaxis(x, 3, 1)))
    assert np.allclose(first, np.moveaxis(wanted, 3, 1), atol=1e-6)


@pytest.mark.parametrize(
    ("op", "options", "kind", "says"),
    [
        ("decode_image", {}, ("UINT8", [-1]), "it takes BYTES"),
        ("decode_image", {}, ("BYTES", [2]), "one value a row"),
        ("resize", {}, ("UINT8", [4, 4, 3]), "height and width, or shorter alone"),
        ("resize", {"height": 4}, ("UINT8", [4, 4, 3]), "height and width, or shorter alone"),
        ("resize", {"height": 4, "width": 99_999}, ("UINT8", [4, 4, 3]), "options width: "),
        ("resize", {"shorter": 4}, ("UINT8", [4, 4, 2]), "1 or 3 channels, last"),
        ("resize", {"shorter": 4}, ("FP64", [4, 4, 2]), "takes UINT8 or FP32: cast it first"),
        ("center_crop", {"height": 9, "width": 1}, ("UINT8", [8, 8, 1]), "asked for is 9 high"),
        ("crop", {"top": 1, "left": 1, "height": 7, "width": 8}, ("UINT8", [8, 8, 1]), "9 wide"),
        ("to_chw", {}, ("UINT8", [8, 8]), "rows of [height, width, channels]"),
        ("normalize", {"mean": [1, 2], "std": [1]}, ("UINT8", [8, 8, 3]), "mean has 2 values"),
    ],
)
def test_what_is_no_image_is_refused_before_there_are_any(
    op: str, options: dict, kind: tuple, says: str
) -> None:
    with pytest.raises(SpecError) as error:
        step(op, options, {"x": kind})
    assert says in str(error.value)


def test_an_image_that_is_too_small_is_refused() -> None:
    small = step("center_crop", {"height": 4, "width": 4}, {"x": ("UINT8", [-1, -1, 3])})
    with pytest.raises(RowError, match="an image is 3 x 5, and the part asked for goes to 4 x 4"):
        small.run(["output"], {"x": np.zeros((1, 5, 3, 3), np.uint8)})
