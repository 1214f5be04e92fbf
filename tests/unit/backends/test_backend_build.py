"""Building the native router: once, with what is there, and with a readable error."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends import build as building

SMALL = building.Target("libsmall.so", ("one.cc", "two.cc"))


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The build's output in a folder of the test's own."""
    monkeypatch.setattr(building, "BUILD", tmp_path / "build")
    return tmp_path / "build"


@pytest.fixture
def sources(elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the sources of a library that is compiled in no time."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "number.h").write_text("#define NUMBER 1\n")
    (folder / "one.cc").write_text('#include "number.h"\nint one() { return NUMBER; }\n')
    (folder / "two.cc").write_text("int two() { return 2; }\n")
    monkeypatch.setattr(building, "SOURCES", folder)
    return folder


def test_a_second_run_builds_nothing(sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = building.build(SMALL)
    made = first.stat().st_mtime_ns
    assert "built libsmall.so" in capsys.readouterr().out
    assert building.build(SMALL).stat().st_mtime_ns == made
    assert "up to date" in capsys.readouterr().out


@pytest.mark.parametrize("changed", ["one.cc", "number.h"])
def test_changed_sources_are_built_again(sources: Path, changed: str) -> None:
    made = building.build(SMALL, verbose=False).stat().st_mtime_ns
    (sources / changed).write_text((sources / changed).read_text() + "\n// changed\n")
    assert building.build(SMALL, verbose=False).stat().st_mtime_ns != made


def test_what_does_not_compile_says_where(
    elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "SOURCES", tmp_path)
    for source in building.ROUTING.sources:
        (tmp_path / source).write_text("int main( {\n")
    with pytest.raises(building.BuildError, match=r"\.cc:1"):
        building.build(building.ROUTING, verbose=False)
    assert not (elsewhere / building.ROUTING.library).exists()


def test_a_compiler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(building.BuildError, match="no-such-compiler"):
        building.find_compiler()


@pytest.mark.long
def test_a_machine_without_a_compiler_builds_with_zig(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEREID_CXX", "zig")
    library = building.build(building.TRAFFIC, verbose=False)
    dynamic_strings = library.read_bytes()
    assert b"libc.so.6" in dynamic_strings
    assert b"libstdc++.so" not in dynamic_strings
    assert b"libc++.so" not in dynamic_strings
