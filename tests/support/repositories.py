"""The hand-written Triton repositories of `tests/repositories`, with the files that are made."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnxruntime_extensions

from backends.build import Target, build
from tests.support.models import inverse, multiplier
from tests.support.native import CHECKOUT

REPOSITORIES = Path(__file__).resolve().parents[1] / "repositories"
IDENTITY = CHECKOUT / "perf" / "native" / "identity.cc"

NATIVE_FILES = {
    "ragged": ("model.onnx",),
    "engine": ("model.plan",),
    "accelerated": ("model.onnx",),
    "graph": ("model.savedmodel/saved_model.pb",),
    "guarded": ("plain.onnx", "turing.onnx", "ampere.onnx"),
    "forest": ("xgboost.json",),
    "pair": ("net.xml", "net.bin"),
    "folder": ("a100.savedmodel/saved_model.pb",),
}
"""What a version of each model of `native` has."""

CARRIED = ("folder", "forest", "guarded", "pair")


def everything(target: Path) -> Path:
    """A repository that a Triton here loads: every feature that needs no GPU."""
    shutil.copytree(REPOSITORIES / "everything", target)
    for number, factor in ((1, 2.0), (2, 20.0), (3, 3.0)):
        multiplier(target / f"scaler/{number}/scaler.onnx", factor)
    for number, factor in ((1, 10.0), (2, 5.0)):
        multiplier(target / f"bare/{number}/model.onnx", factor)
    (target / "inverse/1").mkdir()
    inverse(target / "inverse/1/model.onnx")
    library(target / "inverse/libextensions.so")
    for empty in ("inner", "outer", "passes"):
        (target / empty / "1").mkdir(exist_ok=True)
    shutil.copyfile(identity(), target / "passes" / identity().name)
    (target / "scaler/warmup").mkdir(exist_ok=True)
    np.arange(4, dtype=np.float32).tofile(target / "scaler/warmup/four.bin")
    return target


def identity() -> Path:
    """The library of a backend of its own, which needs no file in a version's folder."""
    return build(Target("libtriton_identity.so", (str(IDENTITY),)), verbose=False)


def library(target: Path) -> Path:
    """One with operators for ONNX Runtime that is none of a test's own making."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(onnxruntime_extensions.get_library_path(), target)
    return target


def carried(target: Path) -> Path:
    """A repository that comes and goes, and that no Triton here can load: `CARRIED` of `native`."""
    for name in CARRIED:
        shutil.copytree(REPOSITORIES / "native" / name, target / name)
        for file in NATIVE_FILES[name]:
            path = target / name / "1" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"made elsewhere")
    for file in ("plain.onnx", "turing.onnx", "ampere.onnx"):
        multiplier(target / "guarded/1" / file, 2.0)
    library(target / "guarded/libfirst.so")
    (target / "pair/1/net.xml").write_text('<net name="m" version="11"><layers/></net>')
    return target
