"""The node's agent over a repository on disk and a Triton in memory."""

import io
import json
import shutil
import struct
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from control_plane.adapters.artifacts import FileArtifactStore
from control_plane.adapters.repository import DiskRepository
from control_plane.domain.planning.compiling import compile_plan
from control_plane.domain.planning.plan import Plan
from control_plane.domain.serving.hardware import HardwareProfile
from control_plane.domain.signature import Signature, Tensor
from control_plane.fleet.agent import (
    AlreadyPreparingError,
    ArmsNotReadyError,
    NodeAgent,
    StaleCommandError,
)
from control_plane.fleet.loading import PrepareFailedError
from control_plane.fleet.node_state import NodeState
from control_plane.fleet.retiring import StillBusyError
from control_plane.ports.inference import TensorData
from control_plane.ports.repository import PrefixTakenError
from control_plane.ports.triton import TritonUnreachableError
from tests.support.fakes import FakeTriton
from tests.support.plans import pipeline, pipeline_plan, plan, policy, version

STEP = Signature((Tensor("x", "FP32", (-1, 4)),), (Tensor("y", "FP32", (-1, 4)),))
ONE = plan(1, (1, 10_000))
BOTH = plan(2, (1, 9000), (2, 1000))
TWO = plan(3, (2, 10_000))
THREE = plan(4, (3, 10_000))


