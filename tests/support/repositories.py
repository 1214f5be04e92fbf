"""The hand-written Triton repositories of `tests/repositories`, with the files that are made."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from tests.support.models import multiplier

REPOSITORIES = Path(__file__).resolve().parents[1] / "repositories"

NATIVE_FILES = {
    "ragged": ("model.onnx",),
    "engine": ("model.plan",),
    "accelerated": ("model.onnx",),
    "graph": ("model.savedmodel/saved_model.pb",),
}
"""What a version of each model of `native` has."""


def everything(target: Path) -> Path:
    """A repository that a Triton here loads: every feature that needs no GPU."""
    shutil.copytree(REPOSITORIES / "everything", target)
    for number, factor in ((1, 2.0), (2, 20.0), (3, 3.0)):
        multiplier(target / f"scaler/{number}/scaler.onnx", factor)
    for number, factor in ((1, 10.0), (2, 5.0)):
        multiplier(target / f"bare/{number}/model.onnx", factor)
    for ensemble in ("inner", "outer"):
        (target / ensemble / "1").mkdir(exist_ok=True)
    (target / "scaler/warmup").mkdir(exist_ok=True)
    np.arange(4, dtype=np.float32).tofile(target / "scaler/warmup/four.bin")
    return target
