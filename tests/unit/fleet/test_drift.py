"""What somebody changes by hand on a server, over a repository on disk and a Triton in memory."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from control_plane.domain.planning.drift import Drift, DriftKind
from control_plane.fleet.drift import LONGEST_REST_S, REST_S, DriftWatch
from control_plane.fleet.node_state import EndpointState
from tests.support.models import router
from tests.support.plans import plan
from tests.unit.fleet.test_agent import BOTH, ONE, TWO, Node, roll


class Watched:
    """A node that serves version 1, and whoever looks after it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.now = 0.0
        self.assured: frozenset[str] | None = frozenset({"digits"})
        self.watch = self.watching()
        self.model = ONE.models[0].name

    def watching(self, *, unloads_foreign: bool = False) -> DriftWatch:
        self.watch = DriftWatch(
            agent=self.node.agent,
            triton=self.node.triton,
            repository=self.node.repository,
            state=self.node.state,
            assured=lambda: self.assured,
            unloads_foreign=unloads_foreign,
            monotonic=lambda: self.now,
        )
        return self.watch

    def file(self, name: str, path: str) -> Path:
        return self.node.root / "repository" / name / path

    def looks(self) -> list[Drift]:
        self.now += REST_S + 1
        return self.watch.look()


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    node = Node(tmp_path)
    roll(node, ONE)
    return Watched(node)


def test_what_nobody_touched_is_left_alone(watched: Watched) -> None:
    loads = list(watched.node.triton.loads)
    assert watched.looks() == []
    watched.file(watched.model, "config.pbtxt").touch()
    assert watched.looks() == [], "another time is no other content"
    assert watched.node.triton.loads == loads


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: edit(folder / "config.pbtxt"), "config.pbtxt was edited"),
        (lambda folder: (folder / "config.pbtxt").unlink(), "config.pbtxt is gone"),
        (lambda folder: (folder / "2").mkdir(), "2/ was added"),
        (lambda folder: (folder / "note.txt").write_text("hello"), "note.txt was added"),
        (lambda folder: shutil.rmtree(folder), "the directory is gone"),
    ],
)
def test_files_are_put_right_and_loaded_anew(watched: Watched, change: object, said: str) -> None:
    folder = watched.node.root / "repository" / watched.model
    before = (folder / "config.pbtxt").read_text()
    change(folder)  # type: ignore[operator]
    assert watched.looks() == [
        Drift(DriftKind.FILES, watched.model, said, ("digits",), put_right=True)
    ]
    assert (folder / "config.pbtxt").read_text() == before
    assert sorted(path.name for path in folder.iterdir()) == ["1", "config.pbtxt", "digests.json"]
    assert watched.node.triton.loads[-1] == watched.model
    assert watched.looks() == []


def test_a_models_own_files_beside_its_weights_are_no_drift(watched: Watched) -> None:
    watched.file(watched.model, "1/__pycache__").mkdir()
    watched.file(watched.model, "1/__pycache__/model.pyc").write_bytes(b"code")
    assert watched.looks() == []


def test_a_router_that_was_edited_routes_again_as_it_should(watched: Watched) -> None:
    edit(watched.file("digits", "config.pbtxt"))
    [drift] = watched.looks()
    assert (drift.subject, drift.put_right) == ("digits", True)
    assert watched.node.triton.loads[-1] == "digits"
    assert watched.node.generation() == "1"


def test_one_that_cannot_be_put_right_is_told_of_and_tried_more_and_more_rarely(
    watched: Watched,
) -> None:
    artifact = watched.node.store.path(next(iter(ONE.models[0].links.values())))
    artifact.chmod(0o644)
    artifact.write_bytes(b"cut")
    edit(watched.file(watched.model, "config.pbtxt"))
    [drift] = watched.looks()
    assert not drift.put_right
    assert "is damaged here" in drift.problem
    watched.now += 1
    [drift] = watched.watch.look()
    assert "rests for a while" in drift.problem
    assert list((watched.node.root / "repository" / ".staging").iterdir()) == []
    artifact.write_bytes(b"artifact 1")
    watched.now += LONGEST_REST_S
    [drift] = watched.watch.look()
    assert drift.put_right


