"""How much of a server a request may ask for: a slip of the pen must not take it down.

Triton obeys these numbers at the load: it starts every instance, makes a queue for every priority
and room for every sequence, and runs every warm-up request, on all servers and beside all models.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.violations import Violation

MAX_INSTANCES = 256
"""Of all groups of a model; of a Python-based backend each is a process."""

MAX_ROWS = 1 << 20
MAX_PRIORITIES = 1024
MAX_WARMUP_REQUESTS = 10_000
MAX_SEQUENCES = 1 << 16
"""That one instance keeps at a time."""

MAX_STATE = 1 << 26
"""Values of one state of one sequence."""


def excesses(profile: ServingProfile) -> Iterator[Violation]:
    """What is more than a request may ask for, each with its place."""
    instances = sum(group.count for group in profile.instance_group)
    priorities = profile.dynamic_batching.priority_levels if profile.dynamic_batching else 0
    warmup, sequences = profile.model_warmup, profile.sequence_batching
    requests = warmup.count * len(warmup.batch_sizes) if warmup else 0
    oldest = sequences.oldest.max_candidate_sequences if sequences and sequences.oldest else 0
    for where, asked, most, what in (
        ("/max_batch_size", profile.max_batch_size, MAX_ROWS, "rows of a batch"),
        ("/instance_group", instances, MAX_INSTANCES, "instances"),
        ("/dynamic_batching/priority_levels", priorities, MAX_PRIORITIES, "priorities"),
        ("/model_warmup", requests, MAX_WARMUP_REQUESTS, "warm-up requests"),
        ("/sequence_batching/oldest", oldest, MAX_SEQUENCES, "sequences"),
    ):
        if asked > most:
            yield Violation(where, "range", f"{asked} {what}; a request may ask for {most}")
    for i, state in enumerate(sequences.state if sequences else ()):
        first = [one.dims for one in state.initial_state]
        values = max(math.prod(abs(dim) for dim in dims) for dims in (state.dims, *first))
        if values > MAX_STATE:
            detail = f"{values} values of a state; a request may ask for {MAX_STATE}"
            yield Violation(f"/sequence_batching/state/{i}/dims", "range", detail)
