"""Who changes policies and rolls versions out all the while, and what was acknowledged to them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.serving import ServingStack

CHANGED, ROLLED = "digits", "rolling"
"""Two endpoints: one whose weights change, one that versions are rolled out on."""

CHANGE_S = 1.0
STEPS = [{"setWeight": 30}, {"pause": {"duration": "1s"}}, {"setWeight": 60}]


@dataclass(frozen=True)
class Accepted:
    """A change that was answered with 2xx: the generation it is, and the weights it asked for."""

    generation: int
    weights: tuple[float, ...]


class Changes:
    """Puts a policy a second, each with weights that no other has, and keeps a rollout going."""

    def __init__(self, stack: ServingStack) -> None:
        self._stack = stack
        self._stopping, self._resting = threading.Event(), threading.Event()
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._number = 0
        self.accepted: list[Accepted] = []
        self.rollouts: list[str] = []
        self.refused = 0

    @contextlib.contextmanager
    def going_on(self) -> Iterator[Changes]:
        """Changes until the end of the block."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            self._thread.join(60)

    @property
    def goes_on(self) -> bool:
        """False where it ended before it was told to, by whatever it did not expect."""
        return self._thread.is_alive()

    @contextlib.contextmanager
    def at_rest(self) -> Iterator[None]:
        """No change begins meanwhile."""
        with self._writing:
            yield

    def put(
        self, *, versions: tuple[int, int] = (1, 2), overrides: Mapping[str, Any] | None = None
    ) -> Accepted:
        """One change, the second arm served with the overrides.

        Raises:
            httpx.HTTPError: nobody acknowledged it.
        """
        self._number += 1
        first = 1 + (self._number % 9800) / 100
        weights = (round(first, 2), round(100 - first, 2))
        arms: list[dict[str, Any]] = [
            {
                "name": name,
                "model": "digits",
                "version": v,
                "weight": w,
                "primary": v == versions[0],
            }
            for name, v, w in zip(("one", "two"), versions, weights, strict=True)
        ]
        if overrides:
            arms[1]["overrides"] = overrides
        with self._stack.client() as client:
            answer = client.put(
                f"/endpoints/{CHANGED}/policy/", json={"arms": arms}, headers={"If-Match": "*"}
            )
            answer.raise_for_status()
        change = Accepted(int(answer.json()["generation"]), weights)
        self.accepted.append(change)
        return change

    def put_until_accepted(self, patience_s: float = 90.0, **more: Any) -> Accepted:
        """The same, again and again: the API may be reconnecting to what was killed."""
        deadline = time.monotonic() + patience_s
        while True:
            try:
                return self.put(**more)
            except httpx.HTTPError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def lost(self) -> list[str]:
        """Each acknowledged change that is not there (any more) as it was acknowledged."""
        found = {}
        with self._stack.client() as client:
            path: str | None = f"/endpoints/{CHANGED}/revisions/?limit=100"
            while path:
                page = client.get(path).raise_for_status().json()
                for revision in page["results"]:
                    said = tuple(arm["weight"] for arm in revision["policy"]["arms"])
                    found[revision["generation"]] = said
                path = page["next"]
            kept = [
                (rollout, client.get(f"/rollouts/{rollout}/").status_code)
                for rollout in self.rollouts
            ]
        return [
            f"generation {change.generation}: {change.weights} was accepted, and "
            f"{found.get(change.generation, 'nothing')} is there"
            for change in self.accepted
            if found.get(change.generation) != change.weights
        ] + [f"rollout {rollout}: {status}" for rollout, status in kept if status != 200]

    def unfinished(self) -> list[str]:
        """The rollouts that were accepted and have not come to an end."""
        with self._stack.client() as client:
            seen = [
                client.get(f"/rollouts/{one}/").raise_for_status().json() for one in self.rollouts
            ]
        return [
            f"{one['id']}: {one['state']}, {one['reason']}"
            for one in seen
            if not one["finished_at"]
        ]

    def _go_on(self) -> None:
        while not self._stopping.wait(CHANGE_S):
            with self._writing:
                try:
                    self.put()
                    self._keep_rolling()
                except (httpx.HTTPError, OSError, ValueError):
                    self.refused += 1  # nobody acknowledged it: it may be there, or not

    def _keep_rolling(self) -> None:
        with self._stack.client() as client:
            endpoint = client.get(f"/endpoints/{ROLLED}/").raise_for_status().json()
            [arm] = [arm for arm in endpoint["arms"] if arm["primary"]]
            document = {
                "endpoint": ROLLED,
                "to": {"model": "digits", "version": 3 - arm["version"]},
                "strategy": {"canary": {"steps": STEPS}},
                "watch": "0s",
            }
            answer = client.post("/rollouts/", json=document)
            if answer.status_code == 201:
                self.rollouts.append(str(answer.json()["id"]))
            elif answer.status_code != 409:  # 409: one is under way
                answer.raise_for_status()
