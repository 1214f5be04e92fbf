"""What lies or is loaded on a server that nothing needs, held against what its node remembers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from control_plane.adapters.triton.control import ApiTritonControl
from control_plane.domain.names import is_physical_name
from control_plane.fleet.node_state import NodeState
from control_plane.ports.triton import TritonError
from tests.support.serving import ServingStack


def orphans(stack: ServingStack) -> list[str]:
    """Files and models too many or too few, of every server; empty where all is as it should be."""
    key = json.loads((stack.home / "secrets.json").read_text())["control_key"]
    return [
        f"{name}: {said}"
        for name, server in stack.servers.items()
        for said in _of(stack.home / "nodes" / name / "state", server, key)
    ]


def _of(memory: Path, server: dict[str, Any], key: str) -> list[str]:
    states = NodeState(memory).all()
    routers = {name for name, state in states.items() if state.desired}
    needed = routers.union(*(state.needed for state in states.values()))
    repository = Path(server["repository"])
    lying = {path.name for path in repository.iterdir() if not path.name.startswith(".")}
    triton = ApiTritonControl(server["http"], server["grpc"], key)
    try:
        loaded = {held.name for held in triton.index() if held.state == "READY"}
    except TritonError as error:
        return [str(error)]
    finally:
        triton.close()
    staging = repository / ".staging"
    staged = sorted(path.name for path in staging.iterdir()) if staging.is_dir() else []
    return [
        *(f"{name} lies there for nobody" for name in sorted(lying - needed)),
        *(f"{name} is loaded for nobody" for name in sorted(loaded - needed)),
        *(f"{name} is needed and not loaded" for name in sorted(needed - loaded)),
        *(f"{name} was staged and given up" for name in staged),
        *(f"{path.name} was written half" for path in sorted(memory.rglob("*.draft"))),
        *(
            f"{name} is no name of Nereid's"
            for name in sorted(lying & loaded - routers)
            if not is_physical_name(name)
        ),
    ]


def gates(stack: ServingStack) -> list[str]:
    """The servers whose gate is closed, with the reason."""
    found = []
    for name, server in stack.servers.items():
        try:
            answer = httpx.get(f"{server['gate']}/ready", timeout=3, trust_env=False)
            if answer.status_code != 200:
                found.append(f"{name}: {answer.json()['reason']}")
        except httpx.HTTPError as error:
            found.append(f"{name}: {error!r}")
    return found


def generations(stack: ServingStack, endpoint: str) -> dict[str, int]:
    """The generation that each server's router says it serves, as Triton tells it."""
    key = json.loads((stack.home / "secrets.json").read_text())["control_key"]
    found = {}
    for name, server in stack.servers.items():
        triton = ApiTritonControl(server["http"], server["grpc"], key)
        try:
            said = triton.config(endpoint)["parameters"]["nereid_generation"]["string_value"]
            found[name] = int(said)
        except (TritonError, KeyError):
            found[name] = 0
        finally:
            triton.close()
    return found
