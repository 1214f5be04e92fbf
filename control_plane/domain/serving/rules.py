"""What in a serving profile does not go together: Triton would refuse it, or obey half of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from control_plane.domain.serving.batching import DynamicBatching, queues
from control_plane.domain.serving.instances import InstanceGroup
from control_plane.domain.serving.sequences import Control, SequenceBatching, State
from control_plane.domain.violations import Violation

if TYPE_CHECKING:
    from control_plane.domain.serving.profile import ServingProfile

_VALUES = ("int32_false_true", "fp32_false_true", "bool_false_true")


def contradictions(profile: ServingProfile) -> list[Violation]:
    """Every contradiction, with its place in the document; empty when there is none."""
    found: list[Violation] = []
    if profile.dynamic_batching and profile.sequence_batching:
        detail = "a model has a dynamic batcher or a sequence batcher, not both: leave one out"
        found.append(Violation("/sequence_batching", "exclusive", detail))
    if profile.dynamic_batching:
        found += _dynamic(profile.dynamic_batching, profile.max_batch_size)
    if profile.sequence_batching:
        found += _sequences(profile.sequence_batching, profile.max_batch_size)
    for i, group in enumerate(profile.instance_group):
        found += _group(group, f"/instance_group/{i}")
    if profile.response_cache and profile.response_cache.enable:
        found += _cached(profile)
    if profile.model_metrics:
        found += [
            Violation(f"/model_metrics{place}", "contradiction", detail)
            for place, detail in profile.model_metrics.contradictions()
        ]
    if profile.model_warmup:
        sizes = profile.model_warmup.batch_sizes
        found += _sizes(sizes, profile.max_batch_size, "/model_warmup/batch_sizes")
    return found


def _dynamic(batching: DynamicBatching, max_batch_size: int) -> Iterator[Violation]:
    where = "/dynamic_batching"
    sizes = batching.preferred_batch_size
    yield from _sizes(sizes, max_batch_size, f"{where}/preferred_batch_size")
    levels, default = batching.priority_levels, batching.default_priority_level
    if not (levels == default == 0 or 1 <= default <= levels):
        detail = (
            f"{default}: default_priority_level is from 1 to priority_levels, which is {levels}"
        )
        yield Violation(f"{where}/default_priority_level", "range", detail)
    if batching.preserve_ordering and levels > 1:
        detail = (
            f"answers in the order of their requests allow one priority, and there are {levels}"
        )
        yield Violation(f"{where}/preserve_ordering", "exclusive", detail)
    for level in batching.priority_queue_policy:
        if level > levels:
            detail = f"there is no priority {level}: priority_levels is {levels}"
            yield Violation(f"{where}/priority_queue_policy/{level}", "range", detail)
    delay = batching.max_queue_delay_microseconds
    for place, policy in queues(batching):
        if batching.preserve_ordering and policy.timeout_action == "DELAY":
            detail = "DELAY lets later requests pass, and preserve_ordering forbids it: use REJECT"
            yield Violation(f"{place}/timeout_action", "exclusive", detail)
        timeout = policy.default_timeout_microseconds
        if policy.timeout_action == "REJECT" and 0 < timeout <= delay:
            detail = (
                f"{timeout}: a request is refused before its batch is sent, which waits {delay} "
                "microseconds; make it longer than max_queue_delay_microseconds"
            )
            yield Violation(f"{place}/default_timeout_microseconds", "range", detail)


def _sizes(sizes: Iterable[int], max_batch_size: int, where: str) -> Iterator[Violation]:
    """Without batches none of them counts; the linter says that they are of no use."""
    for i, size in enumerate(sizes):
        if size > max_batch_size > 0:
            detail = f"{size} is above max_batch_size, which is {max_batch_size}"
            yield Violation(f"{where}/{i}", "range", detail)


def _sequences(batching: SequenceBatching, max_batch_size: int) -> Iterator[Violation]:
    where = "/sequence_batching"
    if batching.direct and batching.oldest:
        detail = "the strategy is direct or oldest, not both: leave one out"
        yield Violation(f"{where}/oldest", "exclusive", detail)
    if not batching.max_sequence_idle_microseconds:
        detail = "0: a sequence that may not be idle at all is over before its second request"
        yield Violation(f"{where}/max_sequence_idle_microseconds", "range", detail)
    if batching.oldest:
        sizes = batching.oldest.preferred_batch_size
        yield from _sizes(sizes, max_batch_size, f"{where}/oldest/preferred_batch_size")
    kinds: set[str] = set()
    names: set[str] = set()
    for i, given in enumerate(batching.control_input):
        for j, control in enumerate(given.control):
            yield from _control(control, kinds, f"{where}/control_input/{i}/control/{j}")
        yield from _once(given.name, names, f"{where}/control_input/{i}/name")
    written: set[str] = set()
    for i, state in enumerate(batching.state):
        yield from _once(state.input_name, names, f"{where}/state/{i}/input_name")
        yield from _once(state.output_name, written, f"{where}/state/{i}/output_name")
        yield from _initial(state, f"{where}/state/{i}")


def _control(control: Control, kinds: set[str], where: str) -> Iterator[Violation]:
    if control.kind in kinds:
        yield Violation(f"{where}/kind", "twice", f"{control.kind} is given twice")
    kinds.add(control.kind)
    given = [name for name in _VALUES if getattr(control, name)]
    if control.kind == "CONTROL_SEQUENCE_CORRID":
        if given:
            detail = "a sequence's id has a data_type, and no values for yes and no"
            yield Violation(f"{where}/{given[0]}", "exclusive", detail)
        if control.data_type not in _ID_TYPES:
            detail = f"the data_type of a sequence's id is one of {', '.join(_ID_TYPES)}"
            yield Violation(f"{where}/data_type", "range", detail)
        return
    if control.data_type:
        detail = "the data_type follows from the values: leave it out"
        yield Violation(f"{where}/data_type", "exclusive", detail)
    if len(given) != 1 or len(getattr(control, given[0])) != 2:
        detail = f"{control.kind} needs two values, for no and for yes, in one of {_LISTED}"
        yield Violation(where, "values", detail)


_ID_TYPES = ("TYPE_UINT64", "TYPE_INT64", "TYPE_UINT32", "TYPE_INT32", "TYPE_STRING")
_LISTED = ", ".join(_VALUES)


def _initial(state: State, where: str) -> Iterator[Violation]:
    for i, first in enumerate(state.initial_state):
        if first.data_type != state.data_type:
            detail = f"{first.data_type}, and the state is {state.data_type}"
            yield Violation(f"{where}/initial_state/{i}/data_type", "mismatch", detail)
        if first.zero_data and first.data_file:
            detail = "it begins with zeros or with what is in a file: leave one out"
            yield Violation(f"{where}/initial_state/{i}/data_file", "exclusive", detail)
        if first.data_file and first.data_type == "TYPE_STRING":
            detail = "a file holds numbers: texts are empty at first"
            yield Violation(f"{where}/initial_state/{i}/data_file", "exclusive", detail)
        if -1 in first.dims:
            detail = f"{list(first.dims)}: what a state starts with has no free dimension"
            yield Violation(f"{where}/initial_state/{i}/dims", "range", detail)
        elif not _fits(first.dims, state.dims):
            detail = f"{list(first.dims)} is no case of the state's {list(state.dims)}"
            yield Violation(f"{where}/initial_state/{i}/dims", "mismatch", detail)


def _fits(fixed: tuple[int, ...], free: tuple[int, ...]) -> bool:
    return len(fixed) == len(free) and all(b in (-1, a) for a, b in zip(fixed, free, strict=True))


def _once(name: str, names: set[str], where: str) -> Iterator[Violation]:
    if name in names:
        yield Violation(where, "twice", f"the name {name!r} is given twice")
    names.add(name)


def _group(group: InstanceGroup, where: str) -> Iterator[Violation]:
    if group.kind in ("KIND_CPU", "KIND_MODEL"):
        for name in ("gpus", "secondary_devices"):
            if getattr(group, name):
                detail = f"a group of {group.kind} has no {name}: leave them out, or the kind"
                yield Violation(f"{where}/{name}", "exclusive", detail)
    if len(set(group.gpus)) < len(group.gpus):
        detail = f"{list(group.gpus)}: each once; count says how many copies run on each"
        yield Violation(f"{where}/gpus", "twice", detail)
    for i, resource in enumerate(group.rate_limiter.resources if group.rate_limiter else ()):
        earlier = group.rate_limiter.resources[:i] if group.rate_limiter else ()
        if any(other.name == resource.name for other in earlier):
            detail = f"the resource {resource.name!r} is given twice"
            yield Violation(f"{where}/rate_limiter/resources/{i}/name", "twice", detail)


def _cached(profile: ServingProfile) -> Iterator[Violation]:
    if profile.model_transaction_policy.decoupled:
        detail = "Triton keeps no answers of decoupled models: leave one of the two out"
        yield Violation("/response_cache/enable", "exclusive", detail)
    if profile.sequence_batching:
        detail = "an answer in a sequence depends on what came before: it cannot be kept"
        yield Violation("/response_cache/enable", "exclusive", detail)
