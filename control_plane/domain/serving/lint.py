"""The linter of serving profiles: what Triton takes without a word and somebody will regret.

A profile that contradicts itself is refused (`rules`); what stands here is for the profile with a
model, its promise and the servers it goes to. Each finding has a name, explained in docs/lint.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from control_plane.domain.findings import Finding
from control_plane.domain.serving.batching import queues
from control_plane.domain.serving.instances import groups_on
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.signature import Signature

THREADS = ("intra_op_thread_count", "INTRA_OP_THREAD_COUNT")
"""How many threads one execution may use, as the backends call it."""


@dataclass(frozen=True)
class Subject:
    """A version under a profile. `p99_ms` is what was promised of it; None: nothing. `examples`
    is how many golden ones it has that a warm-up can take; None: not known.

    Without a signature and a framework it is the profile alone, whatever model it will have;
    `warmed`: the model brings warm-up requests of its own.
    """

    profile: ServingProfile
    signature: Signature | None = None
    framework: str = ""
    p99_ms: float | None = None
    warmed: bool = False
    examples: int | None = None


@dataclass(frozen=True)
class Hardware:
    """What is known of the servers it goes to, the smallest of them; None: nothing."""

    cores: int | None = None
    gpus: int | None = None
    response_cache: bool | None = None
    rate_limiter: bool | None = None


def lint(subject: Subject, hardware: Hardware) -> list[Finding]:
    """Every finding, in the order of the document."""
    return [finding for rule in RULES for finding in rule(subject, hardware)]


def _batching_without_batches(subject: Subject, _: Hardware) -> Iterator[Finding]:
    profile = subject.profile
    if not profile.dynamic_batching:
        return
    if not profile.max_batch_size:
        yield Finding(
            "warning",
            "batching-without-batches",
            "there is a dynamic batcher, and a batch may hold no rows",
            "/max_batch_size",
            "raise max_batch_size above 1, or leave dynamic_batching out",
        )
    elif subject.signature and not subject.signature.batched:
        fixed = [str(t) for t in (*subject.signature.inputs, *subject.signature.outputs)]
        fixed = [t for t in fixed if "[-1" not in t]
        yield Finding(
            "warning",
            "fixed-batch",
            f"the model takes no batches, its first dimension is fixed ({', '.join(fixed[:3])}): "
            "requests run one by one",
            "/dynamic_batching",
            "export the model with a free first dimension (torch.onnx.export's dynamic_shapes)",
        )


def _delay_over_promise(subject: Subject, _: Hardware) -> Iterator[Finding]:
    batching = subject.profile.dynamic_batching
    if batching is None or not subject.p99_ms:
        return
    delay_ms = batching.max_queue_delay_microseconds / 1000
    if delay_ms < subject.p99_ms / 2:
        return
    over = delay_ms >= subject.p99_ms
    yield Finding(
        "error" if over else "warning",
        "delay-over-sla",
        f"requests may wait {delay_ms:g} ms for a batch to fill, and the model's p99 is promised "
        f"within {subject.p99_ms:g} ms",
        "/dynamic_batching/max_queue_delay_microseconds",
        f"keep the delay under a quarter of the promise: {int(subject.p99_ms * 250)} microseconds",
    )


def _queue_timeout(subject: Subject, _: Hardware) -> Iterator[Finding]:
    batching = subject.profile.dynamic_batching
    for where, policy in queues(batching) if batching else ():
        if policy.default_timeout_microseconds:
            yield Finding(
                "warning",
                "queue-timeout-stall",
                "with a default timeout Triton's dynamic batcher slows down over hours until it "
                "stalls (triton-inference-server/server #8870)",
                f"{where}/default_timeout_microseconds",
                "bound the queue by max_queue_size, and let callers or the policy's arm set the "
                "timeout",
            )


def _endless_queue(subject: Subject, _: Hardware) -> Iterator[Finding]:
    batching = subject.profile.dynamic_batching
    if batching is None or not subject.p99_ms:
        return
    if all(not policy.max_queue_size for _, policy in queues(batching)):
        yield Finding(
            "info",
            "endless-queue",
            f"the queue has no end: under overload every caller waits beyond the promised "
            f"{subject.p99_ms:g} ms, where a refusal could be answered elsewhere",
            "/dynamic_batching/default_queue_policy/max_queue_size",
            "set max_queue_size to what the instances work off within the promise",
        )


def _preferred_sizes(subject: Subject, _: Hardware) -> Iterator[Finding]:
    batching = subject.profile.dynamic_batching
    if batching is None or not batching.preferred_batch_size:
        return
    if not batching.max_queue_delay_microseconds:
        yield Finding(
            "warning",
            "preferred-without-delay",
            "preferred sizes count only while a batch waits, and it does not wait",
            "/dynamic_batching/preferred_batch_size",
            "give it a max_queue_delay_microseconds, or leave the preferred sizes out",
        )
    elif max(batching.preferred_batch_size) < subject.profile.max_batch_size:
        largest = max(batching.preferred_batch_size)
        yield Finding(
            "info",
            "preferred-below-max",
            f"a batch is sent on at {largest} rows already: the {subject.profile.max_batch_size} "
            "that it may hold are reached only while all instances are busy",
            "/dynamic_batching/preferred_batch_size",
            f"add {subject.profile.max_batch_size}, or lower max_batch_size to {largest}",
        )


def _instances_over_cores(subject: Subject, hardware: Hardware) -> Iterator[Finding]:
    if hardware.cores is None or hardware.gpus:
        return
    groups = groups_on(subject.profile.instance_group, "cpu")
    count = sum(group["count"] for group in groups)
    threads = _threads(subject.profile)
    if count * threads <= hardware.cores:
        return
    each = f" of {threads} threads" if threads > 1 else ""
    yield Finding(
        "warning",
        "instances-over-cores",
        f"{count} instances{each} share {hardware.cores} cores: they take turns, and each "
        "request takes longer",
        "/instance_group",
        f"use at most {max(1, hardware.cores // threads)} instances, or fewer threads each",
    )


def _groups_without_gpu(subject: Subject, hardware: Hardware) -> Iterator[Finding]:
    if hardware.gpus is None:
        return
    for i, group in enumerate(subject.profile.instance_group):
        wanted = max(group.gpus, default=-1) + 1 or (1 if group.kind == "KIND_GPU" else 0)
        if wanted <= hardware.gpus:
            continue
        yield Finding(
            "warning",
            "no-such-gpu",
            f"it asks for GPU {wanted - 1}, and a server has {hardware.gpus or 'none'}"
            + ("" if hardware.gpus else ": there the model runs on the CPU"),
            f"/instance_group/{i}",
            "leave kind and gpus out to use what each server has",
        )


def _cache(subject: Subject, hardware: Hardware) -> Iterator[Finding]:
    profile = subject.profile
    if not (profile.response_cache and profile.response_cache.enable):
        return
    where = "/response_cache/enable"
    if subject.framework == "python":
        yield Finding(
            "warning",
            "cache-may-be-wrong",
            "a Python model may answer the same inputs differently (time, chance, a state): "
            "callers would get the first answer for ever",
            where,
            "leave the cache out unless the model is a function of its inputs alone",
        )
    if hardware.response_cache is False:
        yield Finding(
            "warning",
            "cache-without-server",
            "a server was started without a response cache: nothing is kept there",
            where,
            "start it with --cache-config=local,size=BYTES",
        )


def _rate_limiter(subject: Subject, hardware: Hardware) -> Iterator[Finding]:
    limited = [i for i, g in enumerate(subject.profile.instance_group) if g.rate_limiter]
    if limited and hardware.rate_limiter is False:
        yield Finding(
            "warning",
            "rate-limiter-off",
            "a server was started without the rate limiter: resources and priorities are ignored",
            f"/instance_group/{limited[0]}/rate_limiter",
            "start it with --rate-limit=execution_count",
        )


def _cold(subject: Subject, hardware: Hardware) -> Iterator[Finding]:
    on_gpu = bool(hardware.gpus) and subject.framework != "transform"
    slow = (subject.framework == "pytorch" or on_gpu) and not subject.warmed
    if subject.profile.model_warmup or subject.profile.sequence_batching or not slow:
        return
    why = "TorchScript optimises in its first calls" if subject.framework == "pytorch" else ""
    yield Finding(
        "info",
        "cold-start",
        f"the first requests after each load are slow: {why or 'GPU kernels are set up in them'}",
        "/model_warmup",
        'add model_warmup, e.g. {"batch_sizes": [1], "count": 3}'
        + ("" if subject.examples != 0 else ", and push versions with golden examples"),
    )


def _warm_with_zeros(subject: Subject, _: Hardware) -> Iterator[Finding]:
    warmup = subject.profile.model_warmup
    if warmup is None or warmup.data != "golden" or subject.examples != 0 or subject.warmed:
        return
    if subject.framework == "transform":  # which is not warmed up without examples
        return
    free = [
        tensor
        for tensor in (subject.signature.inputs if subject.signature else ())
        if -1 in tensor.shape[1:] or tensor.datatype == "BYTES"
    ]
    if free:
        yield Finding(
            "info",
            "warmup-without-examples",
            f"the version has no golden example, so it is warmed up with zeros: {free[0]} as "
            "callers send it may still be slow at first",
            "/model_warmup/data",
            "push the version with golden examples",
        )


def _lonely_sequences(subject: Subject, _: Hardware) -> Iterator[Finding]:
    batching = subject.profile.sequence_batching
    if batching is None or not batching.direct or not subject.profile.max_batch_size:
        return
    if not batching.direct.max_queue_delay_microseconds:
        yield Finding(
            "info",
            "sequences-one-by-one",
            "without a delay a batch holds the requests of those sequences alone that are waiting "
            "at that moment, often one",
            "/sequence_batching/direct/max_queue_delay_microseconds",
            "allow a short delay where sequences send in step",
        )


RULES: tuple[Callable[[Subject, Hardware], Iterator[Finding]], ...] = (
    _batching_without_batches,
    _preferred_sizes,
    _delay_over_promise,
    _queue_timeout,
    _endless_queue,
    _lonely_sequences,
    _instances_over_cores,
    _groups_without_gpu,
    _rate_limiter,
    _cold,
    _warm_with_zeros,
    _cache,
)


def _threads(profile: ServingProfile) -> int:
    """Threads of one execution; 0 and what is no number leave it to the backend: counted as 1."""
    for name in THREADS:
        if (said := profile.parameters.get(name, "")).isdecimal():
            return max(1, int(said))
    return 1
