"""`nereid doctor`: what a person would check, checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Any

import httpx
import numpy as np
import typer
from rich.text import Text

from nereid import doctor as rules
from nereid.cli.app import command
from nereid.cli.session import REFUSED, Session
from nereid.client import Client
from nereid.doctor import Check, GateAnswer
from nereid.drawing import BAD, GOOD, SERIES
from nereid.errors import InferenceError, NereidError, ProblemError, UnreachableError
from nereid.inference import Predictor, Wire
from nereid.resources import Endpoint, Tensor
from nereid.retries import NEVER
from nereid.steps import Send, Steps
from nereid.tensors import DTYPES
from nereid.version import __version__

MARKS = {"ok": ("✓", GOOD), "warning": ("!", SERIES[1]), "problem": ("✗", BAD)}
GATE_PATIENCE_S = 3.0
LOCAL_BACKENDS = ("traffic", "onnxruntime")


@command("doctor", "nereid doctor", "nereid doctor --json", "nereid doctor --no-inference")
def doctor(
    session: Session,
    inference: Annotated[
        bool,
        typer.Option(
            "--inference/--no-inference",
            help="Ask a healthy endpoint on every server once, with zeros.",
        ),
    ] = True,
) -> None:
    """Check what a person would check when something is wrong, and say what to do.

    From configuration and token to a real answer of every Triton. Exits 1 when there is a problem.
    """
    found: list[Check] = []
    for check in _examined(session, inference):
        found.append(check)
        if not session.as_json:
            _show(session, check)
    state = rules.worst(found)
    if session.as_json:
        session.emit({"state": state, "checks": [check.document() for check in found]})
    else:
        problems = sum(check.state == "problem" for check in found)
        warnings = sum(check.state == "warning" for check in found)
        mark, style = MARKS[state]
        words = "all is well" if state == "ok" else f"{problems} problems, {warnings} warnings"
        session.out.print(Text.assemble((f"{mark} ", style), (words, "bold")))
    if state == "problem":
        raise typer.Exit(REFUSED)


def _show(session: Session, check: Check) -> None:
    mark, style = MARKS[check.state]
    line = Text.assemble((f"{mark} ", style), (f"{check.area:<14}", "dim"), check.said)
    session.out.print(line)
    if check.advice:
        session.out.print(Text(f"{'':<16}→ {check.advice}", style="dim"))


def _examined(session: Session, inference: bool) -> Iterator[Check]:
    try:
        credentials = session.credentials()
    except NereidError as error:
        first, *rest = str(error).splitlines()
        yield Check("configuration", "problem", first, " ".join(rest))
        return
    yield Check("configuration", "ok", f"{credentials.api}, from {credentials.source}")
    yield from _backends(session)
    with Client(
        credentials.api, credentials.token, retry=NEVER, transport=session.transport
    ) as client:
        try:
            yield from _api(client)
            yield from _token(client)
        except UnreachableError as error:
            yield Check("API", "problem", f"{error.address}: {error.reason}", error.advice)
            return
        except ProblemError as error:
            if error.status != httpx.codes.UNAUTHORIZED:
                raise
            advice = "nereid login, or restart the stack that runs here"
            yield Check("token", "problem", "it is not known, has expired or was revoked", advice)
            return
        yield from _fleet(client, inference)
        yield from _allowed("endpoints", lambda: rules.endpoints(client.endpoints()))
        yield from _allowed("versions", lambda: _undecided(client))


def _api(client: Client) -> Iterator[Check]:
    """Health, and the clock: both need no token."""
    began = time.time()
    response = client.run(_raw("/health/"))
    middle = (began + time.time()) / 2
    try:
        document = response.json()
        yield rules.health(document)
    except (ValueError, AttributeError):
        yield Check("API", "problem", f"{client.api} is not Nereid's API", "nereid login --api URL")
    said = response.headers.get("Date")
    if said:
        # The header has whole seconds, cut off.
        yield rules.clock(middle - parsedate_to_datetime(said).timestamp() - 0.5)


def _raw(path: str) -> Steps[httpx.Response]:
    """The answer, whatever its status."""
    response: httpx.Response = yield Send("GET", path)
    return response


def _token(client: Client) -> Iterator[Check]:
    try:
        yield rules.token(client.current_token(), datetime.now(UTC))
    except ProblemError as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
        yield Check("token", "ok", "the server takes it, and is too old to say what it is for")


def _allowed(area: str, look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """What the token does not reach is said, and is no fault of the system."""
    try:
        yield from look()
    except ProblemError as error:
        if error.status != httpx.codes.FORBIDDEN:
            raise
        yield Check(area, "ok", "not looked at: this token is not for that")


def _fleet(client: Client, inference: bool) -> Iterator[Check]:
    """Servers, workers, disks; and every Triton asked from here."""

    def look() -> Iterator[Check]:
        found = client.servers()
        diagnosis = client.diagnosis()
        yield rules.versions(__version__, diagnosis.version)
        yield rules.migrations(diagnosis)
        alive = [one.name for one in found if one.status != "Unknown"]
        # By the server's clock: what is wrong with ours is another line.
        now = datetime.fromisoformat(diagnosis.time)
        yield from rules.servers(found, now)
        yield from rules.queues(diagnosis, alive)
        yield rules.by_the_clock(diagnosis, alive, now)
        yield from rules.disks(diagnosis)
        yield from rules.stores(diagnosis)
        healthy = [one for one in client.endpoints() if one.status == "Healthy"]
        for server in found:
            if server.gate:
                yield rules.gate(server, _gate(server.gate), diagnosis.edges)
        yield from rules.edges(diagnosis, found, now)
        for server in found:
            ready = server.status == "Ready"
            wires: tuple[tuple[Wire, str], ...] = (("http", server.http), ("grpc", server.grpc))
            for wire, address in wires:
                yield _asked(server.name, wire, address, healthy if inference else [], ready)

    yield from _allowed("servers", look)


def _gate(address: str) -> GateAnswer:
    """What the gate at that address says, asked from this machine."""
    try:
        answer = httpx.get(f"http://{address}/ready", timeout=GATE_PATIENCE_S, trust_env=False)
        said = answer.json()
        return GateAnswer(bool(said["ready"]), str(said["server"]), str(said["reason"]))
    except httpx.HTTPError as error:
        return GateAnswer(None, said=str(error) or type(error).__name__)
    except (ValueError, LookupError, TypeError):
        return GateAnswer(None, said="what answers there is no gate")


def _asked(server: str, wire: Wire, address: str, healthy: list[Endpoint], ready: bool) -> Check:
    """A Triton asked from this machine: a real inference where an endpoint can be asked."""
    name = {"http": "HTTP", "grpc": "gRPC"}[wire]
    where = f"{server} by {name} at {address}"
    refusals = []
    try:
        with Predictor(address, wire) as predictor:
            for endpoint in healthy:
                try:
                    if check := _answer(predictor, endpoint.name, where):
                        return check
                except InferenceError as error:
                    # One that wants more than zeros (a sequence, say) proves nothing.
                    refusals.append(str(error))
            predictor.live()
    except UnreachableError as error:
        state: rules.State = "warning" if ready else "problem"
        advice = "its node reaches it: is it open to this machine?" if ready else error.advice
        return Check("Triton", state, f"{where} does not answer here: {error.reason}", advice)
    if refusals:
        said = f"{where} is there, and answers no endpoint: {refusals[0]}"
        return Check("Triton", "problem", said, f"nereid servers {server}")
    return Check("Triton", "ok", f"{where} is there; no endpoint was asked")


def _answer(predictor: Predictor, endpoint: str, where: str) -> Check | None:
    """A real answer to a row of zeros; None where zeros cannot be asked."""
    zeros = _zeros(predictor.metadata(endpoint).inputs)
    if zeros is None:
        return None
    answer = predictor.predict(endpoint, zeros)
    if not answer.outputs or not all(array.size for array in answer.outputs.values()):
        advice = "its Python environment is broken: restart it by make serve"
        return Check("Triton", "problem", f"{where} answers {endpoint} without values", advice)
    took = f"{answer.latency_s * 1000:.1f} ms"
    return Check("Triton", "ok", f"{where}: {answer.arm_title} answered in {took}")


def _zeros(inputs: tuple[Tensor, ...]) -> dict[str, Any] | None:
    """One row of zeros for each input; None where there is a type that has none."""
    if any(tensor.datatype not in DTYPES for tensor in inputs):
        return None
    return {
        tensor.name: np.full(
            [size if size > 0 else 1 for size in tensor.shape],
            b"" if tensor.datatype == "BYTES" else 0,
            dtype=DTYPES[tensor.datatype],
        )
        for tensor in inputs
    }


def _undecided(client: Client) -> Iterator[Check]:
    states = ("uploading", "validating")
    found = [one for state in states for one in client.find_versions(limit=500, state=state)]
    yield rules.undecided(found, datetime.now(UTC))


def _backends(session: Session) -> Iterator[Check]:
    """Of the stack that runs here: what its Triton may load."""
    stack = session.stack()
    if stack is None:
        return
    places = sorted(stack.path.parent.glob("nodes/*/backends"))
    if not places:
        return
    for place in places:
        missing = [name for name in LOCAL_BACKENDS if not (place / name).is_dir()]
        there = sorted(path.name for path in place.iterdir() if path.is_dir())
        if missing:
            advice = "stop the stack, and start it by make serve: it places them"
            yield Check("backends", "problem", f"{place} lacks {', '.join(missing)}", advice)
        else:
            yield Check("backends", "ok", f"{', '.join(there)} in {place}")
