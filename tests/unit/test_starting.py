"""How a process begins: without the collector, and with it afterwards whatever happened."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from control_plane.starting import collector_resting


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.enable()
    gc.unfreeze()


def test_the_collector_rests_and_leaves_out_what_was_made_meanwhile() -> None:
    before = gc.get_freeze_count()
    with collector_resting():
        assert not gc.isenabled()
        made = [[number] for number in range(1_000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(made)


def test_it_goes_on_where_the_beginning_failed() -> None:
    with pytest.raises(ImportError), collector_resting():
        raise ImportError("no such module")
    assert gc.isenabled()
