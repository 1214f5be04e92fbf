"""The weighted mean of what several models answer (soft voting where they give probabilities)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from settings import SettingError

SCALES = ("as_is", "softmax")


@dataclass(frozen=True)
class Weighted:
    """Members with their weights, which count relative to their sum."""

    members: tuple[str, ...]
    weights: tuple[float, ...]
    scale: str

    def mean(self, answers: Sequence[np.ndarray]) -> np.ndarray:
        """sum(w_i * y_i) / sum(w_i), elementwise, in the type of the answers.

        `softmax` makes probabilities of each row's logits before: models whose logits have
        different scales vote alike. Worked: weights 3 and 1, answers [1, 0] and [0, 1] ->
        [0.75, 0.25].
        """
        shapes = {answer.shape for answer in answers}
        if len(shapes) > 1:
            raise ValueError(f"the members' answers differ in shape: {sorted(map(list, shapes))}")
        total = np.zeros(answers[0].shape, np.float64)
        for weight, answer in zip(self.weights, answers, strict=True):
            total += weight * (_softmax(answer) if self.scale == "softmax" else answer)
        return (total / sum(self.weights)).astype(answers[0].dtype)


def _softmax(values: np.ndarray) -> np.ndarray:
    grown = np.exp(values - values.max(axis=-1, keepdims=True), dtype=np.float64)
    return grown / grown.sum(axis=-1, keepdims=True)


def read_weighted(parameters: Mapping[str, str]) -> Weighted:
    """What the parameter `weighted_average` describes, as JSON:

        {"members": ["digits.v1.0a1b2c", "digits.v2.3d4e5f"], "weights": [0.3, 0.7],
         "scale": "softmax"}

    Raises:
        SettingError: it is not there, or not that.
    """
    try:
        said = json.loads(parameters["weighted_average"])
        weighted = Weighted(
            tuple(map(str, said["members"])),
            tuple(map(float, said["weights"])),
            str(said["scale"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SettingError(f"parameter weighted_average cannot be read: {error!r}") from None
    if not weighted.members or len(weighted.members) != len(weighted.weights):
        raise SettingError("parameter weighted_average needs members, and a weight for each")
    if min(weighted.weights) < 0 or not 0 < sum(weighted.weights) < float("inf"):
        raise SettingError("parameter weighted_average: weights are 0 or more, one of them above")
    if weighted.scale not in SCALES:
        raise SettingError(f"parameter weighted_average: scale is one of {', '.join(SCALES)}")
    return weighted
