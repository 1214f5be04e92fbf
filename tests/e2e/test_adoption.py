"""A hand-written repository comes in by the command, serves, and goes out as it came: Triton reads
the same of both, and answers the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpcclient

from control_plane.adapters.triton.pbtxt import config_values
from control_plane.domain.adoption.comparing import differences
from tests.support.repositories import CARRIED, carried, everything
from tests.support.serving import CHECKOUT, ServingStack
from tests.support.triton import RunningTriton, running_triton, tensor

Nereid = Callable[..., "subprocess.CompletedProcess[str]"]

RENAMED = {
    name: f"adopted-{name.partition('.')[0].lower()}"
    for name in (
        *("bare", "scaler", "Greeter.v2", "counter", "stream", "inverse", "passes"),
        *("inner", "outer"),
    )
}
CARRIED_HERE = {name: f"carried-{name}" for name in CARRIED}
TWICE = np.eye(2, dtype=np.float32) * 2
X = np.arange(4, dtype=np.float32).reshape(1, 4)


@pytest.fixture(scope="module")
def nereid(serving_stack: ServingStack, tmp_path_factory: pytest.TempPathFactory) -> Nereid:
    config = tmp_path_factory.mktemp("config")
    environment = {**serving_stack.environment, "XDG_CONFIG_HOME": str(config)}

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "nereid", *map(str, arguments)],
            cwd=CHECKOUT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return everything(tmp_path_factory.mktemp("theirs") / "models")


@pytest.fixture(scope="module")
def exported(nereid: Nereid, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    renames = [f"--rename={old}={new}" for old, new in RENAMED.items()]
    first = nereid("import", repository, *renames, "--json")
    assert first.returncode == 0, first.stderr
    made = json.loads(first.stdout)
    results = {one["directory"]: one for one in made["results"]}
    assert [(one["pipeline"], one["revision"]) for one in made["pipelines"]] == [
        ("adopted-inner", 1),
        ("adopted-outer", 1),
    ]
    assert results["scaler"]["imported"] == [1, 2, 3]
    assert results["Greeter.v2"] == {
        "directory": "Greeter.v2",
        "model": "adopted-greeter",
        "profile": "adopted-greeter",
        "imported": [7],
        "present": [],
        "failed": [],
        "endpoint": None,
    }
    target = tmp_path_factory.mktemp("ours") / "models"
    names = [RENAMED[path.name] for path in sorted(repository.iterdir())]
    done = nereid("export", *names, target)
    assert done.returncode == 0, done.stderr
    return target


def test_a_second_run_does_nothing_new(nereid: Nereid, repository: Path, exported: Path) -> None:
    renames = [f"--rename={old}={new}" for old, new in RENAMED.items()]
    again = nereid("import", repository, *renames, "--json")
    assert again.returncode == 0, again.stderr
    for one in json.loads(again.stdout)["results"]:
        assert (one["imported"], one["failed"]) == ([], [])
        assert one["present"]
    assert [one["made"] for one in json.loads(again.stdout)["pipelines"]] == [False, False]


def test_triton_reads_the_same_of_both(repository: Path, exported: Path) -> None:
    for folder in sorted(repository.iterdir()):
        if not (folder / "config.pbtxt").is_file():
            continue
        theirs = pinned(config_values((folder / "config.pbtxt").read_text()))
        path = exported / RENAMED[folder.name] / "config.pbtxt"
        ours = config_values(path.read_text())
        assert differences(theirs, ours) == [], folder.name
    for path in ("labels.txt", "configs/big.pbtxt", "warmup/four.bin"):
        ours = (exported / RENAMED["scaler"] / path).read_bytes()
        assert ours == (repository / "scaler" / path).read_bytes()
    assert (exported / RENAMED["outer"] / "own.txt").read_text() == "none\nsome\nmore\nmost\n"


def test_operators_of_a_models_own_are_served(
    nereid: Nereid, serving_stack: ServingStack, exported: Path
) -> None:
    name = RENAMED["inverse"]
    done = nereid("deploy", name, f"{name}:1=100", "--create")
    assert done.returncode == 0, done.stderr
    with grpcclient.InferenceServerClient(serving_stack.stack["triton"]["grpc"]) as client:
        answer = client.infer(name, [tensor("x", TWICE)]).as_numpy("y")
    assert answer.tolist() == (TWICE / 4).tolist()


def test_a_backend_that_needs_no_file_is_served(
    nereid: Nereid, serving_stack: ServingStack, exported: Path
) -> None:
    name = RENAMED["passes"]
    assert list((exported / name / "1").iterdir()) == []
    done = nereid("deploy", name, f"{name}:1=100", "--create")
    assert done.returncode == 0, done.stderr
    sent = np.arange(4, dtype=np.uint8).reshape(1, 4)
    with grpcclient.InferenceServerClient(serving_stack.stack["triton"]["grpc"]) as client:
        answer = client.infer(name, [tensor("x", sent)]).as_numpy("y")
    assert answer.tolist() == sent.tolist()


def test_what_no_triton_here_serves_comes_and_goes_all_the_same(
    nereid: Nereid, tmp_path: Path
) -> None:
    theirs = carried(tmp_path / "theirs")
    renames = [f"--rename={old}={new}" for old, new in CARRIED_HERE.items()]
    made = nereid("import", theirs, *renames, "--json")
    assert made.returncode == 0, made.stdout
    ours = tmp_path / "ours"
    done = nereid("export", *CARRIED_HERE.values(), ours)
    assert done.returncode == 0, done.stderr
    for old, new in CARRIED_HERE.items():
        before, after = (
            config_values((root / name / "config.pbtxt").read_text())
            for root, name in ((theirs, old), (ours, new))
        )
        assert differences(before, after) == [], old
        files = {path.relative_to(theirs / old) for path in (theirs / old).rglob("*.*")}
        assert files == {path.relative_to(ours / new) for path in (ours / new).rglob("*.*")}
    for model, why in (
        (CARRIED_HERE["guarded"], "agent checksum, unpack"),
        (CARRIED_HERE["forest"], "backend fil"),
        (CARRIED_HERE["pair"], "runtime libtriton_openvino_2024.so"),
    ):
        refused = nereid("deploy", model, f"{model}:1=100", "--create")
        assert refused.returncode == 1
        assert why in " ".join(refused.stderr.split())


@pytest.mark.long
def test_triton_answers_the_same_from_both(repository: Path, exported: Path) -> None:
    with running_triton("adopt") as server:
        theirs = dict(asked(server, repository, {name: name for name in RENAMED}))
        ours = dict(asked(server, exported, RENAMED))
    assert theirs == ours
    assert theirs["scaler"] == [0.0, 3.0, 6.0, 9.0]
    assert theirs["labels"] == ["9.000000:3:fish"]
    assert theirs["greeter"] == ["Hello, Ada.", "Hello, Ben."]
    assert theirs["marked"] == ["Hello, Ada!"]
    assert theirs["counter"] == [101, 103]
    assert theirs["stream"] == [0, 1, 2]
    assert theirs["passes"] == [[0, 1, 2, 3]]
    assert theirs["outer"] == [[0.0, 125.0, 250.0, 375.0]]  # three times by 5
    assert theirs["best of outer"] == ["375.000000:3:most"]


def pinned(config: dict[str, Any]) -> dict[str, Any]:
    """An ensemble as it goes out: its members by their names here, each at the version that the
    newest was."""
    newest = {"bare": "2", "inner": "1"}
    for step in config.get("ensemble_scheduling", {}).get("step", ()):
        if step["model_version"] == "-1":
            step["model_version"] = newest[step["model_name"]]
        step["model_name"] = RENAMED[step["model_name"]]
    return config


def asked(
    server: RunningTriton, repository: Path, names: dict[str, str]
) -> Iterator[tuple[str, Any]]:
    """What a Triton answers that serves this repository and nothing else."""
    shutil.rmtree(server.repository)
    shutil.copytree(repository, server.repository)
    client = server.grpc_client()
    greeter, scaler = names["Greeter.v2"], names["scaler"]
    for model in names.values():
        server.load(model)
    yield "bare", client.infer(names["bare"], [tensor("x", X)]).as_numpy("y").tolist()
    x = tensor("x", X.reshape(1, 2, 2))
    yield "scaler", client.infer(scaler, [x]).as_numpy("y")[0].tolist()
    yield "pinned", client.infer(scaler, [x], model_version="1").as_numpy("y").tolist()
    best = grpcclient.InferRequestedOutput("y", class_count=1)
    yield "labels", words(client.infer(scaler, [x], outputs=[best]), "y")
    people = tensor("name", np.array([b"Ada", b"Ben"], object))
    yield "greeter", words(client.infer(greeter, [people]))
    one = tensor("name", np.array([b"Ada"], object))
    mark = tensor("mark", np.array([b"!"], object))
    yield "marked", words(client.infer(greeter, [one, mark]))
    yield "counter", counted(client, names["counter"])
    raw = tensor("image", X)
    yield "outer", client.infer(names["outer"], [raw]).as_numpy("answer").tolist()
    best = grpcclient.InferRequestedOutput("answer", class_count=1)
    yield "best of outer", words(client.infer(names["outer"], [raw], outputs=[best]), "answer")
    yield "inverse", client.infer(names["inverse"], [tensor("x", TWICE)]).as_numpy("y").tolist()
    yield "stream", streamed(client, names["stream"])
    given = tensor("x", np.arange(4, dtype=np.uint8).reshape(1, 4))
    yield "passes", client.infer(names["passes"], [given]).as_numpy("y").tolist()
    for model in reversed(names.values()):
        server.unload(model)


def words(answer: Any, output: str = "greeting") -> list[str]:
    return [one.decode() for one in answer.as_numpy(output).ravel()]


def counted(client: Any, model: str) -> list[int]:
    """Two requests of one sequence: what it begins with comes from a file."""
    found = []
    for step, (start, end) in ((1, (True, False)), (2, (False, True))):
        given = tensor("step", np.array([[step]], np.int32))
        answer = client.infer(
            model, [given], sequence_id=42, sequence_start=start, sequence_end=end
        )
        found.append(int(answer.as_numpy("total")[0, 0]))
    return found


def streamed(client: Any, model: str) -> list[int]:
    found: list[int] = []
    failed: list[Exception] = []

    def heard(result: Any, error: Exception | None) -> None:
        if error is not None:
            failed.append(error)
        else:
            found.append(int(result.as_numpy("number")[0]))

    client.start_stream(heard)
    client.async_stream_infer(model, [tensor("count", np.array([3], np.int32))])
    client.stop_stream()
    assert not failed
    return found
