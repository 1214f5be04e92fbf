"""Answers that come one after the other: of a model that streams, or of a sequence of requests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from nereid.cli.session import Session
from nereid.errors import NereidError
from nereid.inference import Answer, Array, ModelFacts, Predictor, Turn

_SHOWN_VALUES = 64
Inputs = Mapping[str, Array]


def series(
    inputs: Inputs, facts: ModelFacts, sequence: str | None, *, goes_on: bool, keep: bool
) -> Iterator[tuple[Inputs, Turn | None]]:
    """The requests that `inputs` are: one without a sequence, else one for each row.

    Raises:
        NereidError: the inputs have different numbers of rows.
    """
    if sequence is None:
        yield inputs, None
        return
    name: int | str = int(sequence) if sequence.isdecimal() else sequence
    rows = [inputs]
    if all(tensor.shape[:1] == (-1,) for tensor in facts.inputs):
        counts = {len(array) for array in inputs.values()}
        if len(counts) != 1:
            raise NereidError(f"the inputs have {sorted(counts)} rows: a request needs one of each")
        [count] = counts
        rows = [{key: array[i : i + 1] for key, array in inputs.items()} for i in range(count)]
    for i, row in enumerate(rows):
        first, last = i == 0 and not goes_on, i == len(rows) - 1 and not keep
        yield row, Turn(name, start=first, end=last)


def follow(
    session: Session,
    predictor: Predictor,
    endpoint: str,
    turns: Iterator[tuple[Inputs, Turn | None]],
    asking: Mapping[str, Any],
    *,
    stream: bool,
) -> None:
    """Asks one request after the other, and shows each answer when it is there; as JSON, a document
    in a line each.

    Raises:
        InferenceError: one fails; the rest is not asked.
    """
    number, answer = 0, None
    for inputs, turn in turns:
        if stream:
            answers = predictor.stream(endpoint, inputs, turn=turn, **asking)
        else:
            answers = iter([predictor.predict(endpoint, inputs, turn=turn, **asking)])
        for answer in answers:
            number += 1
            _show(session, endpoint, number, answer)
    if not session.as_json:
        words = f"{number} answers" if number != 1 else "1 answer"
        who = f" by {answer.arm_title}  {answer.arm or ''}" if answer else ""
        session.out.print(Text(f"{words}{who}", style="dim"))


def _show(session: Session, endpoint: str, number: int, answer: Answer) -> None:
    if session.as_json:
        json.dump(answer_document(endpoint, answer), session.out.file, ensure_ascii=False)
        session.out.file.write("\n")
        session.out.file.flush()
        return
    line = Table.grid(padding=(0, 2))
    line.add_row(
        Text(f"{number:>4}", style="dim"),
        Text(f"{answer.latency_s * 1000:>8.1f} ms", style="dim"),
        shown_tensors(answer),
    )
    session.out.print(line)


def shown_tensors(answer: Answer) -> Table:
    """An answer's outputs with their types, shapes and values, for people."""
    grid = Table.grid(padding=(0, 2))
    for name, array in answer.outputs.items():
        shape = "x".join(str(size) for size in array.shape)
        values = np.array2string(
            array, precision=4, suppress_small=True, threshold=_SHOWN_VALUES, max_line_width=80
        )
        grid.add_row(Text(name, style="bold"), Text(f"{array.dtype} {shape}", "dim"), values)
    return grid


def answer_document(endpoint: str, answer: Answer) -> dict[str, Any]:
    """An answer for programs."""
    return {
        "endpoint": endpoint,
        "arm": answer.arm,
        "latency_ms": round(answer.latency_s * 1000, 3),
        "outputs": {name: _plain(array) for name, array in answer.outputs.items()},
    }


def _plain(array: Array) -> Any:
    if array.dtype == np.object_:
        return [
            value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            for value in array.reshape(-1)
        ]
    return array.tolist()
