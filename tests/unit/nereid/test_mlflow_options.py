"""The options of the deployment plugin: what is no value is refused in words."""

from __future__ import annotations

from decimal import Decimal

import pytest

from nereid.mlflow_options import OptionError, Options


@pytest.mark.parametrize(
    ("text", "value"),
    [("10", "10"), ("0.25%", "0.25"), ("100", "100"), ("0", "0"), ("07.5", "7.5")],
)
def test_a_percentage(text: str, value: str) -> None:
    assert Options.of({"weight": text}).weight == Decimal(value)


@pytest.mark.parametrize(
    "text", ["nan", "inf", "1e1", "-0", "-1", "100.01", "101", "0.125", "", "%", "ten", "+5", "1_0"]
)
def test_what_is_no_percentage(text: str) -> None:
    with pytest.raises(OptionError, match="a percentage from 0 to 100"):
        Options.of({"weight": text})
