"""Fitted models become ONNX models that answer the same, or are refused with the difference."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
import xgboost
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from nereid import ConversionError, DifferentAnswersError
from nereid.conversion import Converted, converted
from nereid.conversion.exporting import OPSETS
from tests.support.fitted import CULTIVARS, diabetes_frame, diabetes_pipeline, wine, wine_pipeline


def answers(path: Path, inputs: dict[str, Any]) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(str(path))
    return dict(
        zip((o.name for o in session.get_outputs()), session.run(None, inputs), strict=True)
    )


def signature(path: Path) -> dict[str, tuple[str, list[Any]]]:
    session = onnxruntime.InferenceSession(str(path))
    return {t.name: (t.type, t.shape) for t in [*session.get_inputs(), *session.get_outputs()]}


def on_wine(model: Any, *, named: bool = True) -> tuple[Any, Any]:
    x, names = wine()
    return model.fit(x, names if named else load_wine(return_X_y=True)[1]), x


def on_breast_cancer(model: Any) -> tuple[Any, Any]:
    x, y = load_breast_cancer(return_X_y=True)
    return model.fit(x, y), x


def boosted() -> Any:
    return xgboost.XGBClassifier(n_estimators=5, n_jobs=1)


def searched() -> Any:
    search = GridSearchCV(LogisticRegression(max_iter=5000), {"C": [0.1, 1]}, cv=2)
    return make_pipeline(StandardScaler(), search)


CLASSIFIERS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "scaled": wine_pipeline,
    "forest": lambda: on_wine(RandomForestClassifier(15, random_state=0)),
    "histogram": lambda: on_wine(HistGradientBoostingClassifier(max_iter=3)),
    "search": lambda: on_breast_cancer(searched()),
    "xgboost": lambda: on_wine(boosted(), named=False),
    "xgboost of two": lambda: on_breast_cancer(boosted()),
    "xgboost, scaled": lambda: on_wine(make_pipeline(StandardScaler(), boosted()), named=False),
    "lightgbm": lambda: on_wine(lightgbm.LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1)),
}


@pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_a_classifier_gives_labels_and_probabilities(
    make: Callable[[], tuple[Any, Any]], tmp_path: Path
) -> None:
    fitted, x = make()
    made = converted(fitted, x, tmp_path)
    kind = "tensor(string)" if fitted.classes_.dtype.kind in "OU" else "tensor(int64)"
    told = signature(made.path)
    assert told["x"] == ("tensor(double)", ["batch", x.shape[1]])
    assert told["label"] == (kind, ["batch"])
    assert told["probabilities"][1] == ["batch", len(fitted.classes_)]
    got = answers(made.path, {"x": x})
    assert np.array_equal(got["label"], fitted.predict(x))
    assert np.allclose(got["probabilities"], fitted.predict_proba(x), atol=1e-5)
    assert made.provenance["classes"] == fitted.classes_.tolist()
    assert made.provenance["largest_difference"] < 1e-5
    assert made.provenance["compared_rows"] == len(x)


@pytest.mark.parametrize(("kind", "said"), [(np.float32, "float"), (np.float64, "double")])
@pytest.mark.parametrize(
    "model",
    [
        LinearRegression(),
        GradientBoostingRegressor(n_estimators=9),
        xgboost.XGBRegressor(n_estimators=5, n_jobs=1),
        lightgbm.LGBMRegressor(n_estimators=5, n_jobs=1, verbose=-1),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_regressor_gives_a_prediction_to_each_row(
    model: Any, kind: type, said: str, tmp_path: Path
) -> None:
    x, y = load_diabetes(return_X_y=True)
    fitted, x = model.fit(x, y), x.astype(kind)
    made = converted(fitted, x, tmp_path)
    assert signature(made.path)["x"][0] == f"tensor({said})"
    got = answers(made.path, {"x": x})
    assert list(got) == ["prediction"]
    assert np.allclose(got["prediction"][:, 0], fitted.predict(x), rtol=1e-5)


def test_what_has_no_probabilities_gives_its_label_alone(tmp_path: Path) -> None:
    x, names = wine()
    for fitted in (
        make_pipeline(StandardScaler(), LinearSVC()).fit(x, names),
        KMeans(3, n_init=1, random_state=0).fit(x),
    ):
        got = answers(converted(fitted, x, tmp_path).path, {"x": x})
        assert list(got) == ["label"]
        assert np.array_equal(got["label"], fitted.predict(x))


def test_a_transformer(tmp_path: Path) -> None:
    x, _ = wine()
    fitted = make_pipeline(StandardScaler(), PCA(3)).fit(x)
    got = answers(converted(fitted, x, tmp_path).path, {"x": x})
    assert list(got) == ["transformed"]
    assert np.allclose(got["transformed"], fitted.transform(x))


def test_a_frame_makes_an_input_of_each_column(tmp_path: Path) -> None:
    fitted, frame = diabetes_pipeline()
    made = converted(fitted, frame, tmp_path)
    told = signature(made.path)
    assert list(told)[:-1] == list(frame.columns)
    assert told["sex"] == ("tensor(string)", ["batch", 1])
    assert told["age"] == ("tensor(int64)", ["batch", 1])
    assert told["bmi"] == ("tensor(double)", ["batch", 1])
    columns = {name: frame[name].to_numpy()[:, None] for name in frame}
    columns["sex"] = columns["sex"].astype(object)
    got = answers(made.path, columns)["prediction"][:, 0]
    assert np.allclose(got, fitted.predict(frame), rtol=1e-4)
    assert made.golden[0]["inputs"]["sex"] == [[frame["sex"][0]]]


@pytest.mark.parametrize(
    "kind",
    [
        lambda: RandomForestClassifier(9, random_state=0),
        boosted,
        lambda: lightgbm.LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1),
    ],
    ids=["scikit-learn", "xgboost", "lightgbm"],
)
@pytest.mark.filterwarnings(
    "ignore:.*whitespaces:UserWarning"
)  # LightGBM renames columns for itself
def test_columns_are_joined_for_what_takes_a_matrix(kind: Any, tmp_path: Path) -> None:
    data = load_wine(as_frame=True)
    frame = data.data.assign(proline=data.data["proline"].astype(int))
    fitted = kind().fit(frame, data.target)
    names = getattr(fitted, "feature_names_in_", None)
    made = converted(fitted, frame, tmp_path)
    assert list(signature(made.path))[:-2] == list(frame.columns)
    got = answers(made.path, {name: frame[name].to_numpy()[:, None] for name in frame})
    assert np.array_equal(got["label"], fitted.predict(frame))
    assert list(fitted.feature_names_in_) == list(names), "the original is not touched"


def test_columns_may_be_called_as_something_inside(tmp_path: Path) -> None:
    data = load_wine(as_frame=True)
    frame = data.data.iloc[:, :3].set_axis(["x", "variable", "raw_scores"], axis=1)
    frame["variable"] = frame["variable"].astype(np.float32)
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, data.target)
    got = answers(
        converted(fitted, frame, tmp_path).path,
        {name: frame[name].to_numpy()[:, None] for name in frame},
    )
    assert np.array_equal(got["label"], fitted.predict(frame))
    taken = frame.rename(columns={"x": "label"})
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(taken, data.target)
    assert "an output is called 'label'" in refused(fitted, taken, tmp_path)


def test_the_first_difference_is_told_and_nothing_made(tmp_path: Path) -> None:
    fitted, x = wine_pipeline()
    true = fitted.predict_proba(x)
    wrong = true.copy()
    wrong[7, 1] += 0.01
    wrong[9, 0] += 0.5
    fitted.predict_proba = lambda _: wrong
    with pytest.raises(DifferentAnswersError, match="probabilities, row 7, column 1") as refused:
        converted(fitted, x, tmp_path)
    found = refused.value
    assert (found.output, found.row, found.column) == ("probabilities", 7, 1)
    assert found.got == pytest.approx(true[7, 1])
    assert found.expected == wrong[7, 1]
    assert list(tmp_path.iterdir()) == []
    wrong[9, 0] = true[9, 0]
    assert converted(fitted, x, tmp_path, 0.02).provenance["largest_difference"] == (
        pytest.approx(0.01)
    )


def test_another_label_is_a_difference(tmp_path: Path) -> None:
    fitted, x = wine_pipeline()
    said = fitted.predict(x)
    said[3] = CULTIVARS[2]
    fitted.predict = lambda _: said
    words = r"label, row 3, column 0: .* 'barolo', .* 'barbera'"
    with pytest.raises(DifferentAnswersError, match=words):
        converted(fitted, x, tmp_path)


@pytest.mark.parametrize("make", [wine_pipeline, diabetes_pipeline, CLASSIFIERS["forest"]])
def test_the_file_is_one_that_old_servers_read_and_always_the_same(
    make: Callable[[], tuple[Any, Any]], tmp_path: Path
) -> None:
    fitted, x = make()
    content = converted(fitted, x, tmp_path).path.read_bytes()
    assert converted(fitted, x, tmp_path).path.read_bytes() == content
    model = onnx.load_from_string(content)
    domains = [one.domain for one in model.opset_import]
    assert len(domains) == len(set(domains))
    assert all(one.version <= OPSETS[one.domain] for one in model.opset_import)
    onnx.shape_inference.infer_shapes(model, strict_mode=True)


def test_the_golden_rows_are_from_all_over_the_sample(tmp_path: Path) -> None:
    fitted, x = wine_pipeline()
    made = converted(fitted, x, tmp_path, 1e-3)
    assert [example["inputs"]["x"] for example in made.golden] == [
        [x[row].tolist()] for row in (0, 59, 118, 177)
    ]
    assert [example["outputs"]["label"] for example in made.golden] == [
        [fitted.predict(x[row : row + 1])[0]] for row in (0, 59, 118, 177)
    ]
    assert {example["tolerance"] for example in made.golden} == {1e-3}


def test_missing_values_are_compared_and_are_no_golden_example(tmp_path: Path) -> None:
    x, names = wine()
    x[::2, 4] = np.nan
    fitted = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()).fit(x, names)
    made = converted(fitted, x, tmp_path)
    assert made.provenance["compared_rows"] == len(x)
    assert [example["inputs"]["x"] for example in made.golden] == [
        [x[row].tolist()] for row in (1, 59, 117, 177)
    ]


def test_where_it_comes_from(tmp_path: Path) -> None:
    x, y = load_wine(return_X_y=True)
    fitted = make_pipeline(StandardScaler(), boosted()).fit(x, y)
    told = converted(fitted, x, tmp_path).provenance
    assert told["estimator"] == "Pipeline(StandardScaler, XGBClassifier)"
    assert told["converted_from"].endswith(f", xgboost {xgboost.__version__}")
    assert told["converted_from"].startswith("scikit-learn 1.")
    assert "skl2onnx" in told["converted_by"]
    assert "onnxmltools" in told["converted_by"]


class Doubled(TransformerMixin, BaseEstimator):
    def fit(self, x: Any, y: Any = None) -> Doubled:
        self.n_features_in_ = x.shape[1]
        return self

    def transform(self, x: Any) -> Any:
        return x * 2


def refused(fitted: Any, sample: Any, tmp_path: Path) -> str:
    with pytest.raises(ConversionError) as error:
        converted(fitted, sample, tmp_path)
    return str(error.value)


def test_a_step_that_is_not_supported_is_named(tmp_path: Path) -> None:
    x, names = wine()
    steps = [("scale", StandardScaler()), ("twice", Doubled()), ("model", LogisticRegression())]
    fitted = Pipeline(steps).fit(x, names)
    assert "the step 'twice' (Doubled) cannot be converted" in refused(fitted, x, tmp_path)


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    fitted, x = wine_pipeline()
    assert "pip install 'nereid[convert]'" in refused(fitted, x, tmp_path)


def test_what_is_no_fitted_model(tmp_path: Path) -> None:
    x, numbers = load_wine(return_X_y=True)
    booster = boosted().fit(x, numbers).get_booster()
    assert "Linear is not converted" in refused(torch.nn.Linear(1, 1), x, tmp_path)
    assert "push the XGBClassifier" in refused(booster, x, tmp_path)
    assert "LogisticRegression is not converted" in refused(LogisticRegression, x, tmp_path)
    assert "not fitted" in refused(LogisticRegression(), x, tmp_path)


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (None, "sample=X"),
        (np.zeros(13), "[rows, columns]"),
        (np.zeros((0, 13)), "empty"),
        (np.zeros((1, 13), np.complex64), "complex64"),
        (pd.DataFrame({0: [1.0]}), "the sample has 0"),
        (pd.DataFrame({"a": ["x", None]}), "column 'a', row 1 has"),
        (pd.DataFrame({"a": [1.0], "b": ["x"]}), "does not answer the sample"),
    ],
    ids=["none", "row", "empty", "type", "name", "missing", "unfit"],
)
def test_samples_that_do_not_do(sample: Any, words: str, tmp_path: Path) -> None:
    assert words in refused(wine_pipeline()[0], sample, tmp_path)


def test_texts_need_a_column_transformer(tmp_path: Path) -> None:
    frame, y = diabetes_frame()
    booster = lightgbm.LGBMRegressor(n_estimators=2, n_jobs=1, verbose=-1)
    frame["sex"] = frame["sex"].astype("category")
    fitted = booster.fit(frame, y)
    assert "ColumnTransformer" in refused(fitted, frame, tmp_path)


def test_several_targets_are_refused(tmp_path: Path) -> None:
    x, names = wine()
    fitted = RandomForestClassifier(3).fit(x, np.stack([names, names], axis=1))
    assert "several targets" in refused(fitted, x, tmp_path)


def test_a_result_is_a_file_of_its_folder(tmp_path: Path) -> None:
    fitted, x = wine_pipeline()
    made = converted(fitted, x, tmp_path)
    assert isinstance(made, Converted)
    assert made.path == tmp_path / "model.onnx"
