"""Texts: what a language model reads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le
from pydantic import Field, PrivateAttr, model_validator

from .files import FileName, Files
from .op import Array, Flag, Given, Op, PortError, Types, Values, Whole, need_single, texts_of
from .tensor_type import TensorType, numpy_of


class Tokenize(Op):
    """Texts become token numbers, by a tokenizer of Hugging Face's `tokenizers`.

    `mask` is 1 where there is a token and 0 where a row was filled up; `type_ids` are 1 for the
    second text of a pair.
    """

    takes = ("text", "pair?")
    gives = ("ids", "mask", "type_ids")
    shapes = "text BYTES[1], and pair BYTES[1] → each INT64[max_length], or [-1] without padding"

    file: FileName = Field(description="A tokenizer.json in the artifact.")
    max_length: Annotated[Whole, Ge(1), Le(1 << 17)] | None = Field(
        None, description="Tokens of a row, the special ones among them."
    )
    padding: Literal["max_length", "none"] = Field(
        "max_length", description="`none` leaves each row its own length."
    )
    truncation: Flag = Field(True, description="Longer texts are cut; else they are refused.")
    special_tokens: Flag = Field(True, description="The tokenizer's own, such as [CLS].")
    pad_id: Annotated[Whole, Ge(0)] | None = Field(
        None, description="Left out: the one in the tokenizer's padding, else 0."
    )
    pad_side: Literal["right", "left"] = Field("right", description="Where rows are filled up.")
    datatype: Literal["INT64", "INT32"] = Field("INT64", description="Of all three.")
    _tokenizer: Any = PrivateAttr(None)
    _pad_id: int = PrivateAttr(0)

    @model_validator(mode="after")
    def _length_known(self) -> Tokenize:
        if self.padding == "max_length" and self.max_length is None:
            raise ValueError("say max_length, or padding: none")
        return self

    def open(self, files: Files) -> None:
        from tokenizers import Tokenizer

        path = str(files.path(self.file))
        with _reasons(f"the file {self.file!r} is no tokenizer"):
            tokenizer = Tokenizer.from_file(path)
        own = tokenizer.padding or {}
        self._pad_id = own.get("pad_id", 0) if self.pad_id is None else self.pad_id
        tokenizer.no_padding()
        if self.max_length is not None and self.truncation:
            tokenizer.enable_truncation(self.max_length)
        else:
            tokenizer.no_truncation()
        self._tokenizer = tokenizer

    def infer(self, types: Types) -> Types:
        for port, given in types.items():
            need_single(given, ["BYTES"], port=port)
        special = self._tokenizer.num_special_tokens_to_add("pair" in types)
        if self.special_tokens and self.max_length is not None and special > self.max_length:
            raise PortError(
                "text", f"the tokenizer adds {special} tokens, and max_length is {self.max_length}"
            )
        length = self.max_length if self.padding == "max_length" else None
        return dict.fromkeys(self.gives, TensorType(self.datatype, (length or -1,)))

    def run(self, values: Values) -> Given:
        texts = [texts_of(value) for value in values.values()]
        pairs = texts[0] if len(texts) == 1 else list(zip(*texts, strict=True))
        with _reasons("it cannot be tokenized"):
            found = self._tokenizer.encode_batch(pairs, add_special_tokens=self.special_tokens)
        longest = max((len(each.ids) for each in found), default=0)
        if self.max_length is not None and longest > self.max_length:
            raise ValueError(f"a text has {longest} tokens, and {self.max_length} are taken")
        return {
            "ids": self._rows([each.ids for each in found], self._pad_id),
            "mask": self._rows([each.attention_mask for each in found], 0),
            "type_ids": self._rows([each.type_ids for each in found], 0),
        }

    def _rows(self, rows: list[list[int]], fill: int) -> Array | list[Array]:
        kind = numpy_of(self.datatype)
        if self.padding == "none":
            return [np.array(row, kind) for row in rows]
        found = np.full((len(rows), self.max_length or 0), fill, kind)
        for row, tokens in zip(found, rows, strict=True):
            if tokens:
                row[: len(tokens)] = tokens
                if self.pad_side == "left":
                    row[:] = np.roll(row, len(row) - len(tokens))
        return found


@contextlib.contextmanager
def _reasons(what: str) -> Iterator[None]:
    """The library's errors share no class, and its panics are not even exceptions of Python's."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:
        raise ValueError(f"{what}: {str(error)[:500]}") from None


OPS: dict[str, type[Op]] = {"tokenize": Tokenize}
