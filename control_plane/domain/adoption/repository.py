"""A Triton model repository as its owner describes it: directories, configurations, file names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from control_plane.domain.adoption.names import suggested_name
from control_plane.domain.adoption.reading import Reading, read_config
from control_plane.domain.names import is_public_name
from control_plane.domain.registry.frameworks import MEMBER_RULE, is_member_name
from control_plane.domain.serving.details import beside_problem
from control_plane.domain.violations import Violation


@dataclass(frozen=True)
class Directory:
    """One model's directory.

    `config` None: it has no config.pbtxt; `problem` says why it cannot be read. `versions` has the
    files of each numeric folder, `files` those that lie beside the folders; by path. `alone`: it is
    a configuration without its directory.
    """

    name: str
    config: Mapping[str, Any] | None = None
    problem: str = ""
    versions: Mapping[int, Sequence[str]] = field(default_factory=dict)
    files: Sequence[str] = ()
    alone: bool = False

    @property
    def ensemble(self) -> Mapping[str, Any] | None:
        """What its steps are, where it is an ensemble."""
        config = self.config or {}
        if config.get("platform") == "ensemble" or "ensemble_scheduling" in config:
            found: Mapping[str, Any] = config.get("ensemble_scheduling", {})
            return found
        return None

    @property
    def newest_files(self) -> Sequence[str]:
        return self.versions[max(self.versions)] if self.versions else ()

    @property
    def served(self) -> tuple[list[int], list[int]]:
        """The versions that a plain Triton serves of it, and those that its policy names and that
        are not there."""
        policy = (self.config or {}).get("version_policy", {})
        present = sorted(self.versions)
        if "all" in policy:
            return present, []
        if "specific" in policy:
            wanted = [int(number) for number in policy["specific"].get("versions", ())]
            absent = sorted(set(wanted) - set(present))
            return sorted(set(wanted) & set(present)), absent
        count = int(policy.get("latest", {}).get("num_versions", 1))
        return present[-count:], []


def readings(
    directories: Sequence[Directory], renamed: Mapping[str, str]
) -> dict[str, tuple[str, Reading]]:
    """By directory: the name that it gets here, and what becomes of it.

    Args:
        renamed: the names that its owner chose.
    """
    names = _names(directories, renamed)
    found = {}
    for directory in directories:
        name = names[directory.name]
        files = directory.newest_files
        beside = None if directory.alone else directory.files
        reading = read_config(name, directory.config, files, beside)
        if wrong := list(_misnamed(directory)):
            reading = replace(reading, refused=(*reading.refused, *wrong))
        found[directory.name] = (name, reading)
    return found


def _names(directories: Sequence[Directory], renamed: Mapping[str, str]) -> dict[str, str]:
    """By directory, a name of its own: what is a name already goes before what only becomes one."""
    names = dict(renamed)
    others = [one.name for one in directories if one.name not in renamed]
    for name in sorted(others, key=lambda name: not is_public_name(name)):
        names[name] = suggested_name(name, set(names.values()))
    return names


def _misnamed(directory: Directory) -> Iterator[Violation]:
    """Files whose names no version may have; the first of each folder."""
    folders = {f"/{number}": files for number, files in directory.versions.items()}
    for where, files in {"": directory.files, **folders}.items():
        wrong = next((name for name in files if not is_member_name(name)), None)
        if wrong is not None:
            detail = f"the file {wrong[:200]!r} cannot come along: a name has {MEMBER_RULE}"
            yield Violation(f"/files{where}", "invalid_name", detail)
    for name in directory.files:
        if why := beside_problem(name):
            yield Violation("/files", "invalid_name", why)
