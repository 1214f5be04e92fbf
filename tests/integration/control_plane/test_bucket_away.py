"""Servers that share no disk: each gets its artifacts from a bucket, or says why it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.endpoints.services import create_endpoint
from control_plane.fleet.agent import NodeAgent
from control_plane.ports.repository import ArtifactStore
from control_plane.wiring import print_config
from tests.integration.control_plane.test_convergence import World
from tests.support.buckets import BucketServer, bucket_server, bucket_store
from tests.support.fakes import FakeTriton

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def server() -> Iterator[BucketServer]:
    with bucket_server("artifacts") as server:
        yield server


class Apart(World):
    """Each server, and whoever takes uploads, has a cache of its own and nothing else."""

    def __init__(self, root: Path, bucket: BucketServer, *servers: str) -> None:
        self._bucket = bucket
        super().__init__(root, *servers)

    def store_of(self, server: str) -> ArtifactStore:
        cache = self._root / (server or "api") / "cache"
        place = f"s3://artifacts/{self._root.name}"
        return bucket_store(self._bucket.address, cache, place=place)

    def restart(self, name: str) -> tuple[NodeAgent, FakeTriton]:
        """A node that starts anew with an empty Triton, and what is on its disk."""
        self.join(name)
        return self.agents[name], self.tritons[name]


@pytest.fixture
def world(tmp_path: Path, server: BucketServer) -> Apart:
    world = Apart(tmp_path, server, "a", "b")
    create_endpoint(name="digits", actor="ada", queue=world, print_config=print_config)
    return world


def test_a_server_gets_its_models_and_goes_on_while_the_bucket_is_away(
    world: Apart, server: BucketServer
) -> None:
    world.policy(100)
    world.settle(1)
    assert world.endpoint.status == "Healthy"

    with server.away():
        world.policy(50, 50)  # which needs what no server has yet
        world.settle(2)
        endpoint = world.endpoint
        assert endpoint.status == "Degraded"
        assert f"the bucket of s3://artifacts/{world._root.name} at" in endpoint.reason
        assert "The traffic before this change goes on; trying again" in endpoint.reason
        assert world.generation_on("a") == world.generation_on("b") == "1"
        # What is published is all that a node needs to serve again.
        agent, triton = world.restart("a")
        assert agent.restore() == []
        assert triton.is_ready("digits")
        assert world.generation_on("a") == "1"
        # A change of what is there already goes through.
        world.policy(100)
        world.settle(1)
        assert world.endpoint.status == "Healthy"

    world.policy(50, 50)
    world.settle(3)
    assert (world.endpoint.status, world.endpoint.reason) == ("Healthy", "serving on a, b")
