"""What hostile code could do in the process that reads uploads: each thing is tried there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from control_plane.adapters.sandbox.limits import Limits
from control_plane.adapters.sandbox.process import CHECKOUT, run_reader
from control_plane.adapters.sandbox.seccomp import filter_code
from control_plane.ports.inspection import InspectionFailedError, InvalidModelError

MEMORY = 2 << 30


def inside(code: str, folder: Path, *, before: str = "", **limits: int) -> str:
    """What the code prints in a limited process; an error prints its class and its number."""
    given = {"memory_bytes": MEMORY, "cpu_s": 20, "file_bytes": 1 << 20, **limits}
    own = folder / "own"
    own.mkdir(exist_ok=True)
    document = Limits(**given, readable=(), writable=(own,)).to_document()
    program = f"""
import json, os, socket, subprocess, sys, ctypes, signal, threading
from pathlib import Path
from control_plane.adapters.sandbox import limits
{textwrap.dedent(before)}
limits.enter(limits.Limits.from_document({document!r}))
try:
{textwrap.indent(textwrap.dedent(code), "    ")}
except (OSError, MemoryError) as error:
    print(type(error).__name__, getattr(error, "errno", ""))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or f"ended with {done.returncode}: {done.stderr[-300:]}"


REFUSED = {
    "a socket": "socket.socket()",
    "a socket of this machine": "socket.socket(socket.AF_UNIX)",
    "a pair of sockets": "socket.socketpair()",
    "a child": "os.fork()",
    "a program": "os.execv('/bin/true', ['/bin/true'])",
    "a program beside it": "subprocess.run(['/bin/true'])",
    "a signal to its parent": "os.kill(os.getppid(), signal.SIGTERM)",
    "a namespace": "os.unshare(0x10000000) if hasattr(os, 'unshare') else os.fork()",
    "a mode of a file": "os.chmod(OURS, 0o777)",
    "our file": "Path(OURS).read_text()",
    "our folder": "os.listdir(Path(OURS).parent)",
    "a file in our folder": "Path(OURS + '.new').write_text('x')",
    "our file away": "os.unlink(OURS)",
    "our environment": "Path(f'/proc/{os.getppid()}/environ').read_bytes()",
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_gets_none_of(what: str, tmp_path: Path) -> None:
    ours = tmp_path / "ours" / "secret"
    ours.parent.mkdir()
    ours.write_text("secret")
    said = inside(f"{REFUSED[what]}\nprint('done')", tmp_path, before=f"OURS = {str(ours)!r}")
    assert said.startswith("PermissionError"), said
    assert ours.read_text() == "secret"


def test_it_may_work(tmp_path: Path) -> None:
    said = inside(
        """
        done = []
        threads = [threading.Thread(target=done.append, args=(n,)) for n in range(4)]
        [t.start() for t in threads], [t.join() for t in threads]
        Path(OWN, "x").write_text("x")
        import numpy
        print(sorted(done), Path(OWN, "x").read_text(), numpy.ones(3).sum())
        """,
        tmp_path,
        before=f"OWN = {str(tmp_path / 'own')!r}",
    )
    assert said == "[0, 1, 2, 3] x 3.0"


def test_memory_time_and_files_have_an_end(tmp_path: Path) -> None:
    assert inside(f"bytearray({MEMORY})", tmp_path).startswith("MemoryError")
    assert "ended with -24" in inside("while True: pass", tmp_path, cpu_s=1)
    big = f"Path({str(tmp_path / 'own' / 'big')!r}).write_bytes(bytes(2 << 20))"
    assert inside(big, tmp_path) == "OSError 27"


def test_without_namespaces_the_filter_holds_alone(tmp_path: Path) -> None:
    before = "limits._leave_network = lambda _: False"
    said = inside("print('inside'); socket.socket()", tmp_path, before=before)
    assert said == "inside\nPermissionError 1"


def test_where_the_network_cannot_be_barred_nothing_is_read(tmp_path: Path) -> None:
    before = """
        limits._leave_network = lambda _: False
        limits.refuse_system_calls = lambda: False
        """
    said = inside("print('inside')", tmp_path, before=before)
    assert "NoSandboxError" in said
    assert "neither by namespaces nor by" in said


def test_what_cannot_be_limited_is_said(tmp_path: Path) -> None:
    program = f"""
from control_plane.adapters.sandbox import limits
limits.confine_files = lambda *_: False
limits.refuse_system_calls = lambda: False
found = limits.enter(limits.Limits({MEMORY}, 20, 1 << 20))
import json; print(json.dumps(found))
"""
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    missing = json.loads(said.stdout)
    assert ["Landlock" in word or "seccomp" in word for word in missing] == [True, True]


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_fits_every_machine_we_know(machine: str) -> None:
    code = filter_code(machine, os.getpid())
    assert len(code) % 8 == 0
    assert len(code) // 8 < 4096  # BPF_MAXINSNS


def test_a_reader_that_hangs_or_dies_says_nothing_of_the_model(tmp_path: Path) -> None:
    limits = Limits(MEMORY, 20, 1 << 20, (tmp_path,), (tmp_path,))
    arguments = {"path": "/dev/zero", "target": str(tmp_path), "max_bytes": 1}
    with pytest.raises(InspectionFailedError, match="over 0 s"):
        run_reader("unpack", arguments, limits, 0.01)
    with pytest.raises(InspectionFailedError, match="broke its reader"):
        run_reader("unpack", {"nothing": 1}, limits, 60)


def test_memory_that_runs_out_is_the_files_fault(tmp_path: Path) -> None:
    model = tmp_path / "model.py"
    model.write_bytes(b"x = [" + b"[]," * 1_000_000 + b"]")
    limits = Limits(200 << 20, 60, 1 << 20, (tmp_path,), (tmp_path,))
    arguments = {"main": str(model), "files": {}, "framework": "python", "declared": None}
    with pytest.raises(InvalidModelError, match="more memory"):
        run_reader("read", arguments, limits, 60)
