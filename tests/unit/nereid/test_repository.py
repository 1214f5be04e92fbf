"""What is read of a Triton repository on disk, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from nereid.repository import MAX_ENTRIES, RepositoryError, read_repository


def write(root: Path, *paths: str, text: str = "") -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def test_versions_files_and_configuration_of_every_model(tmp_path: Path) -> None:
    write(tmp_path, "m/1/model.onnx", "m/12/weights/a.bin", "m/labels.txt", "m/warmup/x.bin")
    write(tmp_path, "m/config.pbtxt", text='backend: "onnxruntime"')
    write(tmp_path, "bare/3/model.onnx", "notes/README.md", "m/.git/x", "m/1/__pycache__/x.pyc")
    bare, m = read_repository(tmp_path)
    assert m.described() == {
        "name": "m",
        "config": 'backend: "onnxruntime"',
        "versions": {"1": ["model.onnx"], "12": ["weights/a.bin"]},
        "files": ["labels.txt", "warmup/x.bin"],
    }
    assert (bare.name, bare.config, list(bare.versions)) == ("bare", None, [3])


def test_one_models_directory_and_one_file_are_repositories_too(tmp_path: Path) -> None:
    write(tmp_path, "m/1/model.onnx", "m/config.pbtxt", "alone/config.pbtxt", "alone/h100.pbtxt")
    [directory] = read_repository(tmp_path / "m")
    assert (directory.name, list(directory.versions)) == ("m", [1])
    [file] = read_repository(tmp_path / "m" / "config.pbtxt")
    assert file == directory
    [alone] = read_repository(tmp_path / "alone" / "h100.pbtxt")
    assert (alone.name, alone.described()["versions"]) == ("h100", None)


def test_links_are_followed_within_the_repository_alone(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    write(tmp_path, "outside/secret", "outside/1/model.onnx")
    write(root, "m/1/model.onnx", "shared/1/weights.bin")
    (root / "m/1/same.bin").symlink_to(root / "shared/1/weights.bin")
    (root / "m/1/passwd").symlink_to(tmp_path / "outside/secret")
    (root / "m/2").symlink_to(tmp_path / "outside/1")
    (root / "m/1/up").symlink_to(root / "m")
    (root / "m/1/gone").symlink_to(root / "nowhere")
    (root / "other").symlink_to(tmp_path / "outside")
    m, other, _ = read_repository(root)
    assert m.versions == {
        1: {"model.onnx": root / "m/1/model.onnx", "same.bin": root / "m/1/same.bin"},
        2: {},
    }
    assert len(m.strays) == 4
    assert all("link" in stray for stray in m.strays)
    assert (other.files, other.versions) == ({}, {1: {}})
    assert other.strays


def test_links_that_lead_to_each_other_come_to_an_end(tmp_path: Path) -> None:
    """Each of two folders has two links to the other: the paths double with every level."""
    root = tmp_path / "repository"
    write(root, "m/1/model.onnx", "m/a/x", "m/b/y")
    for folder, other in (("a", "b"), ("b", "a")):
        for name in ("one", "two"):
            (root / "m" / folder / name).symlink_to(root / "m" / other)
    [m] = read_repository(root)
    assert "a/one/y" in m.files
    assert "a/one/one/x" not in m.files
    assert all("a link to a folder that it lies in" in stray for stray in m.strays)


def test_folders_of_links_without_end_are_told(tmp_path: Path) -> None:
    """No circle, and no file in them: 2 to the power of 20 ways to the last one."""
    root = tmp_path / "repository"
    write(root, "m/1/model.onnx", "m/d20/x")
    for level in range(20):
        (root / f"m/d{level}").mkdir()
        for name in ("one", "two"):
            (root / f"m/d{level}/{name}").symlink_to(root / f"m/d{level + 1}")
    [m] = read_repository(root)
    [stray] = m.strays
    assert stray.endswith(f"more than {MAX_ENTRIES} files and folders")


def test_folders_deeper_than_any_model_are_told(tmp_path: Path) -> None:
    write(tmp_path, "m/1/model.onnx", "/".join(["m", *"d" * 100, "x"]))
    [m] = read_repository(tmp_path)
    assert [stray.rpartition(": ")[2] for stray in m.strays] == ["folders more than 32 levels deep"]


def test_names_that_are_no_text_are_told(tmp_path: Path) -> None:
    write(tmp_path, "m/1/model.onnx", "m/\udcff")
    [m] = read_repository(tmp_path)
    [stray] = m.strays
    assert stray.endswith("a name that is no UTF-8")
    assert stray.isascii()
    write(tmp_path, "\udcff/1/model.onnx")
    with pytest.raises(RepositoryError, match="a folder whose name is no UTF-8"):
        read_repository(tmp_path)


def test_a_configuration_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, "m/1/model.onnx", "m/config.pbtxt")
    with (tmp_path / "m/config.pbtxt").open("r+b") as file:
        file.truncate(5 << 30)
    with pytest.raises(RepositoryError, match="it is no configuration"):
        read_repository(tmp_path)


def test_numbers_that_no_version_can_have_are_told(tmp_path: Path) -> None:
    write(tmp_path, "m/1/model.onnx", "m/1000000000/model.onnx", "m/007/model.onnx")
    [m] = read_repository(tmp_path)
    assert list(m.versions) == [1]
    assert m.left_out == ("version 1000000000: numbers go to 999999999",)
    assert "007/model.onnx" in m.files


@pytest.mark.parametrize("path", ["nowhere", "empty"])
def test_what_is_no_repository(tmp_path: Path, path: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RepositoryError):
        read_repository(tmp_path / path)


def test_a_configuration_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "config.pbtxt").write_bytes(b"\xff\xfe")
    with pytest.raises(RepositoryError, match="cannot be read"):
        read_repository(tmp_path / "config.pbtxt")
