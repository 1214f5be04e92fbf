"""From the fitted object to ONNX, by skl2onnx and onnxmltools."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nereid.conversion.graph import finished
from nereid.conversion.parts import package_of, parts_of, said_of
from nereid.conversion.table import MATRIX, Array, Table
from nereid.errors import ConversionError

OPSETS: Mapping[str, int] = {"": 18, "ai.onnx.ml": 3}
"""The newest that are used; not the newest there are, so that older servers read the file, too."""

_TYPES = {"i": "Int64", "b": "Boolean", "O": "String"}
_INSTALL = "Install what converts: pip install 'nereid[convert]'"


def exported(fitted: Any, table: Table, outputs: Sequence[str], precision: str) -> Any:
    """The ONNX model (an `onnx.ModelProto`) with these outputs, and the table's inputs.

    Args:
        precision: `float` or `double`: what it computes its numbers in, whatever the inputs have.

    Raises:
        ConversionError: what converts is not installed, or a step is not supported.
    """
    try:
        import skl2onnx
    except ImportError as error:
        raise ConversionError(f"{error.name} is missing\n{_INSTALL}") from error
    _register_others(fitted)
    source = _without_names(fitted)
    joined = table.named and not _takes_columns(fitted)
    inputs = {MATRIX: _matrix(table)} if joined else table.inputs
    try:
        model = skl2onnx.convert_sklearn(
            source,
            name=type(fitted).__name__,  # else it is a number by chance, and the digest with it
            initial_types=[(name, _type_of(array, precision)) for name, array in inputs.items()],
            target_opset=dict(OPSETS),
            options=_options(source),
        )
        round_ = _looks_at_single_precision(fitted)
        return finished(model, table.inputs, outputs, joined=joined, round_=round_)
    except ConversionError:
        raise
    except Exception as error:  # each converter has errors of its own, and so has ONNX
        raise ConversionError(_refusal(fitted, error)) from error


def _options(source: Any) -> dict[Any, dict[str, Any]] | None:
    """Probabilities as a tensor, in place of a list of dictionaries."""
    from sklearn.base import is_classifier
    from sklearn.svm import LinearSVC

    if not is_classifier(source):
        return None
    if any(isinstance(part, LinearSVC) for _, part in parts_of(source)):
        return {LinearSVC: {"output_class_labels": False}}  # it knows no other option
    return {id(source): {"zipmap": False}}


def _looks_at_single_precision(fitted: Any) -> bool:
    """Trees of scikit-learn and XGBoost do; LightGBM's, and those of histograms, do not."""
    kinds = [type(part) for _, part in parts_of(fitted)]
    return not any(
        kind.__module__.startswith("lightgbm") or kind.__name__.startswith("HistGradientBoosting")
        for kind in kinds
    )


def _register_others(fitted: Any) -> None:
    """Tells skl2onnx of the converters for what lies in this object."""
    packages = {package_of(part) for _, part in parts_of(fitted)} & {"xgboost", "lightgbm"}
    if not packages:
        return
    try:
        import onnxmltools  # noqa: F401
    except ImportError as error:
        raise ConversionError(f"{error.name} is missing\n{_INSTALL}") from error
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator as shapes

    for name, kind, convert in _converters(packages):
        classifies = name.endswith("Classifier")
        update_registered_converter(
            kind,
            f"Nereid{name}",
            shapes.calculate_linear_classifier_output_shapes
            if classifies
            else shapes.calculate_linear_regressor_output_shapes,
            convert,
            options={"nocl": [True, False], "zipmap": [True, False, "columns"]}
            if classifies
            else None,
        )


def _converters(packages: set[str]) -> list[tuple[str, type, Any]]:
    found: list[tuple[str, type, Any]] = []
    if "xgboost" in packages:
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

        for name in ("XGBClassifier", "XGBRFClassifier", "XGBRegressor", "XGBRFRegressor"):
            found.append((name, getattr(sys.modules["xgboost"], name), convert_xgboost))
    if "lightgbm" in packages:
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

        for name in ("LGBMClassifier", "LGBMRegressor"):
            found.append((name, getattr(sys.modules["lightgbm"], name), convert_lightgbm))
    return found


def _without_names(fitted: Any) -> Any:
    """The object; a copy where XGBoost was fitted with named columns: its converter wants none."""
    if not any(_booster_names(part) for _, part in _fitted_parts(fitted)):
        return fitted
    source = copy.deepcopy(fitted)
    for _, part in _fitted_parts(source):
        if _booster_names(part):
            part.get_booster().feature_names = None
    return source


def _fitted_parts(fitted: Any) -> list[tuple[str, Any]]:
    """Its parts, and the ones that a search or a meta-estimator fitted in place of those."""
    found = list(parts_of(fitted))
    best = getattr(fitted, "best_estimator_", None)
    return found + (list(parts_of(best)) if best is not None else [])


def _booster_names(part: Any) -> bool:
    return (
        package_of(part) == "xgboost"
        and part.__sklearn_is_fitted__()
        and part.get_booster().feature_names is not None
    )


def _takes_columns(fitted: Any) -> bool:
    from sklearn.compose import ColumnTransformer

    return any(isinstance(part, ColumnTransformer) for _, part in parts_of(fitted))


def _matrix(table: Table) -> Array:
    """All columns side by side, with the type that holds each of them."""
    columns = list(table.inputs.values())
    texts = {column.dtype == object for column in columns}
    if len(texts) > 1:
        raise ConversionError(
            "the sample has columns of texts beside columns of numbers\nSay with a "
            "ColumnTransformer what happens to which, or push the columns of one kind."
        )
    return np.concatenate(columns, axis=1)


def _type_of(array: Array, precision: str) -> Any:
    from skl2onnx.common import data_types

    kind = array.dtype.kind
    name = precision.capitalize() if kind == "f" else _TYPES[kind]
    return getattr(data_types, f"{name}TensorType")([None, array.shape[1]])


def _refusal(fitted: Any, error: Exception) -> str:
    said = str(error)
    guilty = [(name, part) for name, part in parts_of(fitted) if str(type(part)) in said]
    what = said_of(*guilty[-1]) if guilty else type(fitted).__name__
    reason = next((line.strip() for line in said.splitlines() if line.strip()), repr(error))
    return (
        f"{what} cannot be converted to ONNX: {reason}\n"
        "Replace it by one that skl2onnx supports, or push a Python model (model.py)."
    )
