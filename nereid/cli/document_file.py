"""A document in a file: a profile, a pipeline, an analysis template, a rollout."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import typer
import yaml

from nereid.errors import NereidError

STANDARD_INPUT = "-"


def read_document(file: str, what: str, shape: str) -> dict[str, Any]:
    """The object in a file: TOML by its ending, else JSON or YAML; `-` is standard input.

    Args:
        what: what it is to be, and `shape` how that looks: both for the error.

    Raises:
        NereidError: it cannot be read, or is no object that can be sent.
    """
    where = "standard input" if file == STANDARD_INPUT else file
    try:
        piped = file == STANDARD_INPUT
        text = sys.stdin.read() if piped else Path(file).read_text(encoding="utf-8")
        document = _parsed(text, Path(file).suffix)
        json.dumps(document, allow_nan=False)  # TOML and YAML know dates, which nothing here has
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise NereidError(f"{where} cannot be read as a {what}: {error}") from error
    if not isinstance(document, dict):
        raise NereidError(f"{where} is no {what}: that is {shape}")
    return document


def option_document(file: str, what: str, shape: str) -> dict[str, Any]:
    """The same of a file that an option names: a wrong one is wrong usage.

    Raises:
        typer.BadParameter: it cannot be read, or is no object that can be sent.
    """
    try:
        return read_document(file, what, shape)
    except NereidError as error:
        raise typer.BadParameter(str(error)) from error


def _parsed(text: str, suffix: str) -> Any:
    if suffix == ".toml":
        return tomllib.loads(text)
    if suffix == ".json":
        return json.loads(text)
    try:
        return json.loads(text)  # not quite a part of YAML, where 1e3 is a text
    except ValueError:
        return yaml.safe_load(text)
