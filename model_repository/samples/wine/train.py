"""Fit the boosted trees of the wine sample, and write them as ONNX.

    python model_repository/samples/wine/train.py

Writes `model.onnx`, `metrics.json`, `scale.json` (mean and deviation of each column, for the
transform before it) and `requests.json` (held-out wines) beside this file. Everything it writes is
committed: serving the sample needs none of the packages that it is made with.
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
    write(
        "scale.json",
        {
            "columns": names,
            "mean": [round(float(value), 6) for value in scaler.mean_],
            "deviation": [round(float(value), 6) for value in scaler.scale_],
        },
    )
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


def write(name: str, document: Any) -> None:
    (HERE / name).write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
