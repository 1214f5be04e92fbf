"""Fitted models on the data sets that scikit-learn brings along."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

CULTIVARS = np.array(["barolo", "grignolino", "barbera"])


def wine() -> tuple[Any, Any]:
    """[178, 13] numbers, and the cultivar of each by its name."""
    x, y = load_wine(return_X_y=True)
    return x, CULTIVARS[y]


def wine_pipeline() -> tuple[Pipeline, Any]:
    x, names = wine()
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(x, names), x


def diabetes_frame() -> tuple[Any, Any]:
    """Ten columns, of which `sex` is a text and `age` a whole number."""
    frame, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    frame["sex"] = np.where(frame["sex"] == 1, "female", "male")
    frame["age"] = frame["age"].astype(int)
    return frame, y


def diabetes_pipeline() -> tuple[Pipeline, Any]:
    """A scaler and a one-hot encoder for the columns they are for, and a regression behind."""
    frame, y = diabetes_frame()
    numbers = [name for name in frame.columns if name != "sex"]
    columns = ColumnTransformer(
        [("scale", StandardScaler(), numbers), ("sex", OneHotEncoder(), ["sex"])]
    )
    return Pipeline([("columns", columns), ("ridge", Ridge())]).fit(frame, y), frame