def test_what_was_unloaded_by_hand_is_told_from_a_server_that_was_started_anew(
    watched: Watched,
) -> None:
    watched.node.triton.unload(watched.model)
    missing = watched.node.agent.missing()
    [drift] = watched.watch.before_restore(missing)
    assert (drift.kind, drift.subject) == (DriftKind.UNLOADED, watched.model)
    assert not drift.put_right, "nothing was loaded yet"
    watched.node.triton.refuse(watched.model)
    failures = watched.node.agent.restore()
    [still] = watched.watch.after_restore([drift], failures)
    assert (still.put_right, still.problem) == (False, "; ".join(failures))
    watched.node.triton.accept(watched.model)
    [back] = watched.watch.after_restore([drift], watched.node.agent.restore())
    assert (back.put_right, back.problem) == (True, "")
    watched.node.triton.crash()
    assert watched.watch.before_restore(watched.node.agent.missing()) == []


def test_what_was_edited_and_unloaded_is_brought_back_as_it_was(watched: Watched) -> None:
    edit(watched.file(watched.model, "config.pbtxt"))
    watched.node.triton.unload(watched.model)
    assert watched.node.agent.restore() != [], "nothing loads what was edited"
    kinds = [drift.kind for drift in watched.watch.before_restore(watched.node.agent.missing())]
    assert kinds == [DriftKind.UNLOADED, DriftKind.FILES]
    assert watched.node.agent.restore() == []


def test_the_way_back_is_kept_loaded_too(watched: Watched) -> None:
    roll(watched.node, TWO)
    watched.node.triton.unload(watched.model)
    watched.node.triton.refuse(watched.model)
    [drift] = watched.looks()
    assert (drift.kind, drift.subject) == (DriftKind.UNLOADED, watched.model)
    assert (drift.put_right, drift.problem) == (False, f"failed to load '{watched.model}'")
    watched.node.triton.accept(watched.model)
    watched.now += 1
    [drift] = watched.watch.look()
    assert "rests for a while" in drift.problem
    assert not watched.node.triton.is_ready(watched.model)
    [drift] = watched.looks()
    assert drift.put_right
    assert watched.node.triton.is_ready(watched.model)


def test_another_configuration_by_the_load_api_is_seen_and_undone(watched: Watched) -> None:
    assert watched.looks() == []
    config = watched.file(watched.model, "config.pbtxt")
    before = config.read_text()
    config.write_text(before + "instance_group { count: 7 kind: KIND_CPU }\n")
    watched.node.triton.load(watched.model)
    config.write_text(before)
    [drift] = watched.looks()
    assert (drift.kind, drift.put_right) == (DriftKind.CONFIGURATION, True)
    assert watched.looks() == []


def test_what_is_not_nereids_is_told_of_and_left(watched: Watched) -> None:
    root = watched.node.root / "repository"
    router(root, "somebodys", {"an-arm": 10_000})
    watched.node.triton.load("somebodys")
    (root / "notes").mkdir()
    assert watched.looks() == [], "it may be on its way"
    assert [(d.kind, d.subject) for d in watched.looks()] == [
        (DriftKind.FOREIGN_MODEL, "somebodys"),
        (DriftKind.STRAY_DIRECTORY, "notes"),
    ]
    assert (root / "notes").is_dir()
    assert watched.node.triton.is_ready("somebodys")


def test_foreign_models_can_be_unloaded(watched: Watched) -> None:
    router(watched.node.root / "repository", "somebodys", {"an-arm": 10_000})
    watched.node.triton.load("somebodys")
    watched.watching(unloads_foreign=True)
    watched.looks()
    [drift] = watched.looks()
    assert drift.put_right
    assert not watched.node.triton.is_ready("somebodys")