class Node:
    """An agent with what it works on; `again()` is the same node after a restart."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = store = FileArtifactStore(root / "artifacts")
        for number in (1, 2, 3):
            store.add(io.BytesIO(f"artifact {number}".encode()))
        self.repository = DiskRepository(root / "repository", store)
        self.triton = FakeTriton(root / "repository")
        self.state = NodeState(root / "state")
        self.agent = self.again()

    def again(self, hardware: str = "") -> NodeAgent:
        return NodeAgent(
            triton=self.triton,
            metrics=self.triton,
            inference=self.triton,
            repository=self.repository,
            state=NodeState(self.root / "state"),
            accelerator="cpu",
            hardware=hardware,
        )

    def generation(self) -> str:
        held = self.triton.config("digits")
        return str(held["parameters"]["nereid_generation"]["string_value"])

    def held(self) -> set[str]:
        return {held.name for held in self.triton.index()}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def roll(node: Node, *plans: object) -> None:
    for each in plans:
        node.agent.prepare(each)  # type: ignore[arg-type]
        node.agent.switch(each)  # type: ignore[arg-type]


def test_prepare_loads_the_arms_and_no_router(node: Node) -> None:
    ready = node.agent.prepare(ONE)
    assert node.held() == set(ONE.physical_names) == set(ready)


@pytest.mark.parametrize(("hardware", "count"), [("large", 4), ("other", 1), ("", 1)])
def test_a_server_takes_the_variant_of_its_hardware(node: Node, hardware: str, count: int) -> None:
    """One whose hardware the plan does not know takes that of its accelerator."""
    known = HardwareProfile(name="large", accelerator="cpu", instances=4)
    fitted = compile_plan(
        endpoint="digits",
        generation=1,
        policy=policy((1, 10_000)),
        versions={("digits", 1): replace(version(1), hardware=(known,))},
    )
    roll(replace_agent(node, hardware), fitted)
    [physical] = fitted.physical_names
    text = (node.root / "repository" / physical / "config.pbtxt").read_text()
    assert f"count: {count}\n" in text


def replace_agent(node: Node, hardware: str) -> Node:
    node.agent = node.again(hardware)
    return node


def test_switch_needs_its_arms(node: Node) -> None:
    with pytest.raises(ArmsNotReadyError):
        node.agent.switch(ONE)
    assert node.held() == set()


def test_switch_points_the_router_at_the_plan(node: Node) -> None:
    roll(node, ONE, BOTH)
    assert "digits" in node.held()
    text = (node.root / "repository/digits/1000000000/policy.txt").read_text()
    assert "generation 2" in text


def test_every_command_may_come_twice(node: Node) -> None:
    roll(node, ONE, ONE, BOTH, BOTH)
    assert node.state.read("digits").previous == ONE
    loads = [name for name in node.triton.loads if name != "digits"]
    assert len(loads) == len(set(loads)), "an arm that serves is never loaded again"


def test_a_late_command_is_refused(node: Node) -> None:
    roll(node, ONE, BOTH)
    for late in (node.agent.prepare, node.agent.switch):
        with pytest.raises(StaleCommandError):
            late(ONE)
    with pytest.raises(StaleCommandError):
        node.agent.retire("digits", 1)
    assert node.state.read("digits").desired == BOTH


def test_a_failed_prepare_leaves_what_serves_and_takes_back_the_rest(node: Node) -> None:
    roll(node, ONE)
    bad = next(iter(TWO.physical_names))
    node.triton.refuse(bad)
    with pytest.raises(PrepareFailedError, match=bad):
        node.agent.prepare(BOTH)
    assert node.held() == {*ONE.physical_names, "digits"}
    assert bad not in node.repository.names()


def test_a_router_that_is_refused_leaves_the_one_before(node: Node) -> None:
    roll(node, ONE)
    node.agent.prepare(BOTH)
    node.triton.refuse("digits")
    with pytest.raises(PrepareFailedError):
        node.agent.switch(BOTH)
    assert node.state.read("digits").desired == ONE


def test_retire_keeps_the_revision_before(node: Node) -> None:
    roll(node, ONE, TWO)
    node.agent.retire("digits", 3)
    assert node.held() == {*ONE.physical_names, *TWO.physical_names, "digits"}
    roll(node, THREE)
    node.agent.retire("digits", 4)
    assert node.held() == {*TWO.physical_names, *THREE.physical_names, "digits"}
    assert set(node.repository.names()) == node.held()


@pytest.mark.parametrize("gauge", ["nereid_inflight_requests", "nereid_pinned_sequences"])
def test_retire_waits_for_requests_in_flight_and_live_sequences(node: Node, gauge: str) -> None:
    roll(node, ONE, TWO, THREE)
    busy = next(iter(ONE.physical_names))
    node.triton.occupy(busy, gauge)
    with pytest.raises(StillBusyError, match=busy):
        node.agent.retire("digits", 4)
    assert busy in node.held()
    node.triton.release(busy)
    node.agent.retire("digits", 4)
    assert busy not in node.held()


def test_retire_spares_what_another_endpoint_uses(node: Node) -> None:
    other = plan(1, (1, 10_000), endpoint="numbers")
    roll(node, ONE, other, TWO, THREE)
    node.agent.retire("digits", 4)
    assert set(other.physical_names) <= node.held()


def test_nothing_is_retired_while_a_router_leads_to_what_nobody_remembers(node: Node) -> None:
    """The node's memory was lost, and Triton was not: the one endpoint comes before the other."""
    other = plan(1, (1, 10_000), endpoint="numbers")
    roll(node, ONE, other)
    shutil.rmtree(node.root / "state")
    node.agent = node.again()
    node.agent.retire("digits", 1)
    roll(node, TWO)
    node.agent.retire("digits", 3)
    assert {*other.physical_names, "numbers"} <= node.held()
    roll(node, other)
    node.agent.retire("digits", 3)
    assert node.held() == {*other.physical_names, *TWO.physical_names, "digits", "numbers"}


def test_remove_takes_everything_and_keeps_the_fence(node: Node) -> None:
    roll(node, ONE)
    node.agent.remove("digits", 2)
    assert node.held() == set()
    assert node.repository.names() == []
    with pytest.raises(StaleCommandError):
        node.agent.switch(ONE)


def test_a_patient_removal_waits_for_the_sequences_of_its_router(node: Node) -> None:
    roll(node, ONE)
    [arm] = ONE.physical_names
    node.triton.occupy(arm, "nereid_pinned_sequences", endpoint="digits")
    with pytest.raises(StillBusyError, match="sequences live on digits"):
        node.agent.remove("digits", 2, patient=True)
    assert "digits" in node.held()
    node.triton.release(arm)
    node.agent.remove("digits", 2, patient=True)
    assert node.held() == set()


def test_a_restarted_triton_is_refilled_arms_first(node: Node) -> None:
    roll(node, ONE, BOTH)
    node.triton.crash()
    order: list[str] = []
    node.triton.on_load = order.append
    agent = node.again()
    assert agent.missing() == [*sorted(BOTH.physical_names), "digits"]
    assert agent.restore() == []
    assert agent.missing() == []
    assert order[-1] == "digits"
    assert set(order) == {*BOTH.physical_names, "digits"}


