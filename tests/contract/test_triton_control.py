"""The fake Triton and the real one behind its adapter answer the same.

The models are routers: they load in milliseconds, whatever their arms are.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest

from control_plane.adapters.triton.control import ApiTritonControl
from control_plane.adapters.triton.metrics import HttpTritonMetrics
from control_plane.ports.triton import TritonControl, TritonError, TritonUnreachableError
from tests.support.fakes import FakeTriton
from tests.support.models import MULTIPLIER_SIGNATURE, python_model, router
from tests.support.triton import (
    CONTROL_KEY,
    RunningTriton,
    eventually,
    free_ports,
    running_triton,
)


@pytest.fixture(scope="module")
def real() -> Iterator[RunningTriton]:
    with running_triton("contract") as triton:
        yield triton


def control_of(triton: RunningTriton, key: str = CONTROL_KEY) -> closing[ApiTritonControl]:
    return closing(ApiTritonControl(triton.options.http, triton.options.grpc, key))


class Subject:
    """A Triton under test, and where its models lie."""

    def __init__(self, control: TritonControl, repository: Path) -> None:
        self.control = control
        self.repository = repository

    def model(self, name: str, generation: int = 1) -> None:
        router(self.repository, name, {"an-arm": 10_000}, generation=generation)

    def held(self) -> set[str]:
        return {held.name for held in self.control.index() if held.state == "READY"}


@pytest.fixture(params=["fake", "real"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    if request.param == "fake":
        yield Subject(FakeTriton(tmp_path), tmp_path)
        return
    triton: RunningTriton = request.getfixturevalue("real")
    with control_of(triton) as control:
        yield Subject(control, triton.repository)
        for held in control.index():
            control.unload(held.name)
    for folder in triton.repository.iterdir():
        shutil.rmtree(folder)


def test_it_holds_nothing_at_first(subject: Subject) -> None:
    assert subject.control.is_live()
    assert subject.held() == set()
    assert subject.control.server_version()


def test_what_is_loaded_is_ready_and_in_the_index(subject: Subject) -> None:
    subject.model("one")
    assert not subject.control.is_ready("one")
    subject.control.load("one")
    assert subject.control.is_ready("one")
    assert subject.held() == {"one"}
    assert subject.control.config("one")["max_batch_size"] == 8


def test_loading_again_serves_what_lies_there_now(subject: Subject) -> None:
    subject.model("one")
    subject.control.load("one")
    config = subject.repository / "one" / "config.pbtxt"
    config.write_text(config.read_text().replace("max_batch_size: 8", "max_batch_size: 4"))
    subject.control.load("one")
    assert subject.control.config("one")["max_batch_size"] == 4


def test_a_model_that_cannot_be_loaded_is_an_error_with_its_name(subject: Subject) -> None:
    with pytest.raises(TritonError, match="nothing"):
        subject.control.load("nothing")
    with pytest.raises(TritonError, match="nothing"):
        subject.control.config("nothing")
    assert not subject.control.is_ready("nothing")


def test_unloading_twice_is_no_error(subject: Subject) -> None:
    subject.model("one")
    subject.control.load("one")
    subject.control.unload("one")
    subject.control.unload("one")
    assert not subject.control.is_ready("one")
    assert subject.held() == set()


def test_what_was_let_go_is_held_no_more(subject: Subject) -> None:
    subject.model("one")
    subject.control.load("one")
    subject.control.unload("one")

    def listed() -> list[str]:
        return [held.name for held in subject.control.index()]

    eventually(lambda: listed() == [])
    assert subject.control.let_go() == {"one"}
    subject.control.load("one")
    assert subject.control.let_go() == frozenset()


def test_what_was_never_loaded_was_not_let_go(subject: Subject) -> None:
    subject.model("never")
    assert "never" not in subject.control.let_go()


def test_a_directory_whose_name_is_no_text_hides_nothing(subject: Subject) -> None:
    subject.model("one")
    (subject.repository / os.fsdecode(b"caf\xe9")).mkdir()
    subject.control.load("one")
    assert subject.held() == {"one"}


def test_a_version_that_a_reload_left_out_is_held_no_more(real: RunningTriton) -> None:
    router(real.repository, "one", {"an-arm": 10_000}, pinned={7: "an-arm"})
    with control_of(real) as control:

        def versions() -> set[str]:
            return {held.version for held in control.index() if held.name == "one"}

        control.load("one")
        assert versions() == {"7", "1000000000"}
        shutil.rmtree(real.repository / "one" / "7")
        control.load("one")
        eventually(lambda: versions() == {"1000000000"})
        control.unload("one")


WAITS = """
import pathlib, time
class TritonPythonModel:
    def initialize(self, args):
        while not pathlib.Path("GO").exists():
            time.sleep(0.02)
    def execute(self, requests):
        return [None for _ in requests]
