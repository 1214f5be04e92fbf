"""Bring up every sample through the public API, and ask each something whose answer is known.

Idempotent: what is there already is left alone, above all a policy that a person changed.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from nereid import Client, NereidError
from nereid.errors import ProblemError
from nereid.inference import Answer, Predictor, Turn
from nereid.resources import Version
from nereid.upload import sha256_of
from stack.first_prediction import API, GRPC, TOKEN
from stack.sample_set import (
    ALIAS,
    Array,
    Ask,
    SampleArm,
    SampleSet,
    SampleVersion,
    read_sample_sets,
)

SAMPLES = Path(__file__).resolve().parent.parent / "model_repository" / "samples"
DEADLINE_S = 240.0
PAGE_WIDTH = 120  # of output that goes to a file or a pipe
_SHOWN = 40  # letters of an answer


class WrongAnswerError(NereidError):
    """A sample is served, and answers something else than it should."""


@dataclass(frozen=True)
class Answered:
    """What an endpoint said to the question of its sample."""

    title: str
    endpoint: str
    said: str
    arms: tuple[str, ...]
    latency_ms: float


class Samples:
    """The samples of a checkout on one control plane and its Triton."""

    def __init__(self, client: Client, predictor: Predictor, console: Console) -> None:
        self._client = client
        self._predictor = predictor
        self._console = console

    def bring_up(self, sample: SampleSet) -> list[Answered]:
        """Pushes, applies, deploys and asks.

        Raises:
            NereidError: something was refused, or an answer is wrong; with the reason.
        """
        with self._console.status(sample.title) as status:

            def say(what: str) -> None:
                status.update(Text.assemble(f"{sample.title}  ", (what, "dim")))

            for profile in sample.profiles:
                say(f"profile {profile.name}")
                self._profile(profile.name, sample.document(profile.file))
            for version in sample.models:
                say(f"push {version.name}")
                self._version(sample, version)
            for file in sample.pipelines:
                document = sample.document(file)
                name = document.pop("name")
                say(f"pipeline {name}")
                self._pipeline(name, document)
            for endpoint in sample.endpoints:
                say(f"endpoint {endpoint.name}")
                self._endpoint(sample, endpoint.name, endpoint.arms)
            say("asking")
            return [self._asked(sample, ask) for ask in sample.asks]

    def _profile(self, name: str, document: dict[str, Any]) -> None:
        if not _is_there(lambda: self._client.profile(name)):
            self._client.put_profile(name, document)

    def _version(self, sample: SampleSet, wanted: SampleVersion) -> None:
        """By digest: what the registry has already is not sent again."""
        client = self._client
        client.ensure_model(wanted.name, sample.title)
        with _file(sample.folder, wanted) as path:
            version = self._known(wanted.name, sha256_of(path)) or client.push(
                wanted.name,
                path,
                framework=wanted.framework,
                profile=wanted.profile,
                signature=wanted.signature,
                metrics=_figures(sample.folder, wanted.metrics),
                provenance={"sample": sample.folder.name},
            )
        version = client.wait_version_ready(wanted.name, version.number, timeout=DEADLINE_S)
        if version.state != "ready":
            reason = f"{wanted.name}:{version.number} is {version.state}: {version.state_reason}"
            raise NereidError(reason)
        if all(alias.name != wanted.alias for alias in client.aliases(wanted.name)):
            client.set_alias(wanted.name, wanted.alias, version.number)

    def _known(self, model: str, sha256: str) -> Version | None:
        usable = ("ready", "validating")
        found = (v for v in self._client.versions(model) if v.state in usable)
        return next((version for version in found if version.sha256 == sha256), None)

    def _pipeline(self, name: str, document: dict[str, Any]) -> None:
        if not _is_there(lambda: self._client.pipeline(name)):
            self._client.put_pipeline(name, document)

    def _endpoint(self, sample: SampleSet, name: str, arms: tuple[SampleArm, ...]) -> None:
        client = self._client
        client.ensure_endpoint(name, sample.title)
        standing = client.policy(name)
        if not standing.empty:
            client.wait_endpoint(name, timeout=DEADLINE_S)
            return
        documents = [self._arm(arm) for arm in arms]
        documents[0]["primary"] = True
        accepted = client.put_policy(name, {"arms": documents}, etag=standing.etag)
        client.wait_endpoint(name, generation=accepted.generation, timeout=DEADLINE_S)

    def _arm(self, arm: SampleArm) -> dict[str, Any]:
        name = arm.model or arm.pipeline
        if arm.pipeline:
            revision = self._client.pipeline(arm.pipeline).revision
            target: dict[str, Any] = {"pipeline": arm.pipeline, "revision": revision}
        else:
            target = {"model": arm.model, "version": f"@{ALIAS}"}
        return {"name": name, **target, "weight": arm.weight}

    def _asked(self, sample: SampleSet, ask: Ask) -> Answered:
        inputs = sample.tensors(ask)
        self._answers(ask, inputs)  # the first call pays for connecting, and models for their first
        answers = [answer for _ in range(ask.times) for answer in self._answers(ask, inputs)]
        for answer in answers if ask.times > 1 else answers[-1:]:
            for output, wanted in ask.expect.items():
                _check(ask.endpoint, output, wanted, answer)
        if ask.how == "stream" and len(answers) < 2:
            raise WrongAnswerError(f"endpoint {ask.endpoint} streams, and answered once")
        arms = tuple(dict.fromkeys(answer.arm_title for answer in answers))
        return Answered(
            sample.title, ask.endpoint, _words(ask, answers), arms, answers[-1].latency_s * 1000
        )

    def _answers(self, ask: Ask, inputs: dict[str, Array]) -> list[Answer]:
        if ask.how == "stream":
            return list(self._predictor.stream(ask.endpoint, inputs))
        if ask.how == "single":
            return [self._predictor.predict(ask.endpoint, inputs)]
        rows = len(next(iter(inputs.values())))
        # A number that no other sequence of these moments has.
        sequence = int.from_bytes(os.urandom(6), "little") + 1
        return [
            self._predictor.predict(
                ask.endpoint,
                {name: array[i : i + 1] for name, array in inputs.items()},
                turn=Turn(sequence, start=i == 0, end=i == rows - 1),
            )
            for i in range(rows)
        ]


def _is_there(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except ProblemError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return False
    return True


def _check(endpoint: str, output: str, wanted: int | str, answer: Answer) -> None:
    """A text is the first of the output or in it; a number is it, or the place of the largest."""
    values = answer.outputs[output].reshape(-1)
    first = values[0].decode() if isinstance(values[0], bytes) else values[0]
    if isinstance(wanted, str):
        right = wanted in str(first)
    else:
        right = int(values.argmax() if values.size > 1 else first) == wanted
    if not right:
        raise WrongAnswerError(
            f"endpoint {endpoint} ({answer.arm_title}) says {output} {first}, not {wanted}"
        )


def _words(ask: Ask, answers: list[Answer]) -> str:
    if ask.how == "stream":
        return f"{len(answers)} answers, one by one"
    outputs = answers[-1].outputs
    shown = ask.expect or outputs
    parts = []
    for name in shown:
        values = outputs[name].reshape(-1)
        value = values[0]
        if isinstance(ask.expect.get(name), int) and values.size > 1:
            value = values.argmax()
        text = value.decode() if isinstance(value, bytes) else str(value)
        parts.append(f"{name} {text}")
    said = ", ".join(parts)
    return said if len(said) <= _SHOWN else f"{said[: _SHOWN - 1]}…"


@contextmanager
def _file(folder: Path, wanted: SampleVersion) -> Iterator[Path]:
    """The file to push; several are packed, always into the same bytes."""
    if wanted.file:
        yield folder / wanted.file
        return
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / f"{wanted.name}.tar"
        with tarfile.open(path, "w") as archive:
            for name in wanted.files:
                content = (folder / name).read_bytes()
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        yield path


def _figures(folder: Path, file: str) -> dict[str, float] | None:
    if not file:
        return None
    document = json.loads((folder / file).read_text("utf-8"))
    return {name: value for name, value in document.items() if isinstance(value, int | float)}


def table_of(answered: list[Answered]) -> RenderableType:
    """What every sample said."""
    table = Table(title="Every sample, asked", title_justify="left", title_style="bold", box=None)
    table.add_column("", overflow="fold")
    for name in ("endpoint", "answered", "by"):
        table.add_column(name, overflow="fold", style="" if name == "answered" else "dim")
    table.add_column("ms", justify="right")
    for one in answered:
        table.add_row(
            one.title, one.endpoint, one.said, ", ".join(one.arms), f"{one.latency_ms:.1f}"
        )
    return table


def main(result_file: str) -> int:
    """In a process of its own, as `stack.first_prediction`: leaves what is to be shown.

    One that fails says so at once, and the others are brought up all the same.
    """
    console = Console()
    if not console.is_terminal:
        console.width = PAGE_WIDTH
    answered, failed = [], 0
    with (
        Client(os.environ[API], os.environ[TOKEN]) as client,
        Predictor(os.environ[GRPC], "grpc") as predictor,
    ):
        samples = Samples(client, predictor, console)
        for sample in read_sample_sets(SAMPLES):
            try:
                answered += samples.bring_up(sample)
            except NereidError as error:
                failed += 1
                console.print(Text(f"{sample.title}: {error}", "red"))
    with Path(result_file).open("w", encoding="utf-8") as file:
        page = Console(
            file=file, width=console.width, force_terminal=console.is_terminal, highlight=False
        )
        page.print(table_of(answered))
    return 1 if failed and not answered else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
