"""A cascade: cheap models first, and the next one for the rows that they are not sure of."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from confidence import SCORES, confidence
from settings import SettingError

STEP_OUTPUT = "cascade_step"
"""Which member answered a row, the first being 0; given where the configuration has it."""

# (member, inputs, wanted) -> outputs by name
Ask = Callable[[str, Mapping[str, np.ndarray], Sequence[str]], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Cascade:
    """Members in the order of their cost, and what each but the last has to reach."""

    members: tuple[str, ...]
    thresholds: tuple[float, ...]
    output: str
    score: str

    def answer(
        self, ask: Ask, wanted: Sequence[str], inputs: Mapping[str, np.ndarray]
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """The wanted outputs of a batch, and how many of its rows each member answered.

        Every tensor has the rows as its first dimension. A row goes on to the next member unless
        its confidence is at least the threshold: one that is not a number goes on, too.
        """
        asked = sorted({*wanted, self.output} - {STEP_OUTPUT})
        left = np.arange(len(next(iter(inputs.values()))))
        steps = np.zeros((left.size, 1), np.int32)
        outputs: dict[str, np.ndarray] = {}
        # The last member answers whatever reaches it.
        for step, (member, enough) in enumerate(
            zip(self.members, (*self.thresholds, -np.inf), strict=True)
        ):
            found = ask(member, inputs, asked)
            outputs = _placed(outputs, found, left)
            steps[left] = step
            judged = found[self.output]
            # In the model's own precision: its 0.9 is 0.9, also where it is a little less.
            unsure = ~(confidence(self.score, judged) >= judged.dtype.type(enough))
            if enough == -np.inf or not unsure.any():
                break
            left = left[unsure]
            inputs = {name: value[unsure] for name, value in inputs.items()}
        outputs[STEP_OUTPUT] = steps
        answered = np.bincount(steps[:, 0], minlength=len(self.members))
        return [outputs[name] for name in wanted], answered


def _placed(
    outputs: dict[str, np.ndarray], found: Mapping[str, np.ndarray], rows: np.ndarray
) -> dict[str, np.ndarray]:
    """`outputs` with what was found in its rows; at first, what was found is all there is."""
    if not outputs:
        return {name: np.array(value) for name, value in found.items()}
    for name, value in found.items():
        if value.shape[1:] != outputs[name].shape[1:]:
            raise ValueError(
                f"output '{name}' is {list(value.shape[1:])} for one member and "
                f"{list(outputs[name].shape[1:])} for the one before: the rows of a batch have "
                "one shape"
            )
        outputs[name][rows] = value
    return outputs


def read_cascade(parameters: Mapping[str, str]) -> Cascade:
    """The cascade that the parameter `cascade` describes, as JSON:

        {"members": ["small.v1.0a1b2c", "large.v2.3d4e5f"], "output": "logits",
         "score": "softmax", "at_least": [0.9]}

    Raises:
        SettingError: it is not there, or not that.
    """
    try:
        said = json.loads(parameters["cascade"])
        cascade = Cascade(
            tuple(map(str, said["members"])),
            tuple(map(float, said["at_least"])),
            str(said["output"]),
            str(said["score"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SettingError(f"parameter cascade cannot be read: {error!r}") from None
    if len(cascade.members) < 2 or len(cascade.thresholds) != len(cascade.members) - 1:
        raise SettingError("parameter cascade needs two members or more, at_least one fewer")
    if cascade.score not in SCORES:
        raise SettingError(f"parameter cascade: score is one of {', '.join(sorted(SCORES))}")
    return cascade
