"""A node's keeper over a Triton in memory: what it makes of one that does not answer."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest
from django.conf import settings
from django.db import OperationalError

from control_plane.domain.planning.readiness import Wanted, WantedEndpoint
from control_plane.fleet.drift import DriftWatch
from tests.unit.fleet.test_agent import ONE, Node, roll
from tests.unit.fleet.test_gate import Guarded
from workers import node
from workers.drifting import Drifting
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


def test_what_was_sent_meanwhile_is_asked_for_again_once(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = without_a_database(monkeypatch)
    kept.keeper.heartbeat()
    assert asked == []
    kept.is_away_for(1)
    kept.keeper.heartbeat()
    assert asked == [], "not while it is away"
    kept.keeper.look()
    for _ in range(2):
        kept.keeper.heartbeat()
    assert asked == [settings.NEREID_NODE_NAME]


def test_so_it_is_after_the_records_were_away(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = without_a_database(monkeypatch)
    with monkeypatch.context() as away:
        away.setattr(node, "heartbeat", Mock(side_effect=OperationalError("gone")))
        kept.keeper.heartbeat()
    assert asked == []
    kept.keeper.heartbeat()
    assert asked == [settings.NEREID_NODE_NAME]


def without_a_database(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Heartbeats that nobody takes; the servers whose lost commands are asked for, as they are."""
    asked: list[str] = []
    monkeypatch.setattr(node, "close_old_connections", lambda: None)
    monkeypatch.setattr(node, "register_own_server", lambda **_: None)
    monkeypatch.setattr(node, "heartbeat", lambda **_: True)
    monkeypatch.setattr(node, "lost_while_away", lambda *, server, now: asked.append(server))
    monkeypatch.setattr(Keeper, "_hear", lambda *_: None)
    monkeypatch.setattr(Drifting, "tell", lambda *_: None)
    return asked


def test_a_disk_that_takes_nothing_keeps_no_gate_shut(kept: Kept) -> None:
    kept.gate.found("starting")
    with pytest.raises(OSError, match="No such file"):
        kept.keeping(kept.node.root / "gone" / "ready.json").look()
    assert kept.says() == ""
