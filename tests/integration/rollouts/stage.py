"""A world with rollouts in it: requests that the test sends, and a tick that it takes by hand."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

from control_plane.domain.planning.plan import Plan
from control_plane.endpoints.models import Revision
from control_plane.endpoints.reconcile import sweep
from control_plane.fleet.models import Server
from control_plane.ports.triton import Sample
from control_plane.rollouts import services
from control_plane.rollouts.advancing import Means, advance
from control_plane.rollouts.models import Rollout
from control_plane.telemetry.samples import rows
from control_plane.telemetry.store import TelemetryStore
from control_plane.wiring import print_config
from tests.integration.control_plane.test_convergence import World


class Stage(World):
    """Its counters are those of routers that keep to what they were allowed."""

    def __init__(self, root: Path, store: TelemetryStore, *servers: str) -> None:
        self.counts: dict[str, Counter[tuple[str, str]]] = {}
        self.copied: dict[str, Counter[tuple[str, str]]] = {}
        super().__init__(root, *servers)
        self.root, self.store = root, store
        store.keep_partitions(self.clock.now().date())
        self.used: Counter[tuple[str, str]] = Counter()
        self.withdrawn: set[tuple[str, str]] = set()
        self.waits: dict[int, int] = {}
        """Version -> microseconds that each of its requests waits in the queue."""

    def join(self, name: str) -> None:
        super().join(name)
        self.counts[name], self.copied[name] = Counter(), Counter()

    def policy_text(self, server: str) -> str:
        """What the server's router was given, as its node wrote it."""
        [text] = (self.root / server / "repository/digits").glob("1000000000/policy.txt")
        return text.read_text()

    # What people do.

    def start(self, version: int = 2, actor: str = "ada", **more: Any) -> Rollout:
        document = {"endpoint": "digits", "to": {"model": "digits", "version": version}, **more}
        return services.start_rollout(
            document=document, actor=actor, queue=self, print_config=print_config, clock=self.clock
        )

    def abort(self, rollout: Rollout, actor: str = "ada") -> Rollout:
        return services.abort(
            rollout_id=rollout.id,
            actor=actor,
            clock=self.clock,
            queue=self,
            print_config=print_config,
        )

    # What happens by itself.

    def plan_on(self, server: str) -> Plan:
        """What the server's router does."""
        generation = int(self.generation_on(server))
        plan = Revision.objects.get(endpoint=self.endpoint, generation=generation).compiled
        assert plan is not None
        return plan

    def traffic(self, requests: int, failing: float = 0.0) -> None:
        """So many requests at each server; version 2 fails that share of those it gets."""
        for server in self.counts:
            for planned in self.plan_on(server).arms:
                count = round(requests * planned.arm.weight / 10_000)
                bad = round(count * failing) if planned.arm.version == 2 else 0
                if (allowed := planned.arm.allowance) and allowed.failures is not None:
                    is_given = (server, planned.grant) not in self.withdrawn
                    left = allowed.failures - self.used[server, planned.grant] if is_given else 0
                    bad = min(bad, left)
                    count = count if bad < left else bad
                    self.used[server, planned.grant] += bad
                self.counts[server][planned.physical, "ok"] += count - bad
                self.counts[server][planned.physical, "rescued"] += bad
            self._copy(server, requests, failing)

    def _copy(self, server: str, requests: int, failing: float) -> None:
        """What the shadows of the server's policy get of so many requests."""
        plan = self.plan_on(server)
        physical = {planned.arm.name: planned.physical for planned in plan.arms}
        for shadow in plan.routing.shadows:
            count = round(requests * shadow.parts / 10_000)
            bad = round(count * failing)
            self.copied[server][physical[shadow.arm], "ok"] += count - bad
            self.copied[server][physical[shadow.arm], "error"] += bad

    def withdraw(self, server: str) -> None:
        """What a node does to an allowance in a Triton that was started anew, or that joined."""
        for planned in self.plan_on(server).arms:
            if planned.grant:
                self.used.pop((server, planned.grant), None)
                self.withdrawn.add((server, planned.grant))

    def scrape(self) -> None:
        for server in Server.objects.all():
            page = [
                Sample(
                    "nereid_requests_total",
                    {"endpoint": "digits", "arm": arm, "outcome": outcome},
                    float(count),
                )
                for (arm, outcome), count in self.counts[server.name].items()
            ]
            page += [
                Sample(
                    "nereid_shadow_requests_total",
                    {"endpoint": "digits", "arm": arm, "outcome": outcome},
                    float(count),
                )
                for (arm, outcome), count in self.copied[server.name].items()
            ]
            for planned in self.plan_on(server.name).arms:
                if planned.arm.allowance and planned.arm.allowance.failures is not None:
                    left = planned.arm.allowance.failures - self.used[server.name, planned.grant]
                    labels = {"endpoint": "digits", "arm": planned.physical, "of": "failures"}
                    page.append(Sample("nereid_allowance_left", labels, float(left)))
                    attempts = 0 if (server.name, planned.grant) in self.withdrawn else math.inf
                    labels = {**labels, "of": "attempts"}
                    page.append(Sample("nereid_allowance_left", labels, attempts))
            page += self._queues(server.name)
            self.store.write(rows(page, server.id, self.clock.now()))

    def _queues(self, server: str) -> list[Sample]:
        """What Triton says of the models' queues."""
        page = []
        for planned in self.plan_on(server).arms if self.waits else ():
            its = {"model": planned.physical, "version": "1"}
            answered = self.counts[server][planned.physical, "ok"]
            waited = answered * self.waits[planned.arm.version]
            page.append(Sample("nv_inference_request_success_total", its, float(answered)))
            page.append(Sample("nv_inference_queue_duration_us_total", its, float(waited)))
        return page

    def tick(self, rollout: Rollout, requests: int = 0, failing: float = 0.0) -> Rollout:
        """A second goes by: requests, a scrape, a look, and what the nodes make of it."""
        self.clock.pass_time(seconds=1)
        self.beat()
        if requests:
            self.traffic(requests, failing)
        self.scrape()
        advance(rollout.id, Means(self.clock, self, print_config, self.store))
        self.deliver_all()
        rollout.refresh_from_db()
        return rollout

    def deliver_all(self) -> None:
        """What was asked for after commits, of which a test has none, is found by the sweep."""
        sweep(clock=self.clock, queue=self)
        while self.messages:
            self.deliver(self.messages.pop(0))

    def until(self, rollout: Rollout, state: str, ticks: int = 60, **traffic: Any) -> Rollout:
        """Ticks until the rollout is in that state."""
        seen = [rollout.state]
        for _ in range(ticks):
            if rollout.state == state:
                return rollout
            self.tick(rollout, **traffic)
            seen.append(f"{rollout.state} {rollout.step}: {rollout.reason}")
        raise AssertionError(f"never {state}:\n" + "\n".join(seen[-12:]))

    def shares(self) -> dict[int, float]:
        """Version -> percent, of the present intent."""
        assert self.endpoint.policy
        return {arm["version"]: arm["weight"] for arm in self.endpoint.policy["arms"]}
