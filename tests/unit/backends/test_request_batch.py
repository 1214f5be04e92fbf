"""One call for the requests of a batch that fit together, and to each its own answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from tests.support.python_based import imported

request_batch = imported("request_batch")
Asked, InputError, RequestError = (
    request_batch.Asked,
    request_batch.InputError,
    request_batch.RequestError,
)


class Doubler:
    """y = 2x, and the number of rows of z where it is there; counts its calls."""

    def __init__(self) -> None:
        self.calls: list[dict[str, tuple[int, ...]]] = []

    def __call__(self, wanted: Sequence[str], inputs: Mapping[str, Any]) -> list[Any]:
        self.calls.append({name: value.shape for name, value in inputs.items()})
        if (inputs["x"] < 0).any():
            raise ValueError("negative")
        outputs = {"y": inputs["x"] * 2, "z": inputs.get("z", np.zeros((len(inputs["x"]), 1)))}
        return [outputs[name] for name in wanted]


def asked(*rows: float, outputs: tuple[str, ...] = ("y",), **more: Any) -> Any:
    return Asked({"x": np.array(rows, float).reshape(-1, 1), **more}, outputs)


def told(answer: Any, name: str = "y") -> list[float]:
    return answer[name][:, 0].tolist()


def test_requests_are_run_together_and_get_their_own_rows() -> None:
    run = Doubler()
    answers = request_batch.answer_all(run, [asked(1), asked(2, 3), asked(4)], batched=True)
    assert [told(answer) for answer in answers] == [[2], [4, 6], [8]]
    assert run.calls == [{"x": (4, 1)}]


def test_what_carries_other_inputs_types_or_shapes_is_another_call() -> None:
    run = Doubler()
    wide = Asked({"x": np.ones((1, 2))}, ("y",))
    whole = Asked({"x": np.array([[7]])}, ("y",))
    optional = asked(3, z=np.array([[9.0]]))
    given = [asked(1), wide, asked(2), whole, optional]
    answers = request_batch.answer_all(run, given, batched=True)
    assert [told(answer) for answer in answers] == [[2], [2], [4], [14], [6]]
    assert len(run.calls) == 4
    assert answers[3]["y"].dtype == whole.inputs["x"].dtype


def test_each_gets_the_outputs_that_it_asked_for() -> None:
    run = Doubler()
    given = [asked(1), asked(2, outputs=("z", "y")), asked(3, outputs=("z",))]
    answers = request_batch.answer_all(run, given, batched=True)
    assert [sorted(answer) for answer in answers] == [["y"], ["y", "z"], ["z"]]
    assert len(run.calls) == 1


def test_one_that_fails_fails_alone() -> None:
    answers = request_batch.answer_all(Doubler(), [asked(1), asked(-2), asked(3)], batched=True)
    assert (told(answers[0]), told(answers[2])) == ([2], [6])
    assert isinstance(answers[1], RequestError)
    assert str(answers[1]) == "negative"


def test_what_is_no_request_is_left_as_it_is() -> None:
    refused = InputError("not UTF-8")
    answers = request_batch.answer_all(Doubler(), [refused, asked(1), None], batched=True)
    assert answers[0] is refused
    assert told(answers[1]) == [2]
    assert answers[2] is None


def test_without_batches_each_is_run_as_it_came() -> None:
    run = Doubler()
    answers = request_batch.answer_all(run, [asked(1), asked(2, 3)], batched=False)
    assert [told(answer) for answer in answers] == [[2], [4, 6]]
    assert len(run.calls) == 2


@pytest.mark.parametrize("others", [[], [asked(1)]])
def test_inputs_that_disagree_on_the_rows_are_the_callers_mistake(others: list[Any]) -> None:
    wrong = asked(1, 2, z=np.zeros((1, 1)))
    answer, *rest = request_batch.answer_all(Doubler(), [wrong, *others], batched=True)
    assert isinstance(answer, InputError)
    assert [told(one) for one in rest] == [[2]] * len(others)


def test_a_model_that_loses_its_rows_is_named() -> None:
    def summed(wanted: Sequence[str], inputs: Mapping[str, Any]) -> list[Any]:
        return [inputs["x"].sum(axis=0, keepdims=True)]

    answers = request_batch.answer_all(summed, [asked(1), asked(2, 3)], batched=True)
    assert told(answers[0]) == [1]
    assert "does not keep its batch dimension" in str(answers[1])
