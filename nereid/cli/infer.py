"""`nereid infer`: real requests over the v2 protocol, and the answer in a picture."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from nereid.cli import render
from nereid.cli.app import command
from nereid.cli.series import answer_document, follow, series, shown_tensors
from nereid.cli.session import REFUSED, Session
from nereid.drawing import SERIES, bar, prediction_card, softmax
from nereid.errors import InferenceError, NereidError, NotConfiguredError
from nereid.inference import Answer, Array, Predictor, arm_title, triton_address
from nereid.samples import Sample, load_sample
from nereid.tensors import load_inputs


class Wire(StrEnum):
    GRPC = "grpc"
    HTTP = "http"


WIRE_NAMES = {Wire.GRPC: "gRPC", Wire.HTTP: "HTTP"}


@dataclass(frozen=True)
class Question:
    inputs: dict[str, Array]
    truth: int | None = None


@dataclass
class Tally:
    """What came back from many requests."""

    arms: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    judged: bool = False

    @property
    def answered(self) -> int:
        return len(self.latencies_ms)

    def quantile(self, share: float) -> float | None:
        """The nearest-rank quantile: a latency that was really seen."""
        if not self.latencies_ms:
            return None
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def document(self) -> dict[str, Any]:
        median = statistics.median(self.latencies_ms) if self.latencies_ms else None
        return {
            "requests": self.answered + self.failures.total(),
            "failed": self.failures.total(),
            "failures": dict(self.failures),
            "arms": dict(self.arms),
            "right": dict(self.right) if self.judged else None,
            "latency_ms": {"p50": median, "p99": self.quantile(0.99)},
        }


SampleOption = Annotated[
    str | None, typer.Option("--sample", help="Ask about a sample's held-out images.")
]
FileOption = Annotated[
    Path | None,
    typer.Option("--input", "-f", exists=True, dir_okay=False, help="JSON, .npy or .npz to send."),
]
StreamOption = Annotated[
    bool, typer.Option("--stream", help="Show each answer as it comes (gRPC).")
]
SequenceOption = Annotated[
    str | None,
    typer.Option(
        "--sequence", metavar="ID", help="Send the input's rows one by one, as this sequence."
    ),
]
ContinueOption = Annotated[bool, typer.Option("--continue", help="The sequence was begun before.")]
KeepOption = Annotated[bool, typer.Option("--keep", help="The sequence goes on after this.")]
HeaderOption = Annotated[
    list[str] | None,
    typer.Option("--header", "-H", metavar="NAME=VALUE", help="A header to send along."),
]


@command(
    "infer",
    "nereid infer digits --sample digits",
    "nereid infer digits --sample digits --index 10 --protocol http",
    "nereid infer digits --sample digits --count 100",
    "nereid infer my-model --input example.json",
    "nereid infer windows --input chirp.json --stream",
    "nereid infer rows --input series.json --sequence 7",
)
def infer(
    session: Session,
    endpoint: Annotated[
        str, typer.Argument(help="An endpoint, or any model name that Triton holds.")
    ],
    sample: SampleOption = None,
    index: Annotated[int, typer.Option("--index", "-i", min=0, help="Which image.")] = 0,
    file: FileOption = None,
    stream: StreamOption = False,
    sequence: SequenceOption = None,
    goes_on: ContinueOption = False,
    keep: KeepOption = False,
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, help="Send so many, and count the arms.")
    ] = 1,
    protocol: Annotated[Wire, typer.Option("--protocol", "-p", help="How to ask.")] = Wire.GRPC,
    version: Annotated[
        str, typer.Option("--model-version", help="Ask this version, past the split.")
    ] = "",
    header: HeaderOption = None,
    url: Annotated[
        str | None, typer.Option("--url", metavar="HOST:PORT", help="Triton's address.")
    ] = None,
) -> None:
    """Ask a model, and see what it answers, which arm answered, and how fast.

    With --count, shows how many requests each arm answered. With --stream, answers are shown as
    they come; with --sequence, each row of the input is a request, and each sees what the model
    kept of those before. Exits 1 when a request fails.
    """
    if (sample is None) == (file is None):
        raise typer.BadParameter("say what to send: either --sample NAME or --input FILE")
    if stream or sequence or goes_on or keep:
        _check_in_turn(file, stream, sequence, goes_on or keep, count, protocol)
    asking: dict[str, Any] = {"version": version}
    asking["headers"] = dict(_header(text) for text in header or ())
    with Predictor(_address(session, protocol, url), protocol.value) as predictor:

        def ask(question: Question) -> Answer:
            return predictor.predict(endpoint, question.inputs, **asking)

        if sample is not None:
            images = load_sample(sample, session.cwd)
            _ask_sample(session, endpoint, images, index, ask, count, WIRE_NAMES[protocol])
        elif file is not None:
            facts = predictor.metadata(endpoint, version)
            question = Question(load_inputs(file, facts.inputs))
            if stream or sequence:
                turns = series(question.inputs, facts, sequence, goes_on=goes_on, keep=keep)
                follow(session, predictor, endpoint, turns, asking, stream=stream)
            elif count > 1:
                _many(session, _same(question), ask, count, None)
            else:
                _show_tensors(session, endpoint, ask(question), WIRE_NAMES[protocol])


def _check_in_turn(
    file: Path | None,
    stream: bool,
    sequence: str | None,
    open_ended: bool,
    count: int,
    protocol: Wire,
) -> None:
    """What of the options does not go together where answers come one after the other."""
    if file is None or count > 1:
        raise typer.BadParameter("--stream and --sequence go with --input, and not with --count")
    if open_ended and not sequence:
        raise typer.BadParameter(
            "--continue and --keep are about a sequence: name it by --sequence"
        )
    if stream and protocol is Wire.HTTP:
        raise typer.BadParameter("--stream needs gRPC: over HTTP a request has one answer")


def _ask_sample(
    session: Session,
    endpoint: str,
    images: Sample,
    index: int,
    ask: Callable[[Question], Answer],
    count: int,
    how: str,
) -> None:
    if count > 1:
        _many(session, _images(images, index), ask, count, images.output)
        return
    answer = ask(Question(images.batch(index), images.image(index).label))
    _show_sample(session, endpoint, images, index, answer, how)


def _address(session: Session, protocol: Wire, url: str | None) -> str:
    try:
        client = None if url else session.client()
    except NotConfiguredError:
        if session.stack() is None:
            raise
        client = None
    try:
        return triton_address(protocol.value, url, session.stack(), client)
    finally:
        if client is not None:
            client.close()


def _images(sample: Sample, start: int) -> Iterator[Question]:
    index = start
    while True:
        index %= len(sample.images)
        yield Question(sample.batch(index), sample.images[index].label)
        index += 1


def _same(question: Question) -> Iterator[Question]:
    while True:
        yield question


def _many(
    session: Session,
    questions: Iterator[Question],
    ask: Callable[[Question], Answer],
    count: int,
    scores: str | None,
) -> None:
    tally = Tally(judged=scores is not None)
    console = session.err if session.interactive else Console(quiet=True)
    columns = (
        TextColumn("asking"),
        BarColumn(bar_width=32, complete_style=SERIES[0]),
        MofNCompleteColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        for _ in progress.track(range(count)):
            question = next(questions)
            try:
                answer = ask(question)
            except InferenceError as error:
                tally.failures[str(error)] += 1
                continue
            arm = answer.arm or ""
            tally.arms[arm] += 1
            tally.latencies_ms.append(answer.latency_s * 1000)
            if scores is not None and question.truth == _winner(answer, scores):
                tally.right[arm] += 1
    _show_tally(session, tally)
    if tally.failures:
        raise typer.Exit(REFUSED)


def _scores(answer: Answer, output: str) -> Array:
    if output not in answer.outputs:
        names = ", ".join(answer.outputs)
        raise NereidError(f"the answer has {names}, but the sample reads {output}")
    return answer.outputs[output].reshape(-1)


def _winner(answer: Answer, output: str) -> int:
    return int(_scores(answer, output).argmax())


def _show_tally(session: Session, tally: Tally) -> None:
    if session.as_json:
        session.emit(tally.document())
        return
    columns = ["ARM", "ANSWERED", "", "SHARE", "PHYSICAL MODEL"]
    if tally.judged:
        columns.insert(4, "RIGHT")
    table = render.table(*columns, right=("ANSWERED", "SHARE", "RIGHT"))
    for place, (arm, answers) in enumerate(sorted(tally.arms.items())):
        colour = SERIES[place % len(SERIES)]
        share = answers / tally.answered
        row: list[Text | str] = [
            Text(arm_title(arm) if arm else "the model itself", style=f"bold {colour}"),
            str(answers),
            bar(share, 24, colour),
            render.percent(100 * share),
        ]
        if tally.judged:
            row.append(render.percent(100 * tally.right[arm] / answers))
        table.add_row(*row, Text(arm, style="dim"))
    session.out.print(table)
    median, late = tally.document()["latency_ms"].values()
    if median is not None:
        session.out.print(
            Text(f"{tally.answered} answered · p50 {median:.2f} ms · p99 {late:.2f} ms", "dim")
        )
    for message, times in tally.failures.most_common(3):
        session.failure(f"{times} failed: {message}")


def _show_sample(
    session: Session, endpoint: str, sample: Sample, index: int, answer: Answer, how: str
) -> None:
    image = sample.image(index)
    scores = _scores(answer, sample.output).astype(np.float64)
    probabilities = softmax(scores)
    winner = int(probabilities.argmax())
    milliseconds = answer.latency_s * 1000
    if session.as_json:
        document = answer_document(endpoint, answer)
        document["label"] = sample.classes[winner]
        document["truth"] = sample.classes[image.label]
        document["probabilities"] = {
            name: float(share) for name, share in zip(sample.classes, probabilities, strict=True)
        }
        session.emit(document)
        return
    card = prediction_card(
        title=f"{endpoint} · image {index} of sample {sample.name}",
        pixels=image.pixels,
        classes=sample.classes,
        scores=scores,
        truth=image.label,
        arm=answer.arm_title,
        physical=answer.arm,
        how=f"{how} · {milliseconds:.1f} ms",
    )
    session.out.print(card)


def _show_tensors(session: Session, endpoint: str, answer: Answer, how: str) -> None:
    if session.as_json:
        session.emit(answer_document(endpoint, answer))
        return
    session.out.print(shown_tensors(answer))
    latency = f"{how} · {answer.latency_s * 1000:.1f} ms"
    session.out.print(Text(f"answered by {answer.arm_title}  {answer.arm or ''}  {latency}", "dim"))


def _header(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE, such as x-user-id=42")
    return name.lower(), value
