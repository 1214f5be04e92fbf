"""A node's keeper over a Triton in memory: what it makes of one that does not answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_plane.domain.planning.readiness import Wanted, WantedEndpoint
from control_plane.fleet.drift import DriftWatch
from tests.unit.fleet.test_agent import ONE, Node, roll
from tests.unit.fleet.test_gate import Guarded
from workers.node import AWAY_LOOKS, Keeper

ASKED = "starting: the control plane is being asked what is wanted"


class Kept(Guarded):
    """A node that serves, and whose gate is open."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.keeper = self.keeping(node.root / "ready.json")
        self.keeper.look()
        self.gate.heard(Wanted({"digits": WantedEndpoint(1, 1, 1)}))
        assert self.says() == ""

    def keeping(self, ready_file: Path) -> Keeper:
        node = self.node
        watch = DriftWatch(
            agent=node.agent,
            triton=node.triton,
            repository=node.repository,
            state=node.state,
            assured=self.gate.assured,
        )
        return Keeper(node.agent, node.triton, self.gate, watch, ready_file)

    def is_away_for(self, looks: int) -> None:
        self.node.triton.running = False
        for _ in range(looks):
            self.keeper.look()
        self.node.triton.running = True


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    node = Node(tmp_path)
    roll(node, ONE)
    return Kept(node)


def test_a_hiccup_of_triton_is_no_start(kept: Kept) -> None:
    kept.is_away_for(1)
    assert kept.says() == "Triton does not answer"
    kept.keeper.look()
    assert kept.says() == ""


def test_a_triton_that_was_away_for_long_is_held_to_everything(kept: Kept) -> None:
    kept.is_away_for(AWAY_LOOKS)
    kept.keeper.look()
    assert kept.says() == ASKED


@pytest.mark.parametrize("looks", [0, 1])
def test_so_is_one_that_lost_its_models_however_short_it_was_away(kept: Kept, looks: int) -> None:
    kept.node.triton.crash()
    kept.is_away_for(looks)
    kept.keeper.look()
    kept.keeper.look()
    assert kept.node.triton.is_ready("digits")
    assert kept.says() == ASKED


def test_what_was_unloaded_by_hand_is_no_start_either(kept: Kept) -> None:
    kept.node.triton.unload("digits")
    kept.keeper.look()
    kept.keeper.look()
    assert kept.says() == ""


def test_a_disk_that_takes_nothing_keeps_no_gate_shut(kept: Kept) -> None:
    kept.gate.found("starting")
    with pytest.raises(OSError, match="No such file"):
        kept.keeping(kept.node.root / "gone" / "ready.json").look()
    assert kept.says() == ""
