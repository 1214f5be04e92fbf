"""The house rules that a machine can hold."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
ROOMS = ("control_plane", "workers", "stack", "nereid", "backends", "perf")
MODULES = sorted(
    path
    for room in ROOMS
    for path in (CHECKOUT / room).rglob("*.py")
    if "migrations" not in path.parts and "build" not in path.parts
)


def name(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_modules_stay_readable(path: Path) -> None:
    source = path.read_text()
    assert source.count("\n") < 400, "a module of over 400 lines has more than one job"
    tree = ast.parse(source)
    if source.strip():
        assert ast.get_docstring(tree), "a module says in its first line what it is for"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length < 60, f"{node.name} has {length} lines"


def test_no_room_for_odds_and_ends() -> None:
    found = [name(p) for p in MODULES if re.fullmatch(r"(utils?|helpers?|misc|common)\.py", p.name)]
    assert found == []


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    pins = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (CHECKOUT / "constraints.txt").read_text().splitlines()
    }
    names = {re.split(r"[\[<>=]", entry)[0].lower().replace("_", "-") for entry in wanted}
    assert names - pins == set()
