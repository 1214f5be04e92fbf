"""What a converted model's provenance says of where it comes from."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

from nereid.conversion.originals import classes_of
from nereid.conversion.parts import FRAMEWORKS, package_of, parts_of

MAX_CLASSES = 1000
"""More are not written down: a provenance holds 64 KiB."""


def origin_of(fitted: Any, model: Any) -> dict[str, Any]:
    """Such as `{"estimator": "Pipeline(StandardScaler, SVC)", "converted_from": "scikit-learn
    1.9.1", "converted_by": "skl2onnx 1.20.0, opset 18", "classes": ["a", "b"]}`."""
    parts = list(parts_of(fitted))
    packages = sorted({package_of(part) for _, part in parts} & FRAMEWORKS.keys())
    frameworks = [f"{FRAMEWORKS[name]} {sys.modules[name].__version__}" for name in packages]
    steps = ", ".join(type(part).__name__ for _, part in parts[1:])
    converters = [f"skl2onnx {version('skl2onnx')}"]
    if {"xgboost", "lightgbm"} & set(packages):
        converters.append(f"onnxmltools {version('onnxmltools')}")
    opsets = [f"{one.domain or 'ai.onnx'} {one.version}" for one in model.opset_import]
    kind = type(fitted).__name__
    told: dict[str, Any] = {
        "estimator": f"{kind}({steps})" if steps else kind,
        "converted_from": ", ".join(frameworks),
        "converted_by": ", ".join(converters),
        "opsets": ", ".join(sorted(opsets)),
    }
    classes = classes_of(fitted)
    if classes is not None and len(classes) <= MAX_CLASSES:
        told["classes"] = classes
    return told