def test_a_restore_needs_no_repository_on_disk(node: Node) -> None:
    roll(node, ONE)
    node.triton.crash()
    for name in node.repository.names():
        node.repository.remove(name)
    assert node.again().restore() == []
    assert node.held() == {*ONE.physical_names, "digits"}


def test_what_cannot_be_restored_is_told_and_the_rest_is(node: Node) -> None:
    other = plan(1, (3, 10_000), endpoint="numbers")
    roll(node, ONE, other)
    node.triton.crash()
    node.triton.refuse(next(iter(ONE.physical_names)))
    failures = node.again().restore()
    assert len(failures) == 1
    assert "numbers" in node.held()
    assert "digits" not in node.held()


def test_publishing_twice_changes_nothing_and_shares_no_file(node: Node) -> None:
    model = ONE.models[0]
    node.repository.publish(model, "cpu")
    path = node.root / "repository" / model.name / "1/model.onnx"
    assert path.stat().st_nlink == 1, "another link would change the time that Triton looks at"
    before = [(p, p.stat().st_ctime_ns) for p in path.parent.parent.rglob("*")]
    node.repository.publish(model, "cpu")
    assert [(p, p.stat().st_ctime_ns) for p in path.parent.parent.rglob("*")] == before


def test_a_directory_of_before_is_read_whole(node: Node) -> None:
    model = ONE.models[0]
    node.repository.publish(model, "cpu")
    folder = node.root / "repository" / model.name
    (folder / "digests.json").unlink()
    node.repository.publish(model, "cpu")
    (folder / "1/model.onnx").chmod(0o644)
    (folder / "1/model.onnx").write_bytes(b"something else")
    with pytest.raises(PrefixTakenError):
        node.repository.publish(model, "cpu")


def test_what_a_model_writes_beside_its_own_files_is_its_own(node: Node) -> None:
    """Python keeps its bytecode there: a node that starts again finds the model as it left it."""
    model = ONE.models[0]
    node.repository.publish(model, "cpu")
    folder = node.root / "repository" / model.name
    (folder / "1/__pycache__").mkdir()
    (folder / "1/__pycache__/model.cpython-311.pyc").write_bytes(b"bytecode")
    node.repository.publish(model, "cpu")
    (folder / "2").mkdir()
    (folder / "2/model.onnx").write_bytes(b"a version that nobody published")
    with pytest.raises(PrefixTakenError):
        node.repository.publish(model, "cpu")


def test_two_contents_under_one_physical_name_are_refused(node: Node) -> None:
    model = ONE.models[0]
    node.repository.publish(model, "cpu")
    collision = replace(model, links={"1/model.onnx": TWO.models[0].links["1/model.onnx"]})
    with pytest.raises(PrefixTakenError):
        node.repository.publish(collision, "cpu")


def test_an_interrupted_publication_leaves_nothing_that_triton_sees(node: Node) -> None:
    from dataclasses import replace

    broken = replace(ONE.models[0], links={"1/model.onnx": "0" * 64})
    with pytest.raises(LookupError):
        node.repository.publish(broken, "cpu")
    assert node.repository.names() == []


def test_a_slow_load_does_not_delay_a_switch(node: Node) -> None:
    roll(node, ONE, TWO)
    loading, go_on = threading.Event(), threading.Event()

    def slowly(name: str) -> None:
        if name in THREE.physical_names:
            loading.set()
            assert go_on.wait(30)

    node.triton.on_load = slowly
    outcome: list[BaseException] = []

    def prepare() -> None:
        try:
            node.agent.prepare(THREE)
        except StaleCommandError as error:
            outcome.append(error)

    slow = threading.Thread(target=prepare)
    slow.start()
    assert loading.wait(30)
    node.agent.switch(plan(5, (1, 10_000)))
    assert node.generation() == "5"
    go_on.set()
    slow.join()
    # What was loaded for a generation that nobody wants any more is gone again.
    assert isinstance(outcome[0], StaleCommandError)
    assert not THREE.physical_names & node.held()