"""


def test_a_load_that_takes_its_time_holds_nobody_up(real: RunningTriton, tmp_path: Path) -> None:
    go = tmp_path / "go"
    python_model(real.repository, "slow", MULTIPLIER_SIGNATURE, WAITS.replace("GO", str(go)))
    router(real.repository, "one", {"an-arm": 10_000})

    def states() -> set[str]:
        return {held.state for held in control.index() if held.name == "slow"}

    with ThreadPoolExecutor(1) as another, ExitStack() as open_:
        control = open_.enter_context(control_of(real))
        callers = [
            open_.enter_context(httpx.Client(base_url=f"http://{real.options.http}", timeout=20))
            for _ in range(32)  # more than Triton has threads to answer HTTP with
        ]
        loading = another.submit(control.load, "slow")
        open_.callback(go.touch)
        eventually(lambda: states() == {"LOADING"})
        assert all(caller.get("/v2/health/live").is_success for caller in callers)
        control.load("one")
        assert control.is_ready("one")
        assert not loading.done()
        go.touch()
        loading.result(timeout=60)
        assert control.is_ready("slow")
        for name in ("slow", "one"):
            control.unload(name)
            shutil.rmtree(real.repository / name)


LINGERS = """
import time
class TritonPythonModel:
    def execute(self, requests):
        return [None for _ in requests]
    def finalize(self):
        time.sleep(2)
"""


def test_what_takes_its_time_to_go_was_let_go_already(real: RunningTriton) -> None:
    python_model(real.repository, "slow", MULTIPLIER_SIGNATURE, LINGERS)
    with control_of(real) as control:
        control.load("slow")
        control.unload("slow")
        assert [held.state for held in control.index() if held.name == "slow"] == ["UNLOADING"]
        assert control.let_go() >= {"slow"}
        eventually(lambda: all(held.name != "slow" for held in control.index()))
        shutil.rmtree(real.repository / "slow")


def test_what_was_just_loaded_is_let_go_when_its_threads_wait_for_work(real: RunningTriton) -> None:
    """Triton says that it is loaded a moment earlier, and an unload before that ends the server."""
    router(real.repository, "one", {"an-arm": 10_000})
    with control_of(real) as control:
        control.load("one")
        loaded_s = time.monotonic()
        control.unload("one")
        assert time.monotonic() - loaded_s > 0.1
        assert control.is_live()


def test_metrics_have_names_labels_and_values(real: RunningTriton) -> None:
    with closing(HttpTritonMetrics(real.options.metrics_url)) as metrics:
        samples = metrics.scrape()
    assert samples
    # A gauge may have nothing to say (NaN); nothing that Triton counts is below zero.
    assert all(sample.name and not sample.value < 0 for sample in samples)


def test_without_the_control_key_nothing_is_controlled(real: RunningTriton) -> None:
    with control_of(real, "a guess") as stranger:
        assert stranger.is_live()
        for deed in (stranger.index, lambda: stranger.load("one"), lambda: stranger.unload("one")):
            with pytest.raises(TritonError):
                deed()


def test_no_answer_is_an_error_of_its_own(tmp_path: Path) -> None:
    [port] = free_ports(1)
    address = f"127.0.0.1:{port}"
    away = ApiTritonControl(address, address, CONTROL_KEY)
    fake = FakeTriton(tmp_path)
    fake.running = False
    for control in (away, fake):
        assert not control.is_live()
        with pytest.raises(TritonUnreachableError):
            control.index()
        with pytest.raises(TritonUnreachableError):
            control.load("one")
    with pytest.raises(TritonUnreachableError):
        HttpTritonMetrics(f"http://127.0.0.1:{port}/metrics").scrape()
