"""Categories: words and numbers that stand for something, as a model counts them."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le, Len
from pydantic import Field, PrivateAttr

from .files import Files, InFile, Vocabulary
from .op import Array, Map, Op, PortError, Whole, need, texts_of
from .tensor_type import INTEGERS, MAX_SIZE, TensorType

MAX_CLASSES = 1 << 20
MAX_ONE_HOT = MAX_SIZE
"""Values of a whole batch: how long a row is may be the caller's to say."""


class Category(Map):
    """Each value becomes its place in a vocabulary, from 0.

    What is not in it has the place behind the last, the bucket of the unknown: the model counts
    one class more than the vocabulary has.
    """

    shapes = "BYTES or any integers → INT64, same dims"

    vocabulary: Vocabulary = Field(description="Texts or whole numbers, or `{file: words.txt}`.")
    unknown: Literal["bucket", "error"] = Field(
        "bucket", description="`error` refuses the request in place of counting it."
    )
    _places: dict[Any, int] = PrivateAttr(default_factory=dict)

    def open(self, files: Files) -> None:
        words: tuple[Any, ...] = (
            files.words(self.vocabulary) if isinstance(self.vocabulary, InFile) else self.vocabulary
        )
        self._places.clear()
        for place, word in enumerate(words):
            if self._places.setdefault(word, place) != place:
                raise ValueError(f"the vocabulary has {str(word)[:80]!r} twice")

    def infer_one(self, given: TensorType) -> TensorType:
        need(given, ["BYTES", *INTEGERS])
        if given.datatype == "BYTES" and not isinstance(next(iter(self._places)), str):
            raise PortError("input", "the vocabulary has whole numbers: write them in quotes")
        if given.datatype != "BYTES":
            self._as_integers()
        return TensorType("INT64", given.dims)

    def run_one(self, value: Array) -> Array:
        each = texts_of(value) if value.dtype == object else value.reshape(-1).tolist()
        bucket = len(self._places)
        places = [self._places.get(one, bucket) for one in each]
        if self.unknown == "error" and bucket in places:
            word = each[places.index(bucket)]
            raise ValueError(f"{str(word)[:80]!r} is not in the vocabulary")
        return np.array(places, np.int64).reshape(value.shape)

    def _as_integers(self) -> None:
        """A vocabulary in a file has texts, whatever it is of."""
        try:
            found = {int(word): place for word, place in self._places.items()}
        except ValueError as error:
            raise PortError(
                "input", f"the vocabulary has more than whole numbers: {error}"
            ) from None
        self._places.clear()
        self._places.update(found)


class HashBucket(Map):
    """Each value becomes one of so many numbers, always the same; different ones may share it.

    It is the first 8 bytes of BLAKE2b of the text (of an integer: of its digits), read as an
    integer with the lowest byte first, modulo `buckets`: in Python
    `int.from_bytes(hashlib.blake2b(text, digest_size=8, key=salt).digest(), "little") % buckets`.
    """

    shapes = "BYTES or any integers → INT64, same dims"

    buckets: Annotated[Whole, Ge(1), Le((1 << 31) - 1)] = Field(
        description="How many numbers there are, from 0."
    )
    salt: Annotated[str, Len(0, 64)] = Field("", description="Another one makes other pairs meet.")

    def infer_one(self, given: TensorType) -> TensorType:
        need(given, ["BYTES", *INTEGERS])
        return TensorType("INT64", given.dims)

    def run_one(self, value: Array) -> Array:
        key = self.salt.encode()
        found = [_hashed(each, key) % self.buckets for each in value.reshape(-1).tolist()]
        return np.array(found, np.int64).reshape(value.shape)


def _hashed(value: bytes | str | int, key: bytes) -> int:
    text = value if isinstance(value, bytes) else str(value).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8, key=key).digest(), "little")


class OneHot(Map):
    """A class becomes a row of zeros with a 1 at its place.

    A last dimension of 1 becomes the classes; other shapes get one dimension more.
    """

    shapes = "any integers [..., 1] → FP32[..., classes]; [..., n] → FP32[..., n, classes]"

    classes: Annotated[Whole, Ge(1), Le(MAX_CLASSES)] = Field(
        description="How many there are, from 0."
    )
    unknown: Literal["error", "zeros"] = Field(
        "error", description="What is below 0 or not below `classes`: `zeros` is a row without 1."
    )

    def infer_one(self, given: TensorType) -> TensorType:
        need(given, INTEGERS)
        kept = given.dims[:-1] if given.dims[-1:] == (1,) else given.dims
        return TensorType("FP32", (*kept, self.classes))

    def run_one(self, value: Array) -> Array:
        if value.ndim > 1 and value.shape[-1] == 1:
            value = value[..., 0]
        known = (value >= 0) & (value < self.classes)
        if self.unknown == "error" and not known.all():
            wrong = int(value[~known].reshape(-1)[0])
            raise ValueError(f"{wrong} is none of {self.classes} classes, 0 to {self.classes - 1}")
        if value.size * self.classes > MAX_ONE_HOT:
            raise ValueError(
                f"{value.size} values of {self.classes} classes are more than the {MAX_ONE_HOT} "
                "numbers of one batch: send fewer at a time"
            )
        found = np.zeros((value.size, self.classes), np.float32)
        places = np.flatnonzero(known)
        found[places, value.reshape(-1)[places].astype(np.int64)] = 1
        return found.reshape(*value.shape, self.classes)


OPS: dict[str, type[Op]] = {
    "category": Category,
    "hash_bucket": HashBucket,
    "one_hot": OneHot,
}
