"""The files beside a `transform.yaml`: labels, vocabularies, tokenizers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Len
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Strict,
    StringConstraints,
)

MAX_TEXT_BYTES = 16 << 20
MAX_FILE_BYTES = 256 << 20
MAX_ENTRIES = 1 << 20

_PART = "[A-Za-z0-9_][A-Za-z0-9._+-]*"


def _checked_name(name: str) -> str:
    if len(name) > 200 or not re.fullmatch(f"{_PART}(/{_PART}){{0,7}}", name):
        raise ValueError(f"{name[:80]!r} names no file that an archive may hold")
    return name


FileName = Annotated[str, AfterValidator(_checked_name)]
Word = Annotated[str, StringConstraints(max_length=10_000)]


class InFile(BaseModel):
    """A list in a text file of the artifact, an entry a line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: FileName


def texts_or_file(value: Any) -> Any:
    """A list of texts, or the file that holds one; says what else it is."""
    if isinstance(value, Mapping) and value.keys() == {"file"}:
        return InFile(file=_checked_name(str(value["file"])))
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("a list with an entry or more, or a file with one: {file: NAME}")
    for place, each in enumerate(value, 1):
        if not isinstance(each, str):
            raise ValueError(f"entry {place} is {each!r} and no text: write it in quotes")
    return value


def numbers_texts_or_file(value: Any) -> Any:
    """The same, where a list may be of whole numbers as well."""
    whole = isinstance(value, list | tuple) and value and all(type(each) is int for each in value)
    return value if whole else texts_or_file(value)


_TextList = Annotated[tuple[Word, ...], Len(1, MAX_ENTRIES)]
_NumberList = Annotated[tuple[Annotated[int, Strict()], ...], Len(1, MAX_ENTRIES)]
Words = Annotated[_TextList | InFile, BeforeValidator(texts_or_file)]
"""Written out, or in a file."""

Vocabulary = Annotated[_NumberList | _TextList | InFile, BeforeValidator(numbers_texts_or_file)]


class Files:
    """The artifact's files by name."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = dict(files)

    @classmethod
    def of_folder(cls, folder: Path) -> Files:
        """All files of a folder; no link leads out of it."""
        return cls(
            {
                str(path.relative_to(folder)): path
                for path in sorted(folder.rglob("*"))
                if path.is_file() and not path.is_symlink()
            }
        )

    def path(self, name: str) -> Path:
        """Where the file lies.

        Raises:
            ValueError: there is none of that name, or it is too large.
        """
        path = self._files.get(name)
        if path is None:
            there = ", ".join(sorted(self._files)[:20]) or "none"
            raise ValueError(
                f"the file {name!r} is not beside the transform (there: {there}): send a zip or "
                "tar of transform.yaml and its files"
            )
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(f"the file {name!r} has over {MAX_FILE_BYTES} bytes")
        return path

    def words(self, words: tuple[str, ...] | InFile) -> tuple[str, ...]:
        """The entries, wherever they are written.

        Raises:
            ValueError: the file is not there, or holds no such list.
        """
        if not isinstance(words, InFile):
            return words
        path = self.path(words.file)
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise ValueError(f"the file {words.file!r} has over {MAX_TEXT_BYTES} bytes")
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(f"the file {words.file!r} is not UTF-8: {error}") from None
        lines = re.split("\r?\n", text)
        if lines[-1] == "":
            lines.pop()
        if not 0 < len(lines) <= MAX_ENTRIES:
            raise ValueError(f"the file {words.file!r} has {len(lines)} lines: 1 to {MAX_ENTRIES}")
        return tuple(lines)
