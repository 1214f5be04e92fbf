"""Images: from the bytes of a file to numbers of the size that a model wants."""

from __future__ import annotations

import io
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le
from pydantic import Field, model_validator

from .op import (
    Array,
    Map,
    Number,
    Numbers,
    NumbersAbove0,
    Op,
    PortError,
    Whole,
    need,
    need_per_column,
    need_single,
)
from .tensor_type import NUMBERS, TensorType

MAX_SIDE = 16_384
DEFAULT_MAX_PIXELS = 4096 * 4096
MAX_BATCH_PIXELS = 1 << 28
"""Of all images of a batch, which are in memory at once: 800 MB in colours."""

Side = Annotated[Whole, Ge(1), Le(MAX_SIDE)]
Offset = Annotated[Whole, Ge(0), Le(MAX_SIDE)]

_CHANNELS = {"grey": 1, "rgb": 3}


class DecodeImage(Map):
    """A PNG or JPEG file becomes pixels.

    The size is looked at before anything is unpacked, so a small file cannot take the memory of a
    large picture; all images of a request have 268,435,456 pixels at most. Transparency is dropped,
    palettes are looked up, 16 bits become 8.
    """

    shapes = "BYTES[1] → UINT8[height, width, channels]"

    mode: Literal["rgb", "grey"] = Field("rgb", description="3 channels, or 1.")
    max_pixels: Annotated[Whole, Ge(1), Le(1 << 28)] = Field(
        DEFAULT_MAX_PIXELS, description="Height times width; a larger image is refused."
    )
    height: Side | None = Field(None, description="Where every image has it; others are refused.")
    width: Side | None = Field(None, description="The same.")

    def infer_one(self, given: TensorType) -> TensorType:
        need_single(given, ["BYTES"])
        return TensorType("UINT8", (self.height or -1, self.width or -1, _CHANNELS[self.mode]))

    def run_one(self, value: Array) -> list[Array]:
        images: list[Array] = []
        left = MAX_BATCH_PIXELS
        for content in value.reshape(-1):
            images.append(self._decoded(content, left))
            left -= images[-1].shape[0] * images[-1].shape[1]
        return images

    def _decoded(self, content: bytes | str, left: int) -> Array:
        from PIL import Image, UnidentifiedImageError

        data = content.encode() if isinstance(content, str) else content
        try:
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
                self._check_size(*image.size, left)
                return _pixels(image, self.mode)
        except UnidentifiedImageError:
            raise ValueError(f"{len(data)} bytes that are neither a PNG nor a JPEG file") from None
        except (Image.DecompressionBombError, OSError, SyntaxError, EOFError) as error:
            raise ValueError(f"the image cannot be decoded: {error}") from None

    def _check_size(self, width: int, height: int, left: int) -> None:
        if width * height > self.max_pixels:
            raise ValueError(
                f"an image of {width} x {height} has more than the {self.max_pixels} pixels that "
                "are taken"
            )
        if width * height > left:
            raise ValueError(
                f"the images of one request have more than {MAX_BATCH_PIXELS} pixels: send fewer "
                "at a time"
            )
        if width != (self.width or width) or height != (self.height or height):
            raise ValueError(
                f"an image is {width} x {height}, and {self.width or 'any'} x "
                f"{self.height or 'any'} is asked for"
            )


def _pixels(image: Any, mode: str) -> Array:
    if image.mode.startswith("I"):  # 16 bits a pixel: Pillow would cut off what is above 255
        deep = np.asarray(image).astype(np.int64).clip(0, 65_535)
        grey = (deep >> 8).astype(np.uint8)[..., None]
        return grey if mode == "grey" else np.repeat(grey, 3, axis=2)
    pixels = np.asarray(image.convert("L" if mode == "grey" else "RGB"))
    return pixels[..., None] if mode == "grey" else pixels


