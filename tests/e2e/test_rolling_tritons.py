"""Two servers behind the edge: their Tritons are started anew in turn, and no caller fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from control_plane.adapters.edge.binary import EnvoyMissingError, find_envoy
from nereid import Client
from tests.support.edge_callers import EdgeCallers
from tests.support.processes import eventually
from tests.support.release import copied_checkout
from tests.support.serving import ServingStack

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

SERVERS = {"local": "triton", "local-2": "triton-2"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied_checkout(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def stack(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingStack]:
    try:
        envoy = find_envoy()
    except EnvoyMissingError as error:
        pytest.skip(str(error))
    serving = ServingStack(
        tmp_path_factory.mktemp("rolled") / "home",
        servers=2,
        edge=True,
        checkout=checkout,
        variables={"NEREID_ENVOY": str(envoy)},
    )
    serving.start()
    yield serving
    serving.stop()


def load_threads(stack: ServingStack) -> set[str]:
    """The flag of that name, of each Triton that runs."""
    lines = [psutil.Process(stack.pids[triton]).cmdline() for triton in SERVERS.values()]
    return {one for line in lines for one in line if one.startswith("--model-load-thread-count")}


def with_load_threads(text: str, count: int) -> str:
    changed, found = re.subn(r"(?<=load_thread_count: )\d+", str(count), text)
    assert found == 1
    return changed


def schedulings(stack: ServingStack) -> dict[str, str]:
    with Client(stack.api, stack.token) as nereid:
        return {one.name: one.scheduling for one in nereid.servers()}


def test_every_triton_gets_other_flags_and_no_caller_fails(
    stack: ServingStack, checkout: Path
) -> None:
    flags = checkout / "triton_configs" / "server" / "default.yaml"
    before = {name: stack.pids[name] for name in SERVERS.values()}
    assert load_threads(stack) == {"--model-load-thread-count=4"}
    with EdgeCallers(stack.edge).calling() as callers:
        assert eventually(callers.went_on(), 60)
        flags.write_text(with_load_threads(flags.read_text(), 5))
        said = stack.command("roll-tritons").splitlines()
        assert eventually(callers.went_on(), 60)
    assert callers.errors == []
    assert load_threads(stack) == {"--model-load-thread-count=5"}
    assert all(stack.pids[name] != pid for name, pid in before.items())
    assert [line.partition(":")[0] for line in said if "takes requests again" in line] == [*SERVERS]
    assert schedulings(stack) == dict.fromkeys(SERVERS, "Open")


def test_it_stops_at_the_first_that_does_not_come_back(stack: ServingStack, checkout: Path) -> None:
    flags = checkout / "triton_configs" / "server" / "default.yaml"
    good = flags.read_text()
    # What is refused before anything is ended, and what only Triton itself can refuse.
    flags.write_text(with_load_threads(good, 1))
    before = stack.pids["triton"]
    with EdgeCallers(stack.edge).calling() as callers:
        with pytest.raises(RuntimeError, match="Not begun with: local-2") as refused:
            stack.command("roll-tritons")
        assert "model_load_thread_count" in str(refused.value)
        assert stack.pids["triton"] == before
        router = checkout / "backends" / "traffic" / "build" / "libtriton_traffic.so"
        router.rename(router.with_suffix(".away"))
        flags.write_text(good)
        with pytest.raises(RuntimeError, match="local does not come back") as refused:
            stack.command("roll-tritons", "local")
        assert "nereid servers uncordon local" in str(refused.value)
        assert schedulings(stack) == {"local": "Drained", "local-2": "Open"}
        assert eventually(callers.went_on(), 60), "the other one serves"
        router.with_suffix(".away").rename(router)
        assert "local: takes requests again" in stack.command("roll-tritons", "local")
        assert eventually(callers.went_on(), 60)
    assert callers.errors == []
    with pytest.raises(RuntimeError, match="no server nowhere here: local, local-2"):
        stack.command("roll-tritons", "nowhere")


def test_the_only_server_is_started_anew_only_by_a_word(stack: ServingStack) -> None:
    with Client(stack.api, stack.token) as nereid:
        nereid.cordon_server("local-2", reason="somebody's")
    with pytest.raises(RuntimeError, match="no other server takes requests"):
        stack.command("roll-tritons", "local")
    assert schedulings(stack) == {"local": "Open", "local-2": "Cordoned"}
    before = stack.pids["triton"]
    assert "takes requests again" in stack.command("roll-tritons", "local", "--no-drain")
    assert stack.pids["triton"] != before
    assert "takes requests again" in stack.command("roll-tritons", "local-2")
    assert schedulings(stack)["local-2"] == "Cordoned", "as whoever cordoned it wants it"
