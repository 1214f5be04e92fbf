"""Faults on two real servers under load: what `make chaos` does, each once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.faults import FAULTS, Fault
from tests.chaos.report import markdown
from tests.chaos.trial import Outcome, Trial, under_load

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with under_load(tmp_path_factory.mktemp("faults") / "home", servers=2, seed=1) as trial:
        yield trial


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_no_request_fails_and_nothing_is_lost(trial: Trial, fault: Fault) -> None:
    outcome = trial.run(fault)
    assert outcome.requests > 0
    assert outcome.held, outcome


def test_the_table_counts_what_was_lost_once_and_says_what_never_came_back() -> None:
    runs = [
        Outcome("triton", requests=9, failures=["a", "b"], lost=["generation 7"], seconds=2.0),
        Outcome("triton", requests=1, lost=["generation 7"], problem="local: starting"),
    ]
    row = markdown(runs).splitlines()[-1]
    assert row == "| a Triton is killed | 2 | 2 of 10 | 0 | 0 | 1 | 0 | 2.0 s | 2.0 s, 1 never |"
    assert not any(run.held for run in runs)


def test_a_run_in_which_nobody_called_holds_nothing() -> None:
    assert Outcome("triton", requests=1, seconds=2.0).held
    assert not Outcome("triton", requests=0, seconds=2.0).held