def test_what_nobody_needs_any_more_is_tidied_up(watched: Watched) -> None:
    node = watched.node
    left = BOTH.models[1]
    node.repository.publish(left, "cpu")
    node.triton.load(left.name)
    (node.root / "repository" / ".staging" / "x-1999999999-abc").mkdir(parents=True)
    assert watched.looks() == []
    assert watched.looks() == []
    assert left.name not in node.held()
    assert left.name not in node.repository.names()
    assert list((node.root / "repository" / ".staging").iterdir()) == []


def test_a_router_that_nothing_leads_to_is_taken_off(watched: Watched) -> None:
    roll(watched.node, plan(1, (3, 10_000), endpoint="numbers"))
    watched.node.state.write("numbers", EndpointState(highest=2))
    watched.looks()
    assert watched.looks() == []
    assert watched.node.held() == {watched.model, "digits"}
    assert set(watched.node.repository.names()) == watched.node.held()


def test_a_memory_that_was_lost_takes_nothing_off_that_serves(watched: Watched) -> None:
    held, lying = watched.node.held(), watched.node.repository.names()
    watched.file(watched.model, "../../state/endpoints/digits.json").unlink()
    watched.assured = None
    watched.watching(unloads_foreign=True)
    assert [*watched.looks(), *watched.looks()] == [], "and none of it is called somebody else's"
    assert (watched.node.held(), watched.node.repository.names()) == (held, lying)


def test_a_state_that_cannot_be_read_keeps_everything_where_it_is(watched: Watched) -> None:
    held = watched.node.held()
    watched.file(watched.model, "../../state/endpoints/digits.json").write_text("{")
    assert [*watched.looks(), *watched.looks()] == []
    watched.node.agent.retire("numbers", 1)
    assert watched.node.held() == held
    roll(watched.node, TWO)
    watched.node.agent.retire("digits", TWO.generation)
    assert watched.node.held() == {*TWO.physical_names, "digits"}, "it is known again"


def test_what_was_published_before_there_were_records_is_recorded(watched: Watched) -> None:
    shutil.rmtree(watched.node.root / "repository" / ".published")
    assert watched.looks() == []
    edit(watched.file(watched.model, "config.pbtxt"))
    assert [drift.subject for drift in watched.looks()] == [watched.model]
    shutil.rmtree(watched.node.root / "repository" / ".published")
    edit(watched.file(watched.model, "config.pbtxt"))
    [drift] = [d for d in watched.looks() if d.subject == watched.model]
    assert (drift.detail, drift.put_right) == ("is not as it was planned", True)


def test_names_that_are_no_text_are_told_in_text(watched: Watched) -> None:
    """No database takes half of a character: every heartbeat would fail of it."""
    (watched.node.root / "repository" / os.fsdecode(b"caf\xe9")).mkdir()
    (watched.node.root / "repository" / os.fsdecode(b"\xe9" * 255)).mkdir()
    watched.file(watched.model, os.fsdecode(b"\xff.txt")).write_text("hello")
    watched.looks()
    watched.file(watched.model, os.fsdecode(b"\xff.txt")).write_text("hello")
    found = watched.looks()
    assert {"\\xff.txt was added"} == {d.detail for d in found if d.kind == DriftKind.FILES}
    assert "caf\\xe9" in {drift.subject for drift in found}
    assert max(len(drift.subject) for drift in found) == 255
    for drift in found:
        (drift.subject + drift.detail).encode()


def test_what_cannot_be_swept_keeps_nothing_from_people(watched: Watched) -> None:
    staging = watched.node.root / "repository" / ".staging"
    staging.rmdir()
    staging.write_text("no directory")
    (watched.node.root / "repository" / "notes").mkdir()
    watched.looks()
    assert [drift.subject for drift in watched.looks()] == ["notes"]


def edit(path: Path) -> None:
    path.chmod(0o644)
    path.write_text(path.read_text() + "# by hand\n")
