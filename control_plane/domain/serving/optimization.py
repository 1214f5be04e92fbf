"""Optimisation: what the backend and the server may do to run a model faster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import Field, Strict

from control_plane.domain.serving.section import Flag, Natural, Natural32, Section, Word


class Graph(Section):
    """How hard the framework optimises the graph."""

    level: Annotated[int, Strict(), Ge(-1), Le(99)] = Field(
        0, description="Of the backend: for ONNX Runtime -1 basic, 0 all, 1 extended, 2 none."
    )


class GraphInput(Section):
    """The dimensions of an input in a CUDA graph."""

    dim: tuple[Natural, ...] = Field(description="Without the batch.")


class LowerBound(Section):
    """The smallest batch and dimensions that a CUDA graph serves."""

    batch_size: Natural = Field(0, description="Rows; 0 where there are no batches.")
    input: Mapping[Word, GraphInput] = Field(default_factory=dict, description="By name.")


class GraphSpec(Section):
    """A CUDA graph that is captured in advance."""

    batch_size: Natural = Field(0, description="Rows; 0 where there are no batches.")
    input: Mapping[Word, GraphInput] = Field(default_factory=dict, description="By name.")
    graph_lower_bound: LowerBound | None = None


class Cuda(Section):
    """How work is given to the GPU."""

    graphs: Flag = Field(False, description="Capture executions as CUDA graphs (TensorRT).")
    busy_wait_events: Flag = Field(False, description="Spin for events: quicker, at a core's cost.")
    graph_spec: tuple[GraphSpec, ...] = ()
    output_copy_stream: Flag = Field(False, description="Copy outputs on a stream of their own.")


class Accelerator(Section):
    """One accelerator of the backend, with the backend's own parameters."""

    name: Word = Field(description="For ONNX Runtime: tensorrt, openvino, cuda.")
    parameters: Mapping[Word, str] = Field(default_factory=dict, description="Its own.")


class ExecutionAccelerators(Section):
    """Accelerators by where the instance runs, the preferred one first."""

    gpu_execution_accelerator: tuple[Accelerator, ...] = ()
    cpu_execution_accelerator: tuple[Accelerator, ...] = ()


class PinnedMemory(Section):
    """Whether pinned memory is used for copies to and from the GPU."""

    enable: Flag = Field(description="Whether it is used.")


class Optimization(Section):
    """What may be done to run the model faster."""

    graph: Graph | None = None
    priority: Literal["PRIORITY_DEFAULT", "PRIORITY_MAX", "PRIORITY_MIN"] = Field(
        "PRIORITY_DEFAULT", description="Of its threads or streams beside other models'."
    )
    cuda: Cuda | None = None
    execution_accelerators: ExecutionAccelerators | None = None
    input_pinned_memory: PinnedMemory | None = Field(None, description="On, unless said otherwise.")
    output_pinned_memory: PinnedMemory | None = Field(
        None, description="On, unless said otherwise."
    )
    gather_kernel_buffer_threshold: Natural32 = Field(
        0, description="From how many input buffers of a batch a kernel gathers them; 0: never."
    )
    eager_batching: Flag = Field(
        False, description="Start preparing the next batch while the last one executes."
    )
