"""Serving profiles drawn at random: documents that are valid, with every word there is."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

DELAYS = st.integers(0, 20_000)
WORDS = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)


def queue_policies() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "timeout_action": st.sampled_from(["REJECT", "DELAY"]),
            "default_timeout_microseconds": st.just(0) | st.integers(10_000_000, 20_000_000),
            "allow_timeout_override": st.booleans(),
            "max_queue_size": st.integers(0, 1000),
        },
    )


@st.composite
def dynamic_batching(draw: st.DrawFn, max_batch_size: int) -> dict[str, Any]:
    sizes = st.lists(st.integers(1, max_batch_size), max_size=3, unique=True)
    found: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "preferred_batch_size": sizes,
                "max_queue_delay_microseconds": DELAYS,
                "preserve_ordering": st.booleans(),
                "default_queue_policy": queue_policies(),
            },
        )
    )
    if levels := draw(st.integers(0, 3)):
        found["priority_levels"] = levels
        found["default_priority_level"] = draw(st.integers(1, levels))
        queues = st.dictionaries(st.integers(1, levels).map(str), queue_policies(), max_size=levels)
        found["priority_queue_policy"] = draw(queues)
        if levels > 1:
            found.pop("preserve_ordering", None)
    if found.get("preserve_ordering"):
        for policy in _queues(found):
            policy.pop("timeout_action", None)
    return found


def _queues(batching: dict[str, Any]) -> list[dict[str, Any]]:
    own = batching.get("priority_queue_policy", {}).values()
    return [
        *own,
        *([batching["default_queue_policy"]] if "default_queue_policy" in batching else []),
    ]


def instance_groups() -> st.SearchStrategy[list[dict[str, Any]]]:
    resource = st.fixed_dictionaries(
        {"name": WORDS}, optional={"count": st.integers(1, 3), "global": st.booleans()}
    )
    limiter = st.fixed_dictionaries(
        {},
        optional={
            "resources": st.lists(resource, max_size=2, unique_by=lambda one: one["name"]),
            "priority": st.integers(0, 5),
        },
    )
    group = st.fixed_dictionaries(
        {},
        optional={
            "count": st.integers(1, 2),
            "kind": st.sampled_from(["KIND_CPU", "KIND_GPU"]),
            "rate_limiter": limiter,
        },
    )
    return st.lists(group, min_size=1, max_size=2)


@st.composite
def profiles(draw: st.DrawFn) -> dict[str, Any]:
    """The document of a profile that any batched model of plain tensors can be served under."""
    max_batch_size = draw(st.integers(0, 16))
    optional = {
        "description": st.text(max_size=20),
        "instance_group": instance_groups(),
        "optimization": st.fixed_dictionaries(
            {},
            optional={
                "graph": st.fixed_dictionaries({"level": st.integers(-1, 2)}),
                "priority": st.sampled_from(["PRIORITY_DEFAULT", "PRIORITY_MAX"]),
                "input_pinned_memory": st.fixed_dictionaries({"enable": st.booleans()}),
                "eager_batching": st.booleans(),
            },
        ),
        "model_warmup": st.fixed_dictionaries(
            {},
            optional={
                "data": st.sampled_from(["zero", "random"]),
                "batch_sizes": st.just([1]),
                "count": st.integers(1, 2),
            },
        ),
        "response_cache": st.fixed_dictionaries({"enable": st.booleans()}),
        "metric_tags": st.dictionaries(WORDS, WORDS, max_size=2),
    }
    found: dict[str, Any] = draw(st.fixed_dictionaries({}, optional=optional))
    if draw(st.booleans()):
        found["max_batch_size"] = max_batch_size
        if max_batch_size:
            found["dynamic_batching"] = draw(dynamic_batching(max_batch_size))
    return found
