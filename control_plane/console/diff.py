"""A unified diff, cut into files and lines for the page."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class DiffLine:
    """One line; `kind` is add, remove, hunk or same."""

    kind: str
    text: str


@dataclass
class DiffFile:
    """The changes of one file; `change` is added, removed or changed."""

    path: str
    change: str
    lines: list[DiffLine] = field(default_factory=list)

    @property
    def added(self) -> int:
        return sum(1 for line in self.lines if line.kind == "add")

    @property
    def removed(self) -> int:
        return sum(1 for line in self.lines if line.kind == "remove")


_KINDS = {"+": "add", "-": "remove", "@": "hunk"}


def diff_files(text: str) -> list[DiffFile]:
    """Reads what `domain.planning.changes.unified_diff` writes."""
    files: list[DiffFile] = []
    lines = text.splitlines()
    for i, line in enumerate(lines):
        following = lines[i + 1] if i + 1 < len(lines) else ""
        if line.startswith("--- ") and following.startswith("+++ "):
            files.append(_file(line[4:], following[4:]))
        elif line.startswith("+++ ") and i and lines[i - 1].startswith("--- "):
            continue
        elif files:
            files[-1].lines.append(DiffLine(_KINDS.get(line[:1], "same"), line))
    return files


def _file(before: str, after: str) -> DiffFile:
    if before == "/dev/null":
        return DiffFile(after.removeprefix("b/"), "added")
    if after == "/dev/null":
        return DiffFile(before.removeprefix("a/"), "removed")
    return DiffFile(after.removeprefix("b/"), "changed")