class Resize(Map):
    """Images of any size become images of one size, by Pillow's resampling.

    With `height` and `width` they have that size whatever their proportions; with `shorter` the
    shorter side has it and the proportions stay.
    """

    shapes = "UINT8 or FP32 [height, width, channels] → the same type"

    height: Side | None = Field(None, description="In pixels, with `width`.")
    width: Side | None = Field(None, description="In pixels, with `height`.")
    shorter: Side | None = Field(None, description="In place of both.")
    method: Literal["nearest", "box", "bilinear", "bicubic", "lanczos"] = Field(
        "bilinear", description="`box` is the mean of what falls into a pixel."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Resize:
        both = self.height is not None and self.width is not None
        either = self.height is not None or self.width is not None
        if both == (self.shorter is not None) or (either and not both):
            raise ValueError("say height and width, or shorter alone")
        return self

    def infer_one(self, given: TensorType) -> TensorType:
        need(given, ["UINT8", "FP32"], rank=3)
        height, width, channels = given.dims
        if given.datatype == "UINT8" and channels not in (1, 3, -1):
            raise PortError("input", "bytes have 1 or 3 channels, last: cast it to FP32 first")
        if self.shorter is None:
            return TensorType(given.datatype, (self.height or -1, self.width or -1, channels))
        if -1 in (height, width):
            return TensorType(given.datatype, (-1, -1, channels))
        return TensorType(given.datatype, (*self._size(height, width), channels))

    def run_one(self, value: Array) -> Array:
        return np.stack([self._resized(image) for image in value])

    def _size(self, height: int, width: int) -> tuple[int, int]:
        if self.shorter is None:
            return self.height or height, self.width or width
        if height <= width:
            return self.shorter, max(1, round(self.shorter * width / height))
        return max(1, round(self.shorter * height / width)), self.shorter

    def _resized(self, image: Array) -> Array:
        from PIL import Image

        height, width = self._size(*image.shape[:2])
        if max(height, width) > MAX_SIDE:
            raise ValueError(f"it would be {width} x {height}: a side has at most {MAX_SIDE}")
        how = Image.Resampling[self.method.upper()]
        if image.dtype == np.uint8 and image.shape[2] == 3:
            return np.asarray(Image.fromarray(image).resize((width, height), how))
        planes = [np.ascontiguousarray(image[..., c]) for c in range(image.shape[2])]
        return np.stack(
            [np.asarray(Image.fromarray(plane).resize((width, height), how)) for plane in planes],
            axis=2,
        )


class CenterCrop(Map):
    """The middle of an image."""

    shapes = "any [height, width, channels] → the same type"

    height: Side = Field(description="In pixels.")
    width: Side = Field(description="In pixels.")

    def infer_one(self, given: TensorType) -> TensorType:
        _need_room(given, self.height, self.width)
        return TensorType(given.datatype, (self.height, self.width, given.dims[2]))

    def run_one(self, value: Array) -> Array:
        _check_room(value, self.height, self.width)
        top, left = (value.shape[1] - self.height) // 2, (value.shape[2] - self.width) // 2
        return value[:, top : top + self.height, left : left + self.width]


class Crop(Map):
    """A part of an image, counted from its upper left corner."""

    shapes = "any [height, width, channels] → the same type"

    top: Offset = Field(description="The first row, from 0.")
    left: Offset = Field(description="The first column, from 0.")
    height: Side = Field(description="In pixels.")
    width: Side = Field(description="In pixels.")

    def infer_one(self, given: TensorType) -> TensorType:
        _need_room(given, self.top + self.height, self.left + self.width)
        return TensorType(given.datatype, (self.height, self.width, given.dims[2]))

    def run_one(self, value: Array) -> Array:
        _check_room(value, self.top + self.height, self.left + self.width)
        return value[:, self.top : self.top + self.height, self.left : self.left + self.width]


def _need_room(given: TensorType, height: int, width: int) -> None:
    if len(given.dims) != 3:
        raise PortError("input", "it takes images: rows of [height, width, channels]")
    for size, wanted, side in zip(given.dims, (height, width), ("high", "wide"), strict=False):
        if -1 < size < wanted:
            raise PortError("input", f"the part asked for is {wanted} {side}")


def _check_room(value: Array, height: int, width: int) -> None:
    if value.shape[1] < height or value.shape[2] < width:
        raise ValueError(
            f"an image is {value.shape[2]} x {value.shape[1]}, and the part asked for goes to "
            f"{width} x {height}"
        )


class Normalize(Map):
    """`(x * scale - mean) / std`, by channel.

    What torchvision does is `scale: 0.00392156862745098` with its means and deviations.
    """

    shapes = "any numbers → FP32 (FP64 stays FP64), same dims"

    mean: Numbers = Field(description="One value, or one for each channel.")
    std: NumbersAbove0 = Field(description="The same, above 0.")
    scale: Number = Field(1.0, description="1/255 brings bytes to 0 … 1.")
    axis: Whole = Field(-1, description="Where the channels are; 0 for channels first.")

    def infer_one(self, given: TensorType) -> TensorType:
        need(given, NUMBERS)
        if not given.dims:
            raise PortError("input", "it takes rows of at least one dimension")
        if not -len(given.dims) <= self.axis < len(given.dims):
            raise PortError("input", f"there is no axis {self.axis} in it")
        channels = TensorType(given.datatype, (given.dims[self.axis],))
        need_per_column(self.mean, channels, "mean")
        need_per_column(self.std, channels, "std")
        return TensorType("FP64" if given.datatype == "FP64" else "FP32", given.dims)

    def run_one(self, value: Array) -> Array:
        kind = np.float64 if value.dtype == np.float64 else np.float32
        shape = [1] * value.ndim
        shape[self.axis if self.axis < 0 else self.axis + 1] = -1
        mean = np.array(self.mean, np.float64).reshape(shape)
        std = np.array(self.std, np.float64).reshape(shape)
        # One multiplication and one addition for each pixel.
        return value.astype(kind) * (self.scale / std).astype(kind) - (mean / std).astype(kind)


class ToChw(Map):
    """Channels go first, as most models want them."""

    shapes = "any [height, width, channels] → [channels, height, width]"

    def infer_one(self, given: TensorType) -> TensorType:
        if len(given.dims) != 3:
            raise PortError("input", "it takes images: rows of [height, width, channels]")
        height, width, channels = given.dims
        return TensorType(given.datatype, (channels, height, width))

    def run_one(self, value: Array) -> Array:
        return value.transpose(0, 3, 1, 2)


OPS: dict[str, type[Op]] = {
    "decode_image": DecodeImage,
    "resize": Resize,
    "center_crop": CenterCrop,
    "crop": Crop,
    "normalize": Normalize,
    "to_chw": ToChw,
}
