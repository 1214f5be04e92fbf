"""Tensors of texts: Triton's BYTES, which numpy has as objects."""

from __future__ import annotations

from typing import Any

import numpy as np
from request_batch import InputError


def decoded(name: str, value: np.ndarray) -> np.ndarray:
    """The input's texts.

    Raises:
        InputError: one of them is not UTF-8.
    """
    try:
        texts = [element.decode() for element in value.reshape(-1)]
    except UnicodeDecodeError as error:
        raise InputError(f"input '{name}' is not UTF-8: {error}") from None
    return objects(texts, value.shape)


def encoded(value: np.ndarray) -> np.ndarray:
    """Texts as Triton sends them; bytes stay as they are."""
    return objects(
        [each if isinstance(each, bytes) else str(each).encode() for each in value.reshape(-1)],
        value.shape,
    )


def objects(values: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    """An object array of `values`: numpy would make fixed-width text of them by itself."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape)
