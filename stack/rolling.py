"""Every Triton of a running stack is started anew, one server after the other.

A server is emptied first, so that nobody is with it when it ends, and the next one waits until its
gate is open again: no inference fails, as long as the others can serve what it held.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from nereid import Client, NereidError
from nereid.administration import Server
from nereid.errors import WaitTimeoutError
from stack import lock, stackfile, upgrading
from stack.settings import StackSettings

EMPTY_WITHIN_S = 300.0
OPEN_WITHIN_S = 300.0
LOOK_S = 0.2
REASON = "its Triton is started anew"
OUT = ("Draining", "Drained")


class RollError(RuntimeError):
    """It was stopped; says at which server, how that is now, and what can be done."""


@dataclass(frozen=True)
class _Roll:
    """What one run works with."""

    settings: StackSettings
    client: Client
    gates: dict[str, str]
    drains: bool


def roll(settings: StackSettings, names: Sequence[str], *, drains: bool) -> Iterator[str]:
    """Starts the Tritons of these servers anew, of all where none is named; says what is done.

    Args:
        drains: empty each server first. Without it requests fail where no other server is.

    Raises:
        RollError: nothing runs, nobody could take a server's place, or one does not come back.
    """
    content = stackfile.read(settings.stack_file)
    if lock.holder(settings.home) is None or content is None:
        raise RollError(f"no stack is ready in {settings.home}: `make serve` starts one")
    gates = {one["name"]: one["gate"] for one in content["servers"]}
    if not gates:
        raise RollError("Triton is not started here: start it anew where it runs")
    if unknown := [name for name in names if name not in gates]:
        raise RollError(f"there is no server {', '.join(unknown)} here: {', '.join(gates)}")
    chosen = list(names or gates)
    with Client(content["api"], content["token"]) as client:
        run = _Roll(settings, client, gates, drains)
        for number, name in enumerate(chosen):
            try:
                yield from _one(run, name)
            except (RollError, NereidError, KeyboardInterrupt) as error:
                raise RollError(_ended(error, chosen[number:], gates)) from error


def _one(run: _Roll, name: str) -> Iterator[str]:
    before = run.client.server(name)
    # One that an earlier run left is taken up again; one that a person drained stays out.
    is_out = before.scheduling in OUT
    is_ours = is_out and _reason(before) == REASON
    began = time.monotonic()
    if run.drains and before.scheduling != "Drained":
        yield from _emptied(run, before)
    try:
        for line in upgrading.ask(run.settings, server=name):
            yield f"{name}: {line}"
    except upgrading.UpgradeError as error:
        held = "it stays drained: nothing is sent to it" if run.drains else "it is tried again"
        raise RollError(f"{name} does not come back; {held}. {error}") from error
    if is_out and not is_ours:
        yield f"{name}: stays {before.scheduling.lower()}, as it was"
        return
    if run.drains or is_ours:
        _let_in(run, before)
    _wait_open(run.gates[name])
    yield f"{name}: takes requests again, {time.monotonic() - began:.0f} s after it was begun with"


def _emptied(run: _Roll, server: Server) -> Iterator[str]:
    """The server holds nothing any more, or serves on as before."""
    others = [
        one
        for one in run.client.servers()
        if one.name != server.name and one.status == "Ready" and one.scheduling == "Open"
    ]
    if not others and server.scheduling not in OUT:
        raise RollError(
            f"no other server takes requests: those to {server.name} would fail while it starts, "
            "some seconds. Start another one, or say --no-drain"
        )
    yield f"{server.name}: is being drained"
    began = time.monotonic()
    if server.scheduling not in OUT:
        run.client.drain_server(server.name, reason=REASON)
    try:
        run.client.wait_drained(server.name, timeout=EMPTY_WITHIN_S)
    except WaitTimeoutError as error:
        left = run.client.server(server.name).left
        if server.scheduling not in OUT:
            _let_in(run, server)
        told = "; ".join(f"{one.get('endpoint')}: {one.get('reason')}" for one in left)
        raise RollError(
            f"{server.name} could not be emptied within {EMPTY_WITHIN_S:.0f} s, and serves on as "
            f"before: {told}. Let others take that (nereid place), or say --no-drain"
        ) from error
    yield f"{server.name}: holds nothing any more after {time.monotonic() - began:.0f} s"


def _let_in(run: _Roll, before: Server) -> None:
    """As it was before it was drained: a cordon of somebody else's stays."""
    if before.scheduling == "Cordoned":
        run.client.cordon_server(before.name, reason=_reason(before))
    else:
        run.client.uncordon_server(before.name, reason=REASON)


def _reason(server: Server) -> str:
    """Why it is cordoned or drained, in the words of whoever did it."""
    said: dict[str, Any] = server.raw.get("scheduling") or {}
    return str(said.get("reason") or "")


def _wait_open(gate: str) -> None:
    """Returns when a server's gate is open."""
    deadline, said = time.monotonic() + OPEN_WITHIN_S, "it does not answer"
    while time.monotonic() < deadline:
        try:
            answer = httpx.get(f"{gate}/ready", timeout=5, trust_env=False)
            if answer.status_code == httpx.codes.OK:
                return
            said = answer.json()["reason"]
        except (httpx.HTTPError, ValueError, KeyError):
            said = "it does not answer"
        time.sleep(LOOK_S)
    raise RollError(
        f"its gate ({gate}) is not open after {OPEN_WITHIN_S:.0f} s: {said}. It is let in again, "
        "and opens by itself when that is over"
    )


def _ended(error: BaseException, left: Sequence[str], gates: dict[str, str]) -> str:
    """What somebody has to know who finds it half done."""
    name, *others = left
    if isinstance(error, KeyboardInterrupt):
        first = f"{name}: interrupted. `nereid servers {name}` says whether it is drained"
    else:
        first = str(error) if str(error).startswith(name) else f"{name}: {error}"
    rest = f"Not begun with: {', '.join(others)}." if others else "It was the last one."
    whole = "" if len(left) == len(gates) else " ".join(left)
    again = " ".join(f"python -m stack roll-tritons {whole}".split())
    way_back = f"nereid servers uncordon {name}"
    return f"{first}\n{rest} When that is put right: {again}; to let it in as it is: {way_back}"
