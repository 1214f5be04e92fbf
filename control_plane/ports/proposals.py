"""Where a tune may look next, by a searcher that knows nothing of queues and batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from control_plane.domain.tuning.request import TuneRequest
from control_plane.domain.tuning.searching import Place
from control_plane.domain.tuning.space import Space
from control_plane.domain.tuning.study import Point


class Searcher(Protocol):
    """Is told what was measured and asked for places; it measures nothing."""

    def propose(
        self, request: TuneRequest, space: Space, points: Sequence[Point]
    ) -> Sequence[Place]:
        """Configurations with loads, all within the space, the likely ones more often.

        The same points get the same answer: a worker that takes over goes on as the one before.
        """
        ...
