"""What the original itself answers to the sample, by the names that the outputs get."""

from __future__ import annotations

from typing import Any

import numpy as np

from nereid.conversion.parts import package_of
from nereid.conversion.table import Array, Table
from nereid.errors import ConversionError

_HERE = "scikit-learn estimators, XGBoost's and LightGBM's scikit-learn classes"
_LABELS = {"classifier", "clusterer", "outlier_detector"}


def original_answers(fitted: Any, table: Table) -> dict[str, Array]:
    """`label` and, where there are any, `probabilities`; else `prediction`, else `transformed`.

    Raises:
        ConversionError: it is not something that can be converted, is not fitted, or does not take
            the sample.
    """
    if not hasattr(fitted, "get_params") or isinstance(fitted, type):
        advice = _BOOSTER if package_of(fitted) in ("xgboost", "lightgbm") else ""
        kind = fitted.__name__ if isinstance(fitted, type) else type(fitted).__name__
        raise ConversionError(f"{kind} is not converted: {_HERE} are, when fitted{advice}")
    try:
        answers = _asked(fitted, table.original)
    except ConversionError:
        raise
    except Exception as error:  # whatever an estimator of anybody's raises
        raise ConversionError(
            f"{type(fitted).__name__} does not answer the sample: {error}\n"
            "Fit it first, and give rows as it takes them."
        ) from error
    for name, answer in answers.items():
        if answer.dtype.kind not in "fiubUO":
            raise ConversionError(f"{name} is of the type {answer.dtype}, which is not compared")
    return answers


_BOOSTER = (
    "\nA bare Booster does not say what its numbers mean: push the XGBClassifier, LGBMRegressor … "
    "around it."
)


def classes_of(fitted: Any) -> list[Any] | None:
    """The classes, in the order of the columns of `probabilities`."""
    found = getattr(fitted, "classes_", None)
    return np.asarray(found).tolist() if found is not None else None


def _asked(fitted: Any, sample: Any) -> dict[str, Array]:
    if hasattr(fitted, "predict"):
        kind = _kind(fitted)
        answers = {"label" if kind in _LABELS else "prediction": _dense(fitted.predict(sample))}
        if kind == "classifier" and hasattr(fitted, "predict_proba"):
            answers["probabilities"] = _dense(fitted.predict_proba(sample))
        return answers
    if hasattr(fitted, "transform"):
        return {"transformed": _dense(fitted.transform(sample))}
    raise ConversionError(
        f"{type(fitted).__name__} has neither predict nor transform, so there is nothing to ask it"
    )


def _kind(fitted: Any) -> str | None:
    from sklearn.utils import get_tags

    kind: str | None = get_tags(fitted).estimator_type
    return kind


def _dense(answer: Any) -> Array:
    if isinstance(answer, list):
        raise ConversionError("it answers several targets at once: push a model for each of them")
    if hasattr(answer, "toarray"):
        answer = answer.toarray()
    return np.asarray(answer)
