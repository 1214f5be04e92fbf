"""A server's gate over a node's own memory and a Triton in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_plane.domain.planning.readiness import Wanted, WantedEndpoint
from control_plane.fleet.gate import FRESH_S, Gate
from control_plane.fleet.node_state import NodeState
from tests.unit.fleet.test_agent import ONE, TWO, Node, roll
from tests.unit.fleet.test_staging import files_of_at_most

AT_ONE = Wanted({"digits": WantedEndpoint(settled=1, newest=1, intent=1)})
AT_THREE = Wanted({"digits": WantedEndpoint(settled=3, newest=3, intent=3)})


class Guarded:
    """A node's gate, and the time that passes."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.now = 1000.0
        self.gate = self.after_a_restart()

    def after_a_restart(self) -> Gate:
        state = NodeState(self.node.root / "state")
        self.gate = Gate(
            agent=self.node.again(),
            triton=self.node.triton,
            state=state,
            monotonic=lambda: self.now,
        )
        return self.gate

    def says(self) -> str:
        """Empty where it is ready."""
        self.now += FRESH_S
        verdict = self.gate.verdict()
        return "" if verdict.ready else verdict.reason


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    node = Node(tmp_path)
    roll(node, ONE)
    return Guarded(node)


def test_it_opens_when_the_node_has_looked_and_asked(guarded: Guarded) -> None:
    assert guarded.says() == "starting"
    guarded.gate.found("")
    assert "being asked" in guarded.says()
    guarded.gate.heard(Wanted({"digits": WantedEndpoint(1, 1, 1)}))
    assert guarded.says() == ""
    assert not guarded.gate.catches_up


def test_it_looks_at_triton_itself(guarded: Guarded) -> None:
    guarded.gate.found("")
    guarded.gate.heard_nothing()
    assert guarded.says() == ""
    guarded.node.triton.unload("digits")
    assert guarded.says() == "not loaded: digits", "before the node's own next look"
    guarded.node.triton.running = False
    assert guarded.says() == "Triton does not answer"


def test_one_that_was_away_stays_closed_until_it_has_caught_up(guarded: Guarded) -> None:
    guarded.gate.found("")
    guarded.gate.heard(AT_THREE)
    assert guarded.says() == "digits is at generation 1, and 3 is wanted"
    roll(guarded.node, TWO)
    assert guarded.says() == ""


def test_what_was_wanted_last_outlives_a_restart_without_a_control_plane(guarded: Guarded) -> None:
    guarded.gate.heard(AT_THREE)
    guarded.after_a_restart()
    guarded.gate.found("")
    guarded.gate.heard_nothing()
    assert "3 is wanted" in guarded.says()
    roll(guarded.node, TWO)
    guarded.after_a_restart()
    guarded.gate.found("")
    guarded.gate.heard_nothing()
    assert guarded.says() == ""


def test_a_triton_that_was_away_is_held_to_what_is_wanted_now(guarded: Guarded) -> None:
    guarded.gate.found("")
    guarded.gate.heard(Wanted({"digits": WantedEndpoint(1, 1, 1)}))
    assert guarded.says() == ""
    guarded.gate.found("Triton does not answer")
    guarded.gate.begins_anew()
    guarded.gate.found("")
    assert "being asked" in guarded.says()
    guarded.gate.heard(Wanted({"digits": WantedEndpoint(1, 1, 2)}))
    assert "2 is wanted" in guarded.says()


def test_what_is_wanted_is_sure_once_the_node_is_ready_by_an_answer(guarded: Guarded) -> None:
    guarded.gate.heard(Wanted({"digits": WantedEndpoint(1, 1, 1)}))
    guarded.after_a_restart()
    guarded.gate.found("")
    guarded.gate.heard_nothing()
    assert guarded.says() == ""
    assert guarded.gate.assured() is None, "it is what was wanted before"
    guarded.gate.heard(AT_THREE)
    assert guarded.gate.assured() is None, "what is missing here may serve"
    roll(guarded.node, TWO)
    guarded.now += FRESH_S
    assert guarded.gate.assured() == {"digits"}


def test_a_command_under_way_closes_no_gate_that_was_open(guarded: Guarded) -> None:
    guarded.gate.found("")
    guarded.gate.heard_nothing()
    assert guarded.says() == ""
    with NodeState(guarded.node.root / "state").locked("digits"):
        guarded.node.triton.unload("digits")
        assert guarded.says() == ""
    assert guarded.says() == "not loaded: digits"
    with NodeState(guarded.node.root / "state").locked("digits"):
        assert guarded.says() == "not loaded: digits", "and opens none that was closed"


def test_a_full_disk_keeps_no_gate_shut(guarded: Guarded) -> None:
    guarded.gate.found("")
    with files_of_at_most(0):
        guarded.gate.heard(AT_ONE)
    assert guarded.says() == ""
    guarded.gate.heard(AT_ONE)
    assert NodeState(guarded.node.root / "state").wanted() == AT_ONE, "as soon as it can be"


def test_what_cannot_be_read_of_what_was_wanted_counts_as_nothing_known(guarded: Guarded) -> None:
    (guarded.node.root / "state" / "wanted.json").write_text("{")
    guarded.after_a_restart()
    guarded.gate.found("")
    guarded.gate.heard_nothing()
    assert guarded.says() == ""


def test_after_a_drain_all_has_to_be_there_again(guarded: Guarded) -> None:
    guarded.gate.found("")
    guarded.gate.heard(Wanted({"digits": WantedEndpoint(1, 1, 1)}))
    assert guarded.says() == ""
    arriving = {"numbers": WantedEndpoint(1, 1, 1, arriving=True)}
    guarded.gate.heard(Wanted(arriving))
    assert guarded.says() == ""
    guarded.gate.heard(Wanted(draining="new disk"))
    assert guarded.says() == "draining: new disk"
    guarded.gate.heard(Wanted(arriving))
    assert guarded.says() == "numbers is at generation 0, and 1 is wanted"
