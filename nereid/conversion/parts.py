"""The parts that a fitted object consists of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

FRAMEWORKS = {"sklearn": "scikit-learn", "xgboost": "xgboost", "lightgbm": "lightgbm"}
"""Package -> its name at the package index."""


def parts_of(fitted: Any) -> Iterator[tuple[str, Any]]:
    """The object itself under the empty name, and its steps: `columns__scale`, StandardScaler()."""
    yield "", fitted
    for name, value in fitted.get_params(deep=True).items():
        if hasattr(value, "get_params") and not isinstance(value, type):
            yield name, value


def package_of(part: Any) -> str:
    return type(part).__module__.partition(".")[0]


def said_of(name: str, part: Any) -> str:
    """Such as: the step 'columns__scale' (RobustScaler)."""
    kind = type(part).__name__
    return f"the step {name!r} ({kind})" if name else kind
