"""The simulated fleet does what the control plane's own rules say, at times that can be counted."""

from __future__ import annotations

import pytest

from perf.fleet_simulation import COMMAND_EXPIRY_S, SWEEP_S, Fleet, Simulation
from perf.reconcile_load import SCENARIOS, simulate

SMALL = Fleet(servers=5, endpoints=40)


def changed(fleet: Fleet, *, models: bool, workers: int = 8) -> Simulation:
    """One endpoint is changed between two sweeps, and all has settled."""
    simulation = Simulation(fleet, "one change", workers)
    simulation.at(1.0, lambda: simulation.change(7, models=models))
    simulation.run(1.0)
    return simulation


def test_a_change_of_weights_takes_two_looks_and_a_switch() -> None:
    (took,) = changed(SMALL, models=False).figures.took_s
    # Three servers switch side by side, and the first look after it finds all three done.
    assert took == pytest.approx(SMALL.switch_s + 2 * SMALL.look_s)


def test_new_models_are_prepared_everywhere_before_anything_is_switched() -> None:
    (took,) = changed(SMALL, models=True).figures.took_s
    work = SMALL.prepare_s + SMALL.switch_s
    assert work < took < work + 8 * SMALL.look_s


def test_a_lost_command_is_sent_again_when_it_counts_as_lost() -> None:
    simulation = Simulation(SMALL, "lost", 8)

    def lossy() -> None:
        simulation.change(7, models=False)
        simulation.loss = 1.0  # the look is asked for; all that follows of it is lost

    simulation.at(1.0, lossy)
    simulation.at(2.5, lambda: setattr(simulation, "loss", 0.0))
    simulation.run(3.0)
    (took,) = simulation.figures.took_s
    assert COMMAND_EXPIRY_S <= took <= COMMAND_EXPIRY_S + 2 * SWEEP_S


def test_too_few_workers_are_seen() -> None:
    fleet = Fleet(servers=5, endpoints=400, look_s=0.05)
    few, enough = (simulate(fleet, "weights, 50 a second", n) for n in (4, 64))
    assert few.longest_queue > 10 * enough.longest_queue
    assert few.settled_s is not None
    assert enough.settled_s is not None
    assert few.settled_s > enough.settled_s


def test_trouble_on_a_server_concerns_the_endpoints_that_are_there() -> None:
    figures = simulate(SMALL, "one server away", 4)
    there = SMALL.endpoints * SMALL.replicas // SMALL.servers
    # At the beginning, every 20 s, and when it is back.
    assert there * 14 <= figures.looks <= there * 17


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_settles(scenario: str) -> None:
    assert simulate(SMALL, scenario, 4).settled_s is not None
