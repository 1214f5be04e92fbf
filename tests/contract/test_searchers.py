"""Every searcher proposes places within the space, the same ones to the same question."""

from __future__ import annotations

import pytest

from control_plane.adapters.optuna_search import OptunaSearcher
from control_plane.domain.tuning.read_request import read_tune
from control_plane.domain.tuning.study import Point, points_of
from control_plane.ports.proposals import Searcher
from tests.support.fakes import FakeSearcher
from tests.support.tuning import MadeUpServer, digits_space, tuned

DOCUMENT = {"target": {"model": "digits", "version": 1}, "server": "lab", "latency_limit": "20ms"}
REQUEST = read_tune({**DOCUMENT, "trials": 9})
SPACE = digits_space(2)


def measured() -> list[Point]:
    trials, _ = tuned(REQUEST, SPACE, MadeUpServer(cores=2, row=200))
    return points_of(REQUEST, trials)


@pytest.mark.parametrize("make", [OptunaSearcher, FakeSearcher])
def test_places_lie_within_the_space(make: type[Searcher]) -> None:
    searcher, candidates = make(), set(SPACE.candidates())
    for points in ([], measured()):
        found = searcher.propose(REQUEST, SPACE, points)
        assert found
        assert len(set(found)) == len(found)
        assert {one for one, _ in found} <= candidates
        assert {load for _, load in found} <= set(REQUEST.loads)
        assert make().propose(REQUEST, SPACE, points) == found


def test_optuna_learns_what_does_well() -> None:
    """Told that two instances do better than one, it proposes them more often."""
    wide = digits_space(2, instances=[1, 2], threads=[1], max_batch_size=[4, 8, 16])
    server = MadeUpServer(cores=2, parallel=0.0, per_instance=0.0)
    points = []
    for one in wide.candidates()[1:]:
        rate, p99 = server.truth(one, 64)
        points.append(Point(one, 64.0, rate, p99, 1, 3.0, (1,), within=True))
    request = read_tune({**DOCUMENT, "latency_limit": None})
    found = OptunaSearcher().propose(request, wide, points)
    twice = [one for one, _ in found if one.instances == 2]
    assert len(twice) > len(found) / 2
