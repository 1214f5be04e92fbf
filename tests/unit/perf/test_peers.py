"""What `make bench` compares, without the servers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from perf.peers.__main__ import Alone, Bench, Series
from perf.peers.contenders import PEERS, Contender
from perf.peers.environments import REQUIREMENTS, version
from perf.peers.limit import Limit, Way
from perf.peers.load import Measured
from perf.peers.networks import CNN, NETWORKS, TINY, Network


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_a_network_answers_a_batch_as_it_answers_each_row(network: Network, tmp_path: Path) -> None:
    network.write(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    row = network.sample()
    (alone,) = session.run(["y"], {"x": row[None]})
    (together,) = session.run(["y"], {"x": np.stack([row, row * 0])})
    assert alone.shape == (1, 10)
    assert np.allclose(alone[0], together[0], atol=1e-4)
    assert not np.allclose(together[0], together[1], atol=1e-2)


def test_the_networks_cost_what_is_said_of_them(tmp_path: Path) -> None:
    assert TINY.write(tmp_path / "tiny.onnx") == 2 * (64 * 64 + 64 * 10)
    assert CNN.write(tmp_path / "cnn.onnx") == pytest.approx(234e6, rel=0.01)


def test_callers_who_wait_have_no_more_rows_under_way_than_they_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whole batches are quickest here, and one caller never makes one."""
    monkeypatch.setattr(Limit, "rate", lambda _, way, seconds: way.together * seconds)
    limit = Limit(tmp_path / "model.onnx", TINY.sample())
    assert limit.best() == Way(sessions=2, threads=1, rows=32)
    assert limit.best(8).together == 8
    assert limit.best(1) == Way(sessions=1, threads=2, rows=1)


def test_every_peer_is_pinned_with_all_that_it_needs() -> None:
    for peer in PEERS:
        lines = (REQUIREMENTS / f"{peer.package}.txt").read_text().splitlines()
        assert version(peer.package)
        assert [line for line in lines if "==" not in line] == []
        assert version("onnxruntime", of=peer.package) == onnxruntime.__version__


@pytest.mark.parametrize("restless", [True, False])
def test_who_takes_a_core_unasked_is_held_while_others_are_measured(restless: bool) -> None:
    said: list[str] = []
    process = SimpleNamespace(
        is_running=lambda: True,
        children=lambda recursive: [],
        suspend=lambda: said.append("held"),
        resume=lambda: said.append("let go"),
    )
    contender = SimpleNamespace(processes=(process,), restless=restless)
    Contender.rest(contender)
    Contender.wake(contender)
    assert said == (["held", "let go"] if restless else [])


def test_a_ratio_is_of_what_was_measured_side_by_side() -> None:
    """The machine halves its speed after the first round: the ratio does not see it."""
    ours = Series("ours", [Measured(rate, 1, 1, 0) for rate in (1000, 500, 500)])
    theirs = Series("theirs", [Measured(rate, 1, 1, 2) for rate in (250, 125, 125)])
    alone = Alone(Way(sessions=1, threads=2, rows=8), [2000, 1000, 1000])
    found = Bench(TINY, 9472, 8, [ours, theirs], [alone])
    assert (found.ratio(theirs).low, found.ratio(theirs).high) == (4.0, 4.0)
    assert found.share(alone).median == 0.5
    assert theirs.failed == 6
