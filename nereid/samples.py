"""Held-out images that come with a sample model, to ask an endpoint about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nereid.errors import NereidError

Pixels = npt.NDArray[np.float32]
FOLDER = Path("model_repository") / "samples"


@dataclass(frozen=True)
class SampleImage:
    label: int
    pixels: Pixels  # height by width, 0..1
    answers: Mapping[str, int]  # what each committed version says, by version number


@dataclass(frozen=True)
class Sample:
    name: str
    folder: Path
    input: str
    output: str
    classes: tuple[str, ...]
    images: tuple[SampleImage, ...]

    def batch(self, index: int) -> dict[str, Pixels]:
        """The inference input for one image: batch and channel axes of one."""
        return {self.input: self.image(index).pixels[None, None, :, :]}

    def image(self, index: int) -> SampleImage:
        if not 0 <= index < len(self.images):
            raise NereidError(
                f"sample {self.name} has images 0 to {len(self.images) - 1}, not {index}"
            )
        return self.images[index]


def load_sample(name: str, cwd: Path | None = None) -> Sample:
    """Read a sample by name, from a checkout around `cwd` or around this package, or by path."""
    if "/" in name or name in {".", ".."}:
        return _read(Path(name))
    roots = [*_upward((cwd or Path.cwd()).resolve()), *_upward(Path(__file__).resolve().parent)]
    for root in roots:
        folder = root / FOLDER / name
        if (folder / "images.json").is_file():
            return _read(folder)
    raise NereidError(f"there is no sample {name!r}: no {FOLDER / name / 'images.json'} was found")


def _upward(start: Path) -> list[Path]:
    return [start, *start.parents]


def _read(path: Path) -> Sample:
    file = path if path.suffix == ".json" else path / "images.json"
    try:
        document = json.loads(file.read_text())
        scale = float(document["scale"])
        images = tuple(
            SampleImage(
                label=int(entry["label"]),
                pixels=(np.asarray(entry["pixels"], dtype=np.float32) / scale).astype(np.float32),
                answers=dict(entry.get("answers") or {}),
            )
            for entry in document["images"]
        )
        return Sample(
            name=file.parent.name,
            folder=file.parent,
            input=str(document["input"]),
            output=str(document["output"]),
            classes=tuple(str(label) for label in document["classes"]),
            images=images,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NereidError(f"{file} is not a sample: {error}") from error
