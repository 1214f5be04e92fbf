"""A document that a command takes from a file."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from nereid.cli.document_file import read_document
from nereid.errors import NereidError

SHAPE = "an object with a margin"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", "margin = 1e3"),
        ("a.json", '{"margin": 1e3}'),
        ("a.yaml", "margin: 1.0e+3"),
        ("a", '\t{"margin": 1e3}'),
    ],
)
def test_each_way_to_write_it_says_the_same(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_document(str(tmp_path / name), "template", SHAPE) == {"margin": 1000.0}


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("margin: 2"))
    assert read_document("-", "template", SHAPE) == {"margin": 2}
    monkeypatch.setattr("sys.stdin", io.StringIO("[1]"))
    with pytest.raises(NereidError, match="standard input is no template: that is an object with"):
        read_document("-", "template", SHAPE)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", "margin = 2026-01-01"),
        ("a.yaml", "margin: 2026-01-01"),
        ("a.yaml", "margin: ["),
        ("a.json", "margin: 1"),
        ("a.json", '{"margin": NaN}'),
        ("a.json", "[" * 100_000),
    ],
)
def test_what_cannot_be_sent_is_told_with_its_file(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(NereidError, match=rf"{name} cannot be read as a template: "):
        read_document(str(file), "template", SHAPE)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NereidError, match=r"none cannot be read as a template: .*No such file"):
        read_document(str(tmp_path / "none"), "template", SHAPE)
