"""What a node takes for its Triton's backends: a folder, or what a container listed of itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from control_plane.adapters.triton.backends import VERSION_FILE, observed_backends
from control_plane.domain.planning.backends import Backend, BackendKind
from stack import triton
from stack.settings import CHECKOUT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A backend directory as NVIDIA's container has it, with one of ours beside."""
    for name, files in {
        "onnxruntime": ("libtriton_onnxruntime.so", "libonnxruntime.so.1.19.2", "libcustom.so.9.9"),
        # The library goes first: what lies beside it is not asked.
        "pytorch": ("libtriton_pytorch.so", "model.py"),
        "python": ("libtriton_python.so",),
        "transform": ("model.py", VERSION_FILE),
        "empty": (),
    }.items():
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_text("2.0.1\n" if file == VERSION_FILE else "")
    return tmp_path


def test_a_folder_is_native_or_python_based(folder: Path) -> None:
    assert observed_backends(folder) == (
        Backend("onnxruntime", BackendKind.NATIVE, "1.19.2"),
        Backend("python", BackendKind.NATIVE),
        Backend("pytorch", BackendKind.NATIVE),
        Backend("transform", BackendKind.PYTHON, "2.0.1"),
    )


def test_the_container_lists_what_a_node_would_see(folder: Path, tmp_path: Path) -> None:
    script = CHECKOUT / "deploy" / "list_backends.sh"
    listed = subprocess.run(["/bin/sh", script, folder], check=True, capture_output=True, text=True)
    listing = tmp_path / "listing"
    listing.write_text(listed.stdout)
    seen = observed_backends(folder)
    assert seen
    assert observed_backends(listing) == tuple(Backend(b.name, b.kind) for b in seen)


def test_what_is_no_listing_is_left_out(tmp_path: Path) -> None:
    listing = tmp_path / "listing"
    listing.write_text("tensorrt native 10.4\n<script> native\nopenvino ?\n\n../up python\n")
    assert observed_backends(listing) == (Backend("tensorrt", BackendKind.NATIVE, "10.4"),)


def test_without_a_place_nothing_is_known(tmp_path: Path) -> None:
    assert observed_backends(None) is None
    assert observed_backends(tmp_path / "not-there") is None


def test_the_embedded_server_has_what_its_folder_says(tmp_path: Path) -> None:
    """The same names are written by who fills the folder and read by who looks into it."""
    library = tmp_path / "libtriton_traffic.so"
    library.write_bytes(b"")
    place = triton.assemble_backend_directory(tmp_path / "node", traffic_library=library)
    found = {backend.name: backend for backend in observed_backends(place) or ()}
    assert found["traffic"].kind == found["python"].kind == BackendKind.NATIVE
    for name in triton.RUNTIMES:
        assert found[name].kind == BackendKind.PYTHON
        assert found[name].version
