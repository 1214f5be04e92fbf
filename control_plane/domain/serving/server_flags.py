"""How a Triton is started: the flags that are not about where it listens or who may steer it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Self

from annotated_types import Ge, Le
from pydantic import Field, model_validator

from control_plane.domain.serving.section import Flag, Natural, Natural64, Positive, Section, Word

ROUTERS_THREADS = 2
"""Load threads that preparing models leaves free: with all of them busy a router would wait."""

_OURS = {("python", "shm-region-prefix-name"), ("traffic", "request-log")}

_IN_A_FLAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
"""A part of a flag's value: `,`, `=` and `:` would begin the next one."""


class ServerResource(Section):
    """How much of a resource there is, for instance groups that name it."""

    name: Word = Field(description="As the profiles' rate_limiter has it.")
    count: Positive = Field(description="How much of it there is.")
    device: Natural | None = Field(None, description="On that GPU; left out: on each.")


class ServerFlags(Section):
    """What a server is started with beside its addresses and keys."""

    name: Word = Field(exclude=True)
    description: str = Field("", description="What it is for, in a sentence.")
    model_load_thread_count: Annotated[int, Ge(ROUTERS_THREADS + 1), Le(64)] = Field(
        4, description="Models that load at once; two are kept free for routers."
    )
    exit_timeout_seconds: Annotated[Natural, Le(600)] = Field(
        3, description="How long connections may end by themselves at a stop."
    )
    response_cache_bytes: Natural64 = Field(
        0, description="Main memory for answers that are kept; 0: no cache."
    )
    rate_limit: Flag = Field(
        False, description="Instances wait for the resources that their profile names."
    )
    rate_limit_resources: tuple[ServerResource, ...] = Field(
        (), description="Left out: of each as much as the largest that is named."
    )
    pinned_memory_pool_bytes: Natural64 | None = Field(
        None, description="Main memory that GPUs read directly; left out: Triton's 256 MiB."
    )
    cuda_memory_pool_bytes: Mapping[Natural, Natural64] = Field(
        default_factory=dict, description="On each GPU by its number; left out: Triton's 64 MiB."
    )
    buffer_manager_thread_count: Annotated[Natural, Le(256)] = Field(
        0, description="Threads that copy tensors into batches; 0: the models' own do."
    )
    http_thread_count: Annotated[Positive, Le(1024)] | None = Field(
        None, description="Left out: Triton's 8."
    )
    metrics_interval_ms: Positive | None = Field(
        None, description="How often CPU and GPU are measured; left out: Triton's 2000."
    )
    backend_config: Mapping[Word, Mapping[Word, str]] = Field(
        default_factory=dict, description="By backend: settings for all of its models."
    )

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.rate_limit_resources and not self.rate_limit:
            raise ValueError("rate_limit_resources count only with rate_limit: true")
        words = [one.name for one in self.rate_limit_resources]
        words += [word for settings in self.backend_config.values() for word in settings]
        for word in (*words, *self.backend_config):
            if not _IN_A_FLAG.fullmatch(word):
                raise ValueError(f"{word!r}: letters, digits, '_', '-' and '.' make a flag's word")
        for backend, settings in self.backend_config.items():
            for setting in settings:
                if (backend, setting) in _OURS:
                    raise ValueError(f"backend_config: {backend}'s {setting} is set by Nereid")
        return self

    @property
    def prepares_at_once(self) -> int:
        """How many models may load at a time, so that a router always finds a thread."""
        return self.model_load_thread_count - ROUTERS_THREADS

    def flags(self, *, has_gpu: bool) -> Iterator[str]:
        """Triton's own flags, but for the cache, whose library lies where the server does."""
        yield f"--model-load-thread-count={self.model_load_thread_count}"
        yield f"--exit-timeout-secs={self.exit_timeout_seconds}"
        if self.rate_limit:
            yield "--rate-limit=execution_count"
        for one in self.rate_limit_resources:
            device = "" if one.device is None else f":{one.device}"
            yield f"--rate-limit-resource={one.name}:{one.count}{device}"
        # Without a GPU there is nothing that could read either pool.
        if has_gpu and self.pinned_memory_pool_bytes is not None:
            yield f"--pinned-memory-pool-byte-size={self.pinned_memory_pool_bytes}"
        for gpu, size in self.cuda_memory_pool_bytes.items() if has_gpu else ():
            yield f"--cuda-memory-pool-byte-size={gpu}:{size}"
        if self.buffer_manager_thread_count:
            yield f"--buffer-manager-thread-count={self.buffer_manager_thread_count}"
        if self.http_thread_count:
            yield f"--http-thread-count={self.http_thread_count}"
        if self.metrics_interval_ms:
            yield f"--metrics-interval-ms={self.metrics_interval_ms}"
        for backend, settings in self.backend_config.items():
            for setting, value in settings.items():
                yield f"--backend-config={backend},{setting}={value}"