def test_a_prepare_that_comes_twice_does_not_wait_behind_itself(node: Node) -> None:
    twice: list[BaseException] = []

    def again(name: str) -> None:
        with pytest.raises(AlreadyPreparingError) as caught:
            node.agent.prepare(ONE)
        twice.append(caught.value)

    node.triton.on_load = again
    node.agent.prepare(ONE)
    assert len(twice) == 1


def test_other_peoples_models_are_left_alone(node: Node) -> None:
    theirs = node.root / "repository" / "resnet.backup"
    theirs.mkdir(parents=True)
    (theirs / "config.pbtxt").write_text('backend: "python"')
    taken = node.root / "repository" / "numbers"
    taken.mkdir()
    (taken / "config.pbtxt").write_text('backend: "python"')
    roll(node, ONE, TWO, THREE)
    node.agent.retire("digits", 4)
    assert theirs.is_dir()
    other = plan(1, (3, 10_000), endpoint="numbers")
    node.agent.prepare(other)
    with pytest.raises(PrepareFailedError, match="Nereid did not make it"):
        node.agent.switch(other)
    node.agent.remove("numbers", 2)
    assert taken.is_dir()


def test_a_spoilt_state_file_stops_nobody_else(node: Node) -> None:
    roll(node, ONE, plan(1, (3, 10_000), endpoint="numbers"))
    (node.root / "state/endpoints/digits.json").write_text("{")
    node.triton.crash()
    assert node.again().restore() == []
    assert "numbers" in node.held()
    assert (node.root / "state/endpoints/digits.unreadable").exists()
    roll(node, BOTH)
    assert node.generation() == "2"
    assert node.state.lost() == []


