"""Three real servers: a drain moves an endpoint, and who follows the placements sees nothing."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton

from nereid import Client
from perf.marked_model import Behaviour
from tests.support.joined import joined
from tests.support.processes import eventually
from tests.support.serving import ServingStack

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

NAME = "moving"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingStack]:
    serving = ServingStack(tmp_path_factory.mktemp("drained") / "home", sample=False)
    serving.start()
    yield serving
    serving.stop()


class Caller:
    """Calls without a pause, in turn those servers whose part in the endpoint says `Serving`."""

    def __init__(self, nereid: Client, addresses: dict[str, str]) -> None:
        self._nereid = nereid
        self._addresses = addresses
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=one) for one in (self._look, self._call)]
        self.serving: list[str] = []
        self.failures: list[str] = []
        self.answered: set[str] = set()
        self.requests = 0

    def __enter__(self) -> Caller:
        assert eventually(self._seen, 60)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _seen(self) -> bool:
        parts = self._nereid.endpoint(NAME).raw["servers"]
        self.serving = [one["server"] for one in parts if one["status"] == "Serving"]
        return bool(self.serving)

    def _look(self) -> None:
        while not self._stopping.wait(0.5):
            self._seen()

    def _call(self) -> None:
        with ExitStack() as open_clients:
            clients = {
                name: open_clients.enter_context(triton.InferenceServerClient(address))
                for name, address in self._addresses.items()
            }
            given = triton.InferInput("marks", [1, 3], "FP32")
            given.set_data_from_numpy(np.array([[1, 1, 1]], np.float32))
            for turn in itertools.count():
                if self._stopping.is_set():
                    return
                serving = self.serving
                name = serving[turn % len(serving)]
                try:
                    clients[name].infer(NAME, [given], client_timeout=20)
                    self.answered.add(name)
                except triton.InferenceServerException as error:
                    self.failures.append(f"{name}: {error}")
                self.requests += 1


def test_a_drain_moves_an_endpoint_without_a_failed_request(
    stack: ServingStack, tmp_path: Path
) -> None:
    with ExitStack() as running:
        others = [running.enter_context(joined(stack, name)) for name in ("second", "third")]
        nereid = running.enter_context(Client(stack.api, stack.token))
        addresses = {one.name: one.grpc for one in others}
        [first] = [one.name for one in nereid.servers() if one.name not in addresses]
        addresses[first] = stack.stack["triton"]["grpc"]
        nereid.push(NAME, Behaviour().archive(tmp_path), framework="python", create=True, wait=True)
        nereid.ensure_endpoint(NAME)
        nereid.put_placement(NAME, {"replicas": 1})
        arms = [{"model": NAME, "version": 1, "weight": 100}]
        accepted = nereid.put_policy(NAME, {"arms": arms}, etag="*")
        assert nereid.wait_endpoint(NAME, generation=accepted.generation).status == "Healthy"
        [home] = nereid.placement(NAME).servers

        with Caller(nereid, addresses) as caller:
            assert eventually(lambda: caller.answered == {home}, 30)
            nereid.drain_server(home, reason="new disk")
            drained = nereid.wait_drained(home, timeout=180)
            # As long as the caller goes on at the new place.
            seen = caller.requests
            assert eventually(lambda: caller.requests > seen + 50, 60)

        assert caller.failures == []
        [moved] = nereid.placement(NAME).servers
        assert caller.answered == {home, moved}
        assert moved != home
        assert not any(held.name == NAME for held in drained.models if held.state == "READY") or (
            eventually(lambda: NAME not in {held.name for held in nereid.server(home).models}, 30)
        )
        assert nereid.server(home).raw["memory"]["used"], "its node measures Triton"
