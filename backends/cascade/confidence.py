"""How sure a model is of each row, from 0 to 1, by one of its outputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Of an output of shape (rows, ...): one row of numbers each.
Score = Callable[[np.ndarray], np.ndarray]


def _softmax(rows: np.ndarray) -> np.ndarray:
    grown = np.exp(rows - rows.max(axis=1, keepdims=True))
    return grown / grown.sum(axis=1, keepdims=True)


def _largest(rows: np.ndarray) -> np.ndarray:
    return rows.max(axis=1)


def _margin(rows: np.ndarray) -> np.ndarray:
    if rows.shape[1] < 2:
        return rows[:, 0]
    second, first = np.partition(rows, -2, axis=1)[:, -2:].T
    return first - second


def _either(rows: np.ndarray) -> np.ndarray:
    return np.maximum(rows[:, 0], 1 - rows[:, 0])


SCORES: dict[str, Score] = {
    "probability": _largest,
    "softmax": lambda rows: _largest(_softmax(rows)),
    "margin": _margin,
    "softmax_margin": lambda rows: _margin(_softmax(rows)),
    "binary": _either,
}
"""By name:

probability     the largest of the row, which holds probabilities
softmax         the largest probability of the row, which holds logits
margin          the largest probability less the second; the row holds probabilities
softmax_margin  the same of logits
binary          max(p, 1 - p) of the row's one probability
"""


def confidence(score: str, output: np.ndarray) -> np.ndarray:
    """One figure for each row of `output`, float64; NaN where the row has one."""
    rows = np.asarray(output, np.float64).reshape(len(output), -1)
    return SCORES[score](rows)