def test_a_full_disk_is_a_failure_in_words(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    roll(node, ONE)
    node.agent.prepare(BOTH)

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(node.repository, "publish", full)
    with pytest.raises(PrepareFailedError, match="no space left"):
        node.agent.switch(BOTH)
    assert node.state.read("digits").desired == ONE


def test_a_model_that_is_wanted_again_while_others_are_retired_stays(node: Node) -> None:
    roll(node, ONE, TWO, THREE)
    wanted = plan(1, (1, 10_000), endpoint="numbers")
    look = node.triton.scrape

    def wanted_meanwhile() -> object:
        node.triton.scrape = look  # type: ignore[method-assign]
        node.agent.prepare(wanted)
        return look()

    node.triton.scrape = wanted_meanwhile  # type: ignore[method-assign,assignment]
    node.agent.retire("digits", 4)
    assert wanted.physical_names <= node.held()


def killed(generation: int) -> Plan:
    """Everything to version 1, with version 2 kept beside it."""
    return compile_plan(
        endpoint="digits",
        generation=generation,
        policy=policy((1, 10_000), (2, 0)),
        versions={("digits", number): version(number) for number in (1, 2)},
        previous=BOTH,
        urgent=True,
    )


def test_an_urgent_switch_waits_for_the_primary_alone(node: Node) -> None:
    roll(node, ONE)
    node.triton.refuse(next(iter(TWO.physical_names)))
    node.agent.switch(killed(3))
    assert node.generation() == "3"
    assert node.agent.missing() == []


def test_an_urgent_plan_is_restored_without_the_arms_that_get_nothing(node: Node) -> None:
    roll(node, BOTH)
    node.agent.switch(killed(3))
    node.triton.crash()
    node.triton.refuse(next(iter(TWO.physical_names)))
    assert node.again().restore() == []
    assert node.generation() == "3"
    assert node.agent.missing() == []
    node.triton.accept(next(iter(TWO.physical_names)))
    node.triton.crash()
    assert node.again().restore() == []
    assert TWO.physical_names <= node.held(), "kept for the way back"


def test_an_urgent_plan_is_prepared_where_even_the_primary_is_gone(node: Node) -> None:
    roll(node, ONE)
    node.triton.crash()
    node.triton.refuse(next(iter(TWO.physical_names)))
    with pytest.raises(ArmsNotReadyError):
        node.agent.switch(killed(3))
    node.agent.prepare(killed(3))
    node.agent.switch(killed(3))
    assert node.generation() == "3"


def with_golden(node: Node, number: int) -> Plan:
    """A plan of a version that brings one example, with zeros in and out."""
    zeros: dict[str, object] = {"image": [[[[0.0] * 8] * 8]]}
    document = [{"inputs": zeros, "outputs": {"logits": [[0.0] * 10]}, "tolerance": 0.01}]
    sha256, _ = node.store.add(io.BytesIO(json.dumps(document).encode()))
    spec = replace(version(number), golden_sha256=sha256)
    return compile_plan(
        endpoint="digits",
        generation=5,
        policy=policy((number, 10_000)),
        versions={("digits", number): spec},
    )


def logits(*values: float) -> TensorData:
    return TensorData("logits", "FP32", (1, 10), struct.pack("<10f", *values))


def test_a_model_answers_its_golden_examples_before_it_is_switched_to(node: Node) -> None:
    roll(node, ONE)
    good = with_golden(node, 2)
    assert good.physical_names != TWO.physical_names, "an example is part of what is published"
    [name] = good.physical_names
    node.triton.answers = [logits(0.0, 0.0, 0.02, *[0.0] * 7)]
    with pytest.raises(PrepareFailedError) as failure:
        node.agent.prepare(good)
    assert str(failure.value) == (
        f"{name}: golden example 1 of 1: "
        "logits[0, 2] is 0.0199999996, and 0 was expected (tolerance 0.01)"
    )
    assert node.held() == {*ONE.physical_names, "digits"}
    assert name not in node.repository.names()
    node.triton.answers = [logits(*[0.009] * 10)]
    roll(node, good)
    [(asked, tensors)] = node.triton.asked[1:]
    assert (asked, tensors[0].shape) == (name, (1, 1, 8, 8))
    assert tensors[0].data == bytes(4 * 64)
    assert node.generation() == "5"


def test_a_triton_that_is_gone_says_nothing_of_the_examples(node: Node) -> None:
    node.triton.on_load = lambda _: setattr(node.triton, "running", False)
    with pytest.raises((PrepareFailedError, TritonUnreachableError)) as failure:
        node.agent.prepare(with_golden(node, 2))
    error = failure.value
    assert isinstance(error.__cause__ or error, TritonUnreachableError), "it is tried again"


def pipelines() -> tuple[Plan, Plan, Plan]:
    """Two pipelines that share their first member, and the second of them once more."""
    versions = {("digits", number): version(number, signature=STEP) for number in (1, 2, 3)}
    one = pipeline_plan(1, pipeline(("digits", 1), ("digits", 2)), versions=versions)
    second = pipeline(("digits", 1), ("digits", 3), number=2)
    two, three = (pipeline_plan(n, second, versions=versions) for n in (2, 3))
    return one, two, three


def test_members_are_loaded_before_their_pipeline_and_after_a_restart_too(node: Node) -> None:
    one, *_ = pipelines()
    roll(node, one)
    names = [model.name for model in one.models]
    assert node.triton.loads == [*names, "line"]
    assert names[-1].startswith("line.v1."), "the pipeline is the last"
    node.triton.crash()
    node.triton.loads.clear()
    assert node.again().restore() == []
    assert node.triton.loads == [*names, "line"]


def test_members_stay_as_long_as_their_pipeline_is_in_use(node: Node) -> None:
    one, two, three = pipelines()
    roll(node, one, two, three)
    first, second, ensemble = (model.name for model in one.models)
    node.triton.occupy(ensemble)
    with pytest.raises(StillBusyError):
        node.agent.retire("line", 3)
    assert {first, second, ensemble} <= node.held(), "its second step may still be asked"
    node.triton.release(ensemble)
    node.agent.retire("line", 3)
    assert node.held() == {*two.physical_names, "line"}


def test_a_pipeline_is_unloaded_before_its_members(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, *_ = pipelines()
    roll(node, one)
    unloads: list[str] = []
    unload = node.triton.unload
    monkeypatch.setattr(node.triton, "unload", lambda name: (unloads.append(name), unload(name)))
    node.agent.remove("line", 2)
    assert unloads[:2] == ["line", one.models[-1].name]
    assert len(unloads) == 4


def test_a_killed_endpoint_needs_the_members_of_its_primary(node: Node) -> None:
    one, *_ = pipelines()
    assert replace(one, urgent=True).required == one.physical_names
