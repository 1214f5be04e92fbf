"""What an instance does with each batch that Triton hands it, whatever the framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import triton_python_backend_utils as pb_utils
from request_batch import Arrays, Asked, InputError, RequestError, Run, Tensors, answer_all
from sequence_states import Turn, states_of, turn_of


class Execution:
    """Requests in, responses out: an answer or an error for each."""

    def __init__(
        self,
        config: Mapping[str, Any],
        run: Run,
        *,
        read: Callable[[str, Any], Any],
        write: Callable[[str, Any], Any],
        arrays: Arrays,
    ) -> None:
        """
        Args:
            config: the model's configuration, as `initialize` has it.
            run: one call of the framework.
            read: an input, by its name, as the framework's tensor; raises RequestError where it
                cannot be.
            write: an output, by its name, as Triton's tensor.
            arrays: how the framework's tensors are joined, parted and copied.
        """
        self._run = run
        self._read = read
        self._write = write
        self._arrays = arrays
        self._batched = config.get("max_batch_size", 0) > 0
        self._in_sequences = bool(config.get("sequence_batching"))
        self._states = states_of(config, arrays.copy)
        self._kept = self._states.outputs if self._states is not None else ()

    def __call__(self, requests: Sequence[Any]) -> list[Any]:
        if self._in_sequences:
            return self._take_turns(requests)
        asked = [self._asked(request) for request in requests]
        answers = answer_all(self._run, asked, batched=self._batched, arrays=self._arrays)
        return [self._respond(answer) for answer in answers]

    def _take_turns(self, requests: Sequence[Any]) -> list[Any]:
        turns = [turn_of(request) for request in requests]
        asked = [
            self._asked_in_turn(request, turn)
            for request, turn in zip(requests, turns, strict=True)
        ]
        answers = answer_all(self._run, asked, batched=self._batched, arrays=self._arrays)
        if self._states is not None:
            answers = [
                self._states.leave(turn, answer)
                for turn, answer in zip(turns, answers, strict=True)
            ]
        return [self._respond(answer) for answer in answers]

    def _asked(self, request: Any) -> Asked | RequestError:
        inputs, problem = self._inputs(request)
        return problem or Asked(inputs, tuple(request.requested_output_names()))

    def _asked_in_turn(self, request: Any, turn: Turn) -> Asked | RequestError | None:
        wanted = tuple(request.requested_output_names())
        if not wanted and not turn.sequence:
            return None  # the direct sequence batcher fills the places of its idle sequences so
        inputs, problem = self._inputs(request)
        try:
            if self._states is not None:
                inputs = self._states.enter(turn, inputs)
        except RequestError as error:
            problem = problem or error
        return problem or Asked(inputs, (*wanted, *self._kept))

    def _inputs(self, request: Any) -> tuple[Tensors, RequestError | None]:
        """Those that can be read, and why the first of the others cannot."""
        inputs: Tensors = {}
        problem: RequestError | None = None
        for tensor in request.inputs():
            name = tensor.name()
            try:
                inputs[name] = self._read(name, tensor)
            except RequestError as error:
                problem = problem or error
        return inputs, problem

    def _respond(self, answer: Tensors | RequestError | None) -> Any:
        if not isinstance(answer, RequestError):
            try:
                tensors = [self._write(name, value) for name, value in (answer or {}).items()]
                return pb_utils.InferenceResponse(output_tensors=tensors)
            except RequestError as error:
                answer = error
            except Exception as error:  # what one answer cannot be written as is its own affair
                answer = RequestError(f"its answer cannot be written: {error}")
        kind = pb_utils.TritonError
        code = kind.INVALID_ARG if isinstance(answer, InputError) else kind.INTERNAL
        return pb_utils.InferenceResponse(error=kind(_said(answer), code))


def _said(error: RequestError) -> str:
    """Its words, where Triton takes them: a lone surrogate that it quotes is no UTF-8."""
    return str(error).encode(errors="backslashreplace").decode()
