"""The policies that a rollout writes, through the endpoint's own services.

Call everything here in a transaction that holds the endpoint and the rollout. Whoever calls it
saves the rollout.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from control_plane.domain.rollout.policies import promoted, taken_back, with_candidate
from control_plane.domain.rollout.steps import Split
from control_plane.domain.routing.document import parse_policy
from control_plane.domain.routing.policy import Allowance, RoutingPolicy
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.moves import Mover, move, move_back
from control_plane.ports.config_printer import ConfigPrinter
from control_plane.ports.queue import Queue
from control_plane.rollouts.models import Rollout


@dataclass(frozen=True)
class Moves:
    """How a rollout moves traffic, and what it needs for that."""

    queue: Queue
    print_config: ConfigPrinter

    def split(self, endpoint: Endpoint, rollout: Rollout, split: Split, reason: str) -> None:
        """The candidate with that share beside the primary."""
        policy = split_policy(rollout, split)
        self._move(endpoint, rollout, policy, reason, passing=True)

    def promote(self, endpoint: Endpoint, rollout: Rollout, reason: str) -> None:
        """The candidate in the primary's place, and the old version let go."""
        policy = promoted(found_policy(rollout), rollout.to)
        self._move(endpoint, rollout, policy, reason, passing=False)

    def take_back(self, endpoint: Endpoint, rollout: Rollout, reason: str) -> None:
        """What was found, by the routers alone; nothing loads, and nothing is waited for."""
        move_back(
            endpoint=endpoint,
            policy=taken_back(found_policy(rollout)),
            revision=rollout.found_revision,
            by=_mover(rollout, reason),
            passing=True,
            queue=self.queue,
            print_config=self.print_config,
        )
        _written(rollout, endpoint)

    def restore(self, endpoint: Endpoint, rollout: Rollout, reason: str) -> None:
        """Word for word what was found, once the candidate has no requests any more."""
        move_back(
            endpoint=endpoint,
            policy=found_policy(rollout),
            revision=rollout.found_revision,
            by=_mover(rollout, reason),
            passing=False,
            queue=self.queue,
            print_config=self.print_config,
        )
        _written(rollout, endpoint)

    def _move(
        self,
        endpoint: Endpoint,
        rollout: Rollout,
        policy: RoutingPolicy,
        reason: str,
        *,
        passing: bool,
    ) -> None:
        move(
            endpoint=endpoint,
            policy=policy,
            by=_mover(rollout, reason),
            passing=passing,
            queue=self.queue,
            print_config=self.print_config,
        )
        _written(rollout, endpoint)


def found_policy(rollout: Rollout) -> RoutingPolicy:
    """The policy that the rollout began at."""
    return parse_policy(rollout.found)


def split_policy(rollout: Rollout, split: Split) -> RoutingPolicy:
    """That with the candidate beside its primary, and the harm that it may do."""
    servers = tuple(rollout.granted_to) or None
    allowance = Allowance(failures=rollout.granted_each, grant=rollout.grant, servers=servers)
    return with_candidate(found_policy(rollout), rollout.to, split, allowance, twin=rollout.twin)


def deadline(rollout: Rollout, now: datetime) -> datetime:
    """Until when what begins now has to have got somewhere."""
    return now + timedelta(seconds=rollout.progress_deadline_seconds)


def _mover(rollout: Rollout, reason: str) -> Mover:
    said = f"{reason} ({rollout}, started by {rollout.started_by})"
    return Mover(f"rollout {rollout.number}", said, rollout.approved_by)


def _written(rollout: Rollout, endpoint: Endpoint) -> None:
    rollout.written, rollout.generation = endpoint.policy, endpoint.generation
