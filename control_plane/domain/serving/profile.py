"""How a version is served: one document with Triton's own names, for every framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from annotated_types import Len
from pydantic import Field, StringConstraints, ValidationError

from control_plane.domain.serving.batching import DynamicBatching
from control_plane.domain.serving.instances import InstanceGroup
from control_plane.domain.serving.metrics import ModelMetrics
from control_plane.domain.serving.optimization import Optimization
from control_plane.domain.serving.section import Flag, Natural, Section, Word
from control_plane.domain.serving.sequences import SequenceBatching
from control_plane.domain.serving.warmup import Warmup
from control_plane.domain.violations import InvalidInputError, Violation

MAX_DESCRIPTION = 500


class ResponseCache(Section):
    """Answers are kept by their inputs; needs a server with a cache."""

    enable: Flag = Field(description="Whether answers are kept.")


class TransactionPolicy(Section):
    """How many responses a request has."""

    decoupled: Flag = Field(
        False, description="Any number, none among them: for models that stream."
    )


class ServingProfile(Section):
    """Batching, instances and the rest, for one kind of traffic.

    What a model is (its tensors, files and backend) is not said here: that comes with it.
    `max_batch_size` is in rows of a batch.
    """

    name: Word = Field(exclude=True)
    description: Annotated[str, StringConstraints(max_length=MAX_DESCRIPTION)] = Field(
        "", description="What it is for, in a sentence."
    )
    max_batch_size: Natural = Field(
        0,
        description="The rows that a batch has at most. 0, and for a model with a dimension that "
        "cannot be batched over: requests are run as they come.",
    )
    dynamic_batching: DynamicBatching | None = Field(
        None, description="Left out: each request is a batch of its own."
    )
    sequence_batching: SequenceBatching | None = Field(
        None, description="In place of dynamic batching, for models that keep a state."
    )
    instance_group: Annotated[tuple[InstanceGroup, ...], Len(1, 64)] = (InstanceGroup(),)
    optimization: Optimization | None = None
    model_warmup: Warmup | None = Field(None, description="Left out: the first callers warm it up.")
    response_cache: ResponseCache | None = None
    model_transaction_policy: TransactionPolicy = TransactionPolicy()
    metric_tags: Mapping[Word, str] = Field(
        default_factory=dict, description="Labels for this model's metrics, where Triton has them."
    )
    model_metrics: ModelMetrics | None = None
    parameters: Mapping[Word, str] = Field(
        default_factory=dict, description="The backend's own, under NVIDIA's names."
    )

    @classmethod
    def from_values(cls, name: str, values: Mapping[str, Any]) -> Self:
        """A profile from a document: what a TOML file holds, or a request's JSON.

        Raises:
            InvalidInputError: unknown words, values out of range, parts that do not go together;
                one violation each, with its place.
        """
        from control_plane.domain.serving.rules import contradictions

        try:
            profile = cls.model_validate({"name": name, **_lists(values)})
        except ValidationError as error:
            raise InvalidInputError([violation_of(one) for one in error.errors()]) from error
        if found := contradictions(profile):
            raise InvalidInputError(found)
        return profile

    def to_document(self) -> dict[str, Any]:
        """What `from_values` reads, without what is left at its default."""
        return self.model_dump(mode="json", exclude_defaults=True, by_alias=True)


def _lists(values: Mapping[str, Any]) -> dict[str, Any]:
    """One instance group may be written as a table, as most profiles have one."""
    found = dict(values)
    found.pop("name", None)
    if isinstance(found.get("instance_group"), Mapping):
        found["instance_group"] = [found["instance_group"]]
    return found


def violation_of(error: Mapping[str, Any], below: str = "") -> Violation:
    """What pydantic found, in our words; `below` is where its document lies."""
    where = f"{below}/" + "/".join(_token(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        whose = "the model's configuration" if below else "a serving profile's"
        return Violation(where, "unknown", f"{error['loc'][-1]!r} is no word of {whose}")
    return Violation(where, str(error["type"]), _sentence(error))


def _sentence(error: Mapping[str, Any]) -> str:
    shown = repr(error.get("input"))
    shown = shown if len(shown) <= 80 else f"{shown[:79]}…"
    return f"{shown}: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _token(part: object) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")
