"""Fit the boosted trees of the wine sample, and write them as ONNX.

    python model_repository/samples/wine/train.py

Writes `model.onnx`, `metrics.json`, `features.transform.yaml` (raw JSON to scaled columns, with the
mean and deviation of each) and `requests.json` (held-out wines) beside this file. Everything it
writes is committed: serving the sample needs none of the packages that it is made with.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import xgboost
from sklearn.datasets import load_wine
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from nereid.conversion import converted

HERE = Path(__file__).resolve().parent
SEED = 20
HELD_OUT = 60
SHOWN = 6


def main() -> None:
    wine = load_wine()
    rows = np.arange(len(wine.target))
    train, test = train_test_split(
        rows, test_size=HELD_OUT, random_state=SEED, stratify=wine.target
    )
    scaler = StandardScaler().fit(wine.data[train])
    x = scaler.transform(wine.data).astype(np.float32)
    trees = xgboost.XGBClassifier(
        n_estimators=40, max_depth=3, learning_rate=0.2, random_state=SEED, n_jobs=1
    ).fit(x[train], wine.target[train])
    with TemporaryDirectory() as folder:
        model = converted(trees, x[test], Path(folder))
        (HERE / "model.onnx").write_bytes(model.path.read_bytes())
    chances = trees.predict_proba(x[test])
    write(
        "metrics.json",
        {
            "architecture": "boosted trees, 40 rounds",
            "accuracy": round(accuracy_score(wine.target[test], chances.argmax(axis=1)), 4),
            "log_loss": round(log_loss(wine.target[test], chances), 4),
            "held_out": HELD_OUT,
        },
    )
    names = [name.replace("/", "_") for name in wine.feature_names]
    (HERE / "features.transform.yaml").write_text(features(names, scaler))
    shown = [int(np.flatnonzero(wine.target[test] == kind % 3)[kind // 3]) for kind in range(SHOWN)]
    write(
        "requests.json",
        [
            {
                "row": int(test[i]),
                "cultivar": int(wine.target[test[i]]),
                "wine": dict(zip(names, map(float, wine.data[test[i]]), strict=True)),
            }
            for i in shown
        ],
    )
    right = int((chances.argmax(axis=1) == wine.target[test]).sum())
    print(f"boosted trees: {right} of {HELD_OUT} held-out wines")


def features(names: list[str], scaler: StandardScaler) -> str:
    """The transform before the model: a field of the JSON for each column, scaled as trained."""
    fields = "\n".join(f"        {name}: {{datatype: FP32}}" for name in names)
    numbers = {
        "mean": [round(float(value), 6) for value in scaler.mean_],
        "std": [round(float(value), 6) for value in scaler.scale_],
    }
    return f"""# From what an application sends to the columns of the model; written by train.py.
description: A wine as JSON becomes the 13 scaled columns of the model.
inputs:
  - {{name: wine, datatype: BYTES, dims: [1]}}
steps:
  - op: parse_json
    inputs: wine
    outputs: [{", ".join(names)}]
    options:
      fields:
{fields}
  - {{op: concat, inputs: [{", ".join(names)}], outputs: columns}}
  - op: standard_scale
    inputs: columns
    outputs: x
    options:
      mean: {numbers["mean"]}
      std: {numbers["std"]}
outputs: [x]
"""


def write(name: str, document: Any) -> None:
    (HERE / name).write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
