"""What is installed is what was reviewed: every package has its pin, with all it pulls in."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

CHECKOUT = Path(__file__).resolve().parents[2]
LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;]+)(\s*;.*)?")
BOOTSTRAP = {"pip", "setuptools", "wheel"}
"""What installs the others comes with the Python of the machine."""


def lines() -> list[str]:
    text = (CHECKOUT / "constraints.txt").read_text()
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def pins() -> dict[str, str]:
    matches = [LINE.fullmatch(line) for line in lines()]
    return {canonicalize_name(m[1]): m[2] for m in matches if m}


PEOPLES_OWN = {"mlflow"}
"""Extras for the environments of people, who have a version already; ours is pinned beside it."""


def named() -> set[str]:
    """What pyproject.toml asks for, the extras that are installed here too."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    asked = list(project["dependencies"])
    for extra, more in project["optional-dependencies"].items():
        asked += [] if extra in PEOPLES_OWN else more
    return {canonicalize_name(Requirement(one).name) for one in asked}


def test_each_line_is_one_version_of_one_package() -> None:
    assert [line for line in lines() if not LINE.fullmatch(line)] == []
    assert len(pins()) == len(lines()), "a package stands there twice"
    for version in pins().values():
        assert not Version(version).is_devrelease


def test_everything_that_is_named_is_pinned() -> None:
    assert named() - pins().keys() == set()


def test_everything_that_it_pulls_in_is_pinned_and_is_that_version() -> None:
    reached, waiting = set(), [(name, "") for name in named()]
    wrong = []
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in reached or name in BOOTSTRAP:
            continue
        reached.add((name, extra))
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another Python or system, or an extra that was not asked for
        if pins().get(name) != Version(found.version).public:
            wrong.append(f"{name} {found.version}: constraints.txt has {pins().get(name)}")
        for line in found.requires or ():
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                extras = needed.extras or {""}
                waiting += [(canonicalize_name(needed.name), one) for one in {"", *extras}]
    assert wrong == []
    assert len(reached) > 100


def test_nothing_is_fetched_from_elsewhere() -> None:
    elsewhere = re.compile(r"git\+|https?://.*\.(whl|tar\.gz)|--(extra-)?index-url|--find-links")
    for name in ("pyproject.toml", "constraints.txt"):
        assert not elsewhere.search((CHECKOUT / name).read_text())
